"""When a build begins so that its files are written at the recorded times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rebuilder.ecosystems.pypi.clock_guess import MOST_TRIES, Delays, only_times_differ
from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.value import Sha256

NOON = datetime(2020, 6, 27, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So long after noon."""
    return NOON + timedelta(seconds=seconds)


def slot(moment: datetime) -> datetime:
    """As ZIP keeps it."""
    since = (moment - NOON).total_seconds()
    return at(since // 2 * 2)


def tries(wanted: dict[str, float], delays: dict[str, float]) -> int:
    """How many builds it takes; more than there may be if it never fits."""
    goal = {name: at(seconds) for name, seconds in wanted.items()}
    known = Delays.unseen(goal)
    for number in range(MOST_TRIES):
        begin = known.begin(goal)
        written = {name: slot(begin + timedelta(seconds=seconds)) for name, seconds in delays.items()}
        if written == goal:
            return number + 1
        known = known.seen(begin, written, first=number == 0)
    return MOST_TRIES + 1


@pytest.mark.parametrize(("delay", "expected"), [(1.0, 1), (2.0, 1), (0.1, 2), (4.5, 2), (17.0, 2)])
def test_one_time(delay: float, expected: int) -> None:
    """Files written together: the first guess fits usual builds, the second any other."""
    assert expected == tries({"METADATA": 30, "RECORD": 30}, {"METADATA": delay, "RECORD": delay + 0.1})


@pytest.mark.parametrize("delay", [0.7, 1.1, 1.9, 2.6, 5.3])
def test_two_times(delay: float) -> None:
    """The turn of a second between two files is found by halving."""
    wanted = {"top_level.txt": 28.0, "METADATA": 30.0, "WHEEL": 30.0, "RECORD": 30.0}
    later = dict.fromkeys(("METADATA", "WHEEL", "RECORD"), delay + 0.25)
    assert MOST_TRIES >= tries(wanted, {"top_level.txt": delay, **later})


def test_contradiction() -> None:
    """A build that took longer than before counts for itself."""
    known = Delays.unseen({"RECORD": at(30)}).seen(at(0), {"RECORD": at(2)}, first=True)
    assert {"RECORD": (2.0, 4.0)} == known.bounds
    assert {"RECORD": (8.0, 10.0)} == known.seen(at(0), {"RECORD": at(8)}, first=False).bounds
    assert {"RECORD": (3.0, 4.0)} == known.seen(at(1), {"RECORD": at(4)}, first=False).bounds


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
