"""With which clock a wheel is built again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rebuilder.ecosystems.pypi.clock_guess import only_times_differ, pace
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.value import Sha256

NOON = datetime(2020, 6, 27, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=2)
ORDER = ["x/_version.py", *(f"x-1.dist-info/{name}" for name in ("METADATA", "WHEEL", "top_level.txt", "RECORD"))]


def test_pace() -> None:
    """Files wait for their time when they are written, and RECORD when the member before it is read."""
    written = dict.fromkeys(ORDER, NOON) | {"x-1.dist-info/RECORD": LATER}
    noon, later = NOON.timestamp() + 0.25, LATER.timestamp() + 0.25
    names = ("_version.py", "METADATA", "WHEEL", "top_level.txt")
    expected = {"write": dict.fromkeys(names, noon) | {"RECORD": later}, "read": {"top_level.txt": later}}
    assert expected == pace(written, ORDER)


def test_pace_of_a_record_alone() -> None:
    """Only a member beside RECORD can be waited for."""
    assert {} == pace({"x-1.dist-info/RECORD": NOON}, ["x.py", "x-1.dist-info/RECORD"])["read"]


@pytest.mark.parametrize(
    ("level", "normalisations", "expected"),
    [
        (Level.EQUIVALENT, ("zip-times",), True),
        (Level.EQUIVALENT, ("zip-times", "zip-order"), False),
        (Level.DIFFERENT, (), False),
        (Level.IDENTICAL, (), False),
    ],
)
def test_only_times(level: Level, normalisations: tuple[str, ...], expected: bool) -> None:
    """The clock mends times alone."""
    digest = Sha256("ab" * 32)
    comparison = Comparison(level=level, published_sha256=digest, rebuilt_sha256=digest, normalisations=normalisations)
    assert expected == only_times_differ(comparison)
    assert not only_times_differ(None)
