"""A registry that gives no answer is asked again after minutes, not after the whole interval of a watch."""

from __future__ import annotations

from datetime import timedelta

from rebuilder.service.scheduler import wait_after


def test_waits_grow_and_end() -> None:
    """Two minutes, four, eight …, at most an hour, however long it lasts."""
    waits = [wait_after(failures) / timedelta(minutes=1) for failures in (1, 2, 3, 4, 5, 6, 7, 1000)]
    assert [2, 4, 8, 16, 32, 60, 60, 60] == waits
