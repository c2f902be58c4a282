"""Jobs follow the schedule, whatever the clock does: the real APScheduler in its threads, with a clock of ours."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rebuilder.service.scheduler import JobTimer
from rebuilder.service.schedules.watch import Recheck, Schedule, Timing, Watch
from tests.fakes import job_timer
from tests.fakes.clock import FixedClock
from tests.fakes.job_timer import LONG, follow_clock, look

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def watch(name: str, *packages: str, **timing: object) -> Watch:
    """A watch; every hour unless said otherwise."""
    return Watch(
        name=name,
        file="a.toml",
        packages=packages or ("idna",),
        timing=Timing.model_validate(timing or {"every": 3600}),
    )


class Harness:
    """A job timer with its clocks in hand, that of the library too; ``runs`` holds what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.steady = FixedClock(NOON), 0.0
        follow_clock(monkeypatch, self.clock)
        self.runs: queue.Queue[str] = queue.Queue()
        self.block: threading.Event | None = None
        self.ended: queue.Queue[str] = queue.Queue()
        self.timer = JobTimer(self.clock, self.run, monotonic=lambda: self.steady)

    def run(self, item: Watch | Recheck) -> None:
        """What a job does."""
        self.runs.put(item.name)
        if item.name == "broken":
            raise RuntimeError("it is broken")
        if self.block is not None:
            assert self.block.wait(LONG)
        self.ended.put(item.name)

    def look(self) -> None:
        """Take a look; what is due has begun then."""
        look(self.timer, self.clock)

    def apply(self, *watches: Watch) -> None:
        """Follow these."""
        self.timer.apply(Schedule(watches=watches))

    def pass_time(self, time: timedelta) -> None:
        """Both clocks go on, and a look is taken."""
        self.clock.time += time
        self.steady += time.total_seconds()
        self.look()

    def set_clock(self, by: timedelta) -> None:
        """Somebody sets the wall clock, and a look is taken."""
        self.clock.time += by
        self.look()

    def ran(self, *names: str) -> None:
        """Just these were run since the last time, in any order."""
        assert sorted(names) == sorted(self.runs.get(timeout=LONG) for _ in names)
        assert self.runs.empty()


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """A timer that is started, and stopped after the test."""
    harness = Harness(monkeypatch)
    harness.timer.start()
    yield harness
    if harness.block is not None:
        harness.block.set()
    harness.timer.stop()


def settle(harness: Harness, count: int = 1) -> None:
    """Wait until runs have ended, and the pool knows it."""
    for _ in range(count):
        harness.ended.get(timeout=LONG)
    job_timer.settle(harness.timer)


def test_a_new_watch_runs_at_once_then_by_its_timing(harness: Harness) -> None:
    """The first look comes at once, the second after an hour, not before."""
    harness.apply(watch("a"))
    harness.ran("a")
    settle(harness)
    harness.pass_time(HOUR - timedelta(seconds=1))
    assert harness.runs.empty()
    harness.pass_time(timedelta(seconds=1))
    harness.ran("a")


def test_what_is_the_same_is_not_disturbed(harness: Harness) -> None:
    """Another watch comes, one changes, one goes: the one that stays keeps its time."""
    harness.apply(watch("stays"), watch("changes"), watch("goes"))
    harness.ran("stays", "changes", "goes")
    settle(harness, 3)
    harness.pass_time(HOUR / 2)
    harness.apply(watch("stays"), watch("changes", "flit-core"), watch("comes"))
    harness.ran("changes", "comes")
    planned = harness.timer.planned()
    assert {"stays", "changes", "comes"} == set(planned)
    assert NOON + HOUR == planned["stays"]


def test_an_exception_stops_nothing(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; others run, and the one that failed runs again."""
    with caplog.at_level(logging.ERROR, "rebuilder"):
        harness.apply(watch("broken"), watch("well"))
        harness.ran("broken", "well")
        settle(harness)
        harness.pass_time(HOUR)
        harness.ran("broken", "well")
    assert any("'broken'" in each for each in caplog.messages)


@pytest.mark.parametrize("timing", [{"every": 60}, {"cron": "* * * * *"}])
def test_a_clock_set_forward_gives_one_run(harness: Harness, timing: dict[str, object]) -> None:
    """Five hours of minutes are missed: one run, and then every minute."""
    harness.apply(watch("a", **timing))
    harness.ran("a")
    settle(harness)
    harness.set_clock(5 * HOUR)
    harness.ran("a")
    settle(harness)
    harness.look()
    assert harness.runs.empty()
    harness.pass_time(timedelta(minutes=1))
    harness.ran("a")


@pytest.mark.parametrize("timing", [{"every": 3600}, {"cron": "0 * * * *"}])
def test_a_clock_set_back_silences_nothing(harness: Harness, timing: dict[str, object]) -> None:
    """Half an hour before the next run the clock goes back by five hours: the run comes in half an hour."""
    harness.apply(watch("a", **timing))
    harness.ran("a")
    settle(harness)
    harness.pass_time(HOUR / 2)
    harness.set_clock(-5 * HOUR)
    assert harness.runs.empty()
    harness.pass_time(HOUR / 2)
    harness.ran("a")
    settle(harness)
    harness.pass_time(HOUR)
    harness.ran("a")


def test_one_run_at_a_time(harness: Harness) -> None:
    """What is due while the run before is still going comes soon after it, once."""
    harness.block = threading.Event()
    harness.apply(watch("a", every=60))
    harness.ran("a")
    harness.pass_time(timedelta(minutes=3))
    harness.pass_time(timedelta(minutes=3))
    assert harness.runs.empty()
    harness.block.set()
    settle(harness)
    harness.pass_time(timedelta(seconds=30))
    harness.ran("a")


def test_what_was_applied_before_the_start_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of start and apply does not matter; applied twice, it runs once."""
    harness = Harness(monkeypatch)
    harness.apply(watch("a"))
    harness.apply(watch("a", "attrs"))
    harness.timer.start()
    harness.ran("a")
    harness.timer.stop()


def test_after_the_stop_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wait for a thread are not begun any more."""
    harness = Harness(monkeypatch)
    harness.block = threading.Event()
    harness.timer.start()
    harness.apply(*(watch(name) for name in "abcd"))
    first = sorted(harness.runs.get(timeout=LONG) for _ in range(2))
    harness.timer.stop(wait=False)
    harness.block.set()
    settle(harness, 2)
    assert 2 == len(first)
    assert harness.runs.empty()


def test_sooner_than_planned(harness: Harness) -> None:
    """A job that found nobody home comes back earlier, once; a later moment or a strange name changes nothing."""
    harness.apply(watch("a", every=6 * 3600))
    harness.ran("a")
    harness.timer.sooner("a", NOON + timedelta(minutes=2))
    harness.timer.sooner("a", NOON + HOUR)
    harness.timer.sooner("b", NOON)
    assert {"a": NOON + timedelta(minutes=2)} == harness.timer.planned()
    harness.pass_time(timedelta(minutes=2))
    harness.ran("a")
    assert harness.timer.planned()["a"] > NOON + 6 * HOUR - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("place", "start"),
    [
        ("Europe/Berlin", "2026-03-29T00:00+00:00"),
        ("Europe/Berlin", "2026-10-24T23:00+00:00"),
        ("America/New_York", "2026-03-08T06:00+00:00"),
        ("America/New_York", "2026-11-01T05:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-04T14:00+00:00"),
        ("Australia/Lord_Howe", "2026-10-03T14:30+00:00"),
    ],
)
def test_every_quarter_of_an_hour_has_its_run_when_summer_time_begins_and_ends(
    harness: Harness, place: str, start: str
) -> None:
    """No hour is lost, and none is made up for: three hours have twelve runs."""
    harness.set_clock(datetime.fromisoformat(start) - NOON)
    offset = harness.clock.time.astimezone(ZoneInfo(place)).utcoffset()
    harness.apply(watch("a", cron="*/15 * * * *", time_zone=place))
    harness.ran("a")
    for _ in range(12):
        settle(harness)
        harness.pass_time(timedelta(minutes=15))
        harness.ran("a")
    assert offset != harness.clock.time.astimezone(ZoneInfo(place)).utcoffset(), "the clock was not moved"
