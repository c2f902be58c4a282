"""A build that waits for the times its files are to carry."""

from __future__ import annotations

import os

import pytest

from rebuilder.guest import pace

PLAN = {"METADATA": 105.0}, {"top_level.txt": 102.5}


@pytest.mark.parametrize(
    ("path", "flags", "expected"),
    [
        ("build/x-1.dist-info/METADATA", os.O_WRONLY | os.O_CREAT, 105.0),
        ("METADATA", os.O_RDWR, 105.0),
        ("build/x-1.dist-info/METADATA", os.O_RDONLY, 100.0),
        ("build/x-1.dist-info/top_level.txt", os.O_RDONLY, 102.5),
        ("x.egg-info/top_level.txt", os.O_RDONLY, 100.0),
        ("x.egg-info/top_level.txt", os.O_WRONLY, 100.0),
        (7, os.O_WRONLY, 100.0),
    ],
)
def test_waits(path: object, flags: int, expected: float) -> None:
    """It waits for files of the plan, for the way they are opened, and no longer than to their time."""
    clock = [100.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    pace._hook(*PLAN, lambda: clock[0], sleep)("open", (path, "w", flags))
    assert expected == clock[0]


def test_other_events() -> None:
    """Only opening files counts."""
    pace._hook(*PLAN, lambda: 0.0, lambda _: pytest.fail("it waits"))("import", ("METADATA", None, None))
