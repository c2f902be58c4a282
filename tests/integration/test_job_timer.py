"""Jobs follow the schedule, whatever the clock does: the real APScheduler in its threads, with a clock of ours."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rebuilder.service.job_timer import JobTimer
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


class Bench:
    """A job timer with its clocks in hand, that of the library too; ``runs`` holds what was run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.steady = FixedClock(NOON), 0.0
        follow_clock(monkeypatch, self.clock)
        self.runs: queue.Queue[str] = queue.Queue()
        self.block: threading.Event | None = None
        self.ended: queue.Queue[str] = queue.Queue()
        self.timetable = JobTimer(self.clock, self.run, monotonic=lambda: self.steady)

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
        look(self.timetable, self.clock)

    def apply(self, *watches: Watch) -> None:
        """Follow these."""
        self.timetable.apply(Schedule(watches=watches))

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
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A timetable that is started, and stopped after the test."""
    bench = Bench(monkeypatch)
    bench.timetable.start()
    yield bench
    if bench.block is not None:
        bench.block.set()
    bench.timetable.stop()


def settle(bench: Bench, count: int = 1) -> None:
    """Wait until runs have ended, and the pool knows it."""
    for _ in range(count):
        bench.ended.get(timeout=LONG)
    job_timer.settle(bench.timetable)


def test_a_new_watch_runs_at_once_then_by_its_timing(bench: Bench) -> None:
    """The first look comes at once, the second after an hour, not before."""
    bench.apply(watch("a"))
    bench.ran("a")
    settle(bench)
    bench.pass_time(HOUR - timedelta(seconds=1))
    assert bench.runs.empty()
    bench.pass_time(timedelta(seconds=1))
    bench.ran("a")


def test_what_is_the_same_is_not_disturbed(bench: Bench) -> None:
    """Another watch comes, one changes, one goes: the one that stays keeps its time."""
    bench.apply(watch("stays"), watch("changes"), watch("goes"))
    bench.ran("stays", "changes", "goes")
    settle(bench, 3)
    bench.pass_time(HOUR / 2)
    bench.apply(watch("stays"), watch("changes", "flit-core"), watch("comes"))
    bench.ran("changes", "comes")
    planned = bench.timetable.planned()
    assert {"stays", "changes", "comes"} == set(planned)
    assert NOON + HOUR == planned["stays"]


def test_an_exception_stops_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged; others run, and the one that failed runs again."""
    with caplog.at_level(logging.ERROR, "rebuilder"):
        bench.apply(watch("broken"), watch("well"))
        bench.ran("broken", "well")
        settle(bench)
        bench.pass_time(HOUR)
        bench.ran("broken", "well")
    assert any("'broken'" in each for each in caplog.messages)


@pytest.mark.parametrize("timing", [{"every": 60}, {"cron": "* * * * *"}])
def test_a_clock_set_forward_gives_one_run(bench: Bench, timing: dict[str, object]) -> None:
    """Five hours of minutes are missed: one run, and then every minute."""
    bench.apply(watch("a", **timing))
    bench.ran("a")
    settle(bench)
    bench.set_clock(5 * HOUR)
    bench.ran("a")
    settle(bench)
    bench.look()
    assert bench.runs.empty()
    bench.pass_time(timedelta(minutes=1))
    bench.ran("a")


@pytest.mark.parametrize("timing", [{"every": 3600}, {"cron": "0 * * * *"}])
def test_a_clock_set_back_silences_nothing(bench: Bench, timing: dict[str, object]) -> None:
    """Half an hour before the next run the clock goes back by five hours: the run comes in half an hour."""
    bench.apply(watch("a", **timing))
    bench.ran("a")
    settle(bench)
    bench.pass_time(HOUR / 2)
    bench.set_clock(-5 * HOUR)
    assert bench.runs.empty()
    bench.pass_time(HOUR / 2)
    bench.ran("a")
    settle(bench)
    bench.pass_time(HOUR)
    bench.ran("a")


def test_one_run_at_a_time(bench: Bench) -> None:
    """What is due while the run before is still going comes soon after it, once."""
    bench.block = threading.Event()
    bench.apply(watch("a", every=60))
    bench.ran("a")
    bench.pass_time(timedelta(minutes=3))
    bench.pass_time(timedelta(minutes=3))
    assert bench.runs.empty()
    bench.block.set()
    settle(bench)
    bench.pass_time(timedelta(seconds=30))
    bench.ran("a")


def test_what_was_applied_before_the_start_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of start and apply does not matter; applied twice, it runs once."""
    bench = Bench(monkeypatch)
    bench.apply(watch("a"))
    bench.apply(watch("a", "attrs"))
    bench.timetable.start()
    bench.ran("a")
    bench.timetable.stop()


def test_after_the_stop_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that wait for a thread are not begun any more."""
    bench = Bench(monkeypatch)
    bench.block = threading.Event()
    bench.timetable.start()
    bench.apply(*(watch(name) for name in "abcd"))
    first = sorted(bench.runs.get(timeout=LONG) for _ in range(2))
    bench.timetable.stop(wait=False)
    bench.block.set()
    settle(bench, 2)
    assert 2 == len(first)
    assert bench.runs.empty()


def test_sooner_than_planned(bench: Bench) -> None:
    """A job that found nobody home comes back earlier, once; a later moment or a strange name changes nothing."""
    bench.apply(watch("a", every=6 * 3600))
    bench.ran("a")
    bench.timetable.sooner("a", NOON + timedelta(minutes=2))
    bench.timetable.sooner("a", NOON + HOUR)
    bench.timetable.sooner("b", NOON)
    assert {"a": NOON + timedelta(minutes=2)} == bench.timetable.planned()
    bench.pass_time(timedelta(minutes=2))
    bench.ran("a")
    assert bench.timetable.planned()["a"] > NOON + 6 * HOUR - timedelta(minutes=1)


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
    bench: Bench, place: str, start: str
) -> None:
    """No hour is lost, and none is made up for: three hours have twelve runs."""
    bench.set_clock(datetime.fromisoformat(start) - NOON)
    offset = bench.clock.time.astimezone(ZoneInfo(place)).utcoffset()
    bench.apply(watch("a", cron="*/15 * * * *", time_zone=place))
    bench.ran("a")
    for _ in range(12):
        settle(bench)
        bench.pass_time(timedelta(minutes=15))
        bench.ran("a")
    assert offset != bench.clock.time.astimezone(ZoneInfo(place)).utcoffset(), "the clock was not moved"
