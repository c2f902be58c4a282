"""Restarts, take-overs and a moved clock: every watch looks when it should, or somebody is told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.alarms.rules import settle
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.operations import WatchState
from rebuilder.store.ledger import Ledger
from tests.fakes.clock import FixedClock
from tests.fakes.job_timer import follow_clock
from tests.fakes.ledgers import open_ledger
from tests.fakes.watching import Planner

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
DAILY = '[[watch]]\npackages = ["idna"]\nevery = "1d"\n'


class Machine:
    """A ledger, a directory of schedules, and the services that are started on them."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.schedules, self.ledger, self.clock = root / "schedules", ledger, FixedClock()
        self.schedules.mkdir()
        self.write("daily.toml", DAILY)
        self.started: list[Planner] = []

    def write(self, name: str, text: str) -> None:
        """Write a schedule file."""
        (self.schedules / name).write_text(text)

    def start(self, owner: str = "one/1/1") -> Planner:
        """Start a service."""
        planner = Planner(self.schedules, self.ledger, self.clock, owner)
        self.started.append(planner)
        return planner

    def late(self, planner: Planner) -> list[str]:
        """What a service's look at itself leaves open about watches."""
        now = self.clock.now()
        settle(self.ledger.alarm_book, planner.planning.judge(now), now)
        return [each.sentence for each in self.ledger.alarms() if each.kind is AlarmKind.WATCH_OVERDUE]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """One daily watch; whatever was started is stopped after the test."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        machine = Machine(tmp_path, ledger)
        follow_clock(monkeypatch, machine.clock)
        yield machine
        for each in machine.started:
            each.settled()
            each.planning.stop()
            each.settled()


def test_a_restart_looks_at_once(machine: Machine) -> None:
    """The term of the service before is given up at its stop: the next one leads, and every watch looks."""
    before = machine.start("one/1/1")
    before.looked("daily")
    before.planning.stop()
    after = machine.start("one/2/2")
    after.looked("daily")


def test_a_nightly_restart_starves_no_daily_watch(machine: Machine) -> None:
    """However unluckily it falls: there is a look in every night, and nothing to tell."""
    for night in range(5):
        planner = machine.start(f"one/{night + 1}/1")
        planner.looked("daily")
        planner.passes(DAY - MINUTE)
        assert [] == machine.late(planner)
        planner.settled()
        planner.planning.stop()
        machine.clock.time += MINUTE


def test_a_service_that_was_killed_is_followed_when_its_term_ends(machine: Machine) -> None:
    """Its watches look as soon as another service leads, not at their next time."""
    machine.start("elsewhere/1/1").looked("daily")
    second = machine.start("here/2/2")
    second.passes(timedelta(seconds=30))
    second.settled()
    assert second.looks.seen.empty()
    second.passes(timedelta(seconds=31))
    second.look()
    second.looked("daily")


def test_a_service_that_is_certainly_gone_is_not_waited_for(tmp_path: Path, machine: Machine) -> None:
    """A process that is no more has no term."""
    with open_ledger(tmp_path / "ledger.sqlite") as other:
        assert other.lead("schedules", "gone/1/1", machine.clock.now())
    machine.start("here/2/2").looked("daily")


def test_who_stopped_never_leads_again(machine: Machine) -> None:
    """A loop that runs a last time does not take the lead back."""
    planner = machine.start("one/1/1")
    planner.looked("daily")
    planner.planning.stop()
    planner.planning.follow()
    assert machine.ledger.lead("schedules", "two/1/1", machine.clock.now())


def test_jitter_spreads_the_first_looks_of_what_is_not_due(machine: Machine) -> None:
    """What looked a moment ago is not in a hurry; what is due is."""
    machine.write("daily.toml", DAILY + 'jitter = "2h"\n')
    machine.write("other.toml", DAILY + 'name = "other"\njitter = "2h"\n')
    first = machine.start("one/1/1")
    first.looked("daily", "other")
    first.planning.stop()
    machine.clock.time += DAY
    machine.write("new.toml", '[[watch]]\npackages = ["six"]\nevery = "1d"\njitter = "2h"\n')
    second = machine.start("one/2/2")
    second.looked("daily", "other", "new")
    second.planning.stop()
    machine.clock.time += HOUR
    third = machine.start("one/3/3")
    third.look()
    third.settled()
    assert third.looks.seen.empty()
    third.passes(HOUR)
    third.looked("daily", "other", "new")


def test_a_recheck_is_run_when_it_is_due(machine: Machine) -> None:
    """Its last run is in the ledger: a service that is restarted every hour checks no more than another."""
    (machine.schedules / "daily.toml").unlink()
    machine.write("monthly.toml", '[[recheck]]\nevery = "30d"\n')
    checked = []
    for number in range(3):
        planner = machine.start(f"one/{number + 1}/1")
        planner.look()
        planner.settled()
        [state] = machine.ledger.watches.all()
        checked.append(state.checked)
        planner.planning.stop()
        machine.clock.time += DAY
    assert 1 == len(set(checked))
    machine.clock.time += 28 * DAY
    planner = machine.start("one/9/1")
    planner.look()
    planner.settled()
    assert checked[0] + 31 * DAY == machine.ledger.watches.all()[0].checked


def test_an_overdue_watch_is_an_alarm_until_it_looks(machine: Machine) -> None:
    """Its interval and some slack; figures in the sentence, one alarm."""
    planner = machine.start()
    planner.looked("daily")
    planner.rest()
    machine.clock.time += DAY + 2 * HOUR
    assert [] == machine.late(planner)
    machine.clock.time += HOUR
    for _ in range(2):
        [sentence] = machine.late(planner)
    assert "daily should have been checked by 2026-11-02 12:00 UTC; it was last at 2026-11-01 12:00 UTC." == sentence
    planner.step()
    planner.looked("daily")
    assert [] == machine.late(planner)


def test_a_watch_that_never_looked_is_overdue_soon(machine: Machine) -> None:
    """It should have looked at once; looks that come to nothing, however often they are made again, are none."""
    planner = machine.start()
    planner.looked("daily")
    planner.looks.silent = True
    machine.write("broken.toml", '[[watch]]\npackages = ["six"]\nevery = "1d"\n')
    planner.planning.follow()
    planner.looked("broken")
    assert [] == machine.late(planner)
    for _ in range(3):
        planner.passes(20 * MINUTE)
        planner.looked("broken")
        [sentence] = machine.late(planner)
        assert sentence.startswith("broken ")


def test_an_alarm_about_a_watch_that_is_gone_is_cleared(machine: Machine) -> None:
    """Nobody waits for what is not in the schedule any more."""
    planner = machine.start()
    planner.looked("daily")
    machine.clock.time += 2 * DAY
    assert machine.late(planner)
    (machine.schedules / "daily.toml").unlink()
    for _ in range(3):
        planner.planning.follow()
        machine.clock.time += MINUTE
    assert [] == machine.late(planner)


def test_a_look_that_failed_is_made_again_soon(machine: Machine) -> None:
    """After minutes: a ledger or an index that is away costs no whole interval."""
    planner = machine.start()
    planner.looked("daily")
    planner.looks.silent = True
    planner.passes(DAY)
    planner.looked("daily")
    planner.looks.silent = False
    planner.passes(2 * MINUTE)
    planner.looked("daily")


def test_a_clock_that_was_wrong(machine: Machine) -> None:
    """A look that is said to be in the future, by a clock that was set back, binds nobody."""
    machine.clock.time += 400 * DAY
    first = machine.start("one/1/1")
    first.looked("daily")
    first.planning.stop()
    machine.clock.time -= 400 * DAY
    second = machine.start("one/2/2")
    second.looked("daily")
    assert [] == machine.late(second)


def states(machine: Machine) -> dict[str, WatchState]:
    """What the ledger says of each watch."""
    return {each.name: each for each in machine.ledger.watches.all()}


def test_the_next_look_is_told(machine: Machine) -> None:
    """It is that of the timing; what is in no schedule any more has none."""
    planner = machine.start()
    planner.looked("daily")
    planner.settled()
    planner.planning.follow()
    assert machine.clock.now() + DAY == states(machine)["daily"].planned
    machine.write("daily.toml", DAILY.replace("1d", "6h"))
    planner.passes(MINUTE)
    planner.looked("daily")
    planner.settled()
    planner.planning.follow()
    assert machine.clock.now() + 6 * HOUR == states(machine)["daily"].planned
    (machine.schedules / "daily.toml").unlink()
    for _ in range(2):  # a file that is being replaced is not gone
        planner.planning.follow()
        machine.clock.time += MINUTE
    assert [None] == [each.planned for each in states(machine).values()]


def test_a_look_that_fails_as_a_whole_says_why(machine: Machine) -> None:
    """What it found before stays beside the reason."""
    planner = machine.start()
    planner.looked("daily")
    planner.looks.silent = True
    planner.passes(DAY)
    planner.looked("daily")
    planner.settled()
    found = states(machine)["daily"]
    assert (1, "The index does not answer.") == (found.projects, found.trouble)
    planner.planning.follow()
    assert machine.clock.now() + 2 * MINUTE == states(machine)["daily"].planned
