"""Times in archives, as they are read."""

from __future__ import annotations

from rebuilder.ecosystems.pypi.wheel_traces import epoch


def test_impossible_times_are_passed_over() -> None:
    """ZIP can hold month 0; that is no time."""
    assert epoch("1980-00-00T00:00:00") is None
    assert epoch("1980-01-01T00:00:00") == 315532800
