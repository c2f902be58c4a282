"""Reports that the service runs again: a few each night, by workers, with an alarm when one does so no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.model.alarm import AlarmKind
from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.replay import ReplayOutcome
from rebuilder.model.report import Report
from rebuilder.model.work import Check, Order, Reason
from rebuilder.service.discovery import plan
from rebuilder.service.schedules.watch import NIGHTLY, Recheck, Schedule, Timing, Watch
from rebuilder.service.worker import Worker
from rebuilder.stopwatch import WatchedEnvironments
from rebuilder.store.ledger import Ledger
from tests.fakes import verifications
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.environments import FakeEnvironments
from tests.fakes.idle import IdleEcosystem, idle_parts
from tests.fakes.ledgers import open_ledger
from tests.fakes.orders import order_for


class Nights:
    """A service with one published report; each run gives what is laid out."""

    def __init__(self, root: Path, ledger: Ledger) -> None:
        self.ledger, self.clock, self.blobs = ledger, FixedClock(), MemoryBlobs()
        self.environments = FakeEnvironments(root / "trees")
        self.tree = self.environments.get("trixie").sha256
        self.report = self._published()
        attempt = self.report.attempts[0]
        assert attempt.rebuilt is not None
        self.outputs: tuple[Output, ...] = (attempt.rebuilt,)
        parts = idle_parts(ledger, self.blobs, self.clock, IdleEcosystem())
        watched = WatchedEnvironments(self.environments, parts.stopwatch, recent=-1.0)
        parts = replace(parts, run=self._run, environments=watched)
        self.worker = Worker(parts, owner="a", lease_seconds=60)

    def _published(self) -> Report:
        artifact, finished = verifications.artifact(), self.clock.time - timedelta(days=10)
        attempt = verifications.attempt(artifact, Level.IDENTICAL)
        inputs = tuple(
            each.replace(sha256=self.blobs.put(each.name.encode())) for each in attempt.hypothesis.definition.inputs
        )
        definition = attempt.hypothesis.definition.replace(
            inputs=inputs, toolchain=EnvironmentRef(name="trixie", sha256=self.tree)
        )
        attempt = attempt.replace(hypothesis=attempt.hypothesis.replace(definition=definition))
        report = verifications.report(artifact, attempt, finished=finished)
        number = self.ledger.begin(artifact, finished)
        self.ledger.examined(number, report)
        self.ledger.finish(number, verifications.signed(report))
        return report

    def _run(self, definition: BuildDefinition) -> Run:
        run = self.report.attempts[0].run
        assert self.report.attempts[0].hypothesis.definition == definition
        return run.replace(outputs=self.outputs)

    def night(self) -> tuple[list[str], list[str]]:
        """Ask for the report, let the worker do it; how each time ended, and the alarms about it."""
        self.clock.time += timedelta(days=1)
        order = order_for(self.report.artifact, reason=Reason.RECHECK, check=Check.REPLAY)
        assert 1 == self.ledger.queue.add([order], self.clock.time)
        assert self.worker.step()
        assert 0 == self.ledger.queue.state(self.clock.time).waiting
        ages = self.ledger.statistics.operations(self.clock.time).replays
        outcomes = [outcome.value for each in ages for outcome in each.outcomes]
        alarms = [each.sentence for each in self.ledger.alarms() if each.kind is AlarmKind.REPLAY_LOST]
        return outcomes, alarms


@pytest.fixture
def nights(tmp_path: Path) -> Iterator[Nights]:
    """Everything is as it was when the report was made."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Nights(tmp_path, ledger)


def test_as_long_as_all_is_there(nights: Nights) -> None:
    """It agrees, nothing is said about the artifact, and nobody is told."""
    assert (["agrees"], []) == nights.night()
    assert (["agrees"], []) == nights.night()
    found = nights.ledger.replays.report(order_of(nights))
    assert found is not None
    assert nights.report == found[1].report


def order_of(nights: Nights) -> Order:
    """An order for the file of the report."""
    return order_for(nights.report.artifact)


def test_an_input_that_was_lost(nights: Nights) -> None:
    """A report that agreed and then lacks an input is an alarm that names it; each night it is the same one."""
    assert (["agrees"], []) == nights.night()
    lost = nights.report.attempts[0].hypothesis.definition.inputs[0]
    del nights.blobs.content[lost.sha256]
    outcomes, [alarm] = nights.night()
    assert ["not-replayed"] == outcomes
    assert lost.name in alarm
    assert (["not-replayed"], [alarm]) == nights.night()


def test_other_bytes(nights: Nights) -> None:
    """What never agreed is counted and is no alarm; what did is."""
    right = nights.outputs
    nights.outputs = (right[0].replace(sha256=verifications.digest("other")),)
    assert (["differs"], []) == nights.night()
    nights.outputs = right
    assert (["agrees"], []) == nights.night()
    nights.outputs = ()
    outcomes, [alarm] = nights.night()
    assert ["differs"] == outcomes
    assert "no such file" in alarm


def test_a_build_that_fails_now(nights: Nights) -> None:
    """It did not complete: that is told as such, not as other bytes."""
    run = nights.report.attempts[0].run.replace(outcome=Outcome.BUILD_FAILED, exit_code=1, outputs=())
    nights.worker.parts = replace(nights.worker.parts, run=lambda _: run)
    assert (["not-replayed"], []) == nights.night()


def test_an_environment_that_was_lost(nights: Nights) -> None:
    """The environment is named with its digest."""
    nights.night()
    nights.environments._digests.clear()
    _, [alarm] = nights.night()
    assert nights.tree in alarm


WATCH = Watch(name="mine", file="mine.toml", packages=("idna",), timing=Timing(every=3600))


def recheck(check: Check) -> Recheck:
    """A recheck of everything."""
    return Recheck(name="mine", file="mine.toml", older_than=1, check=check, at_most=5, timing=Timing(every=86_400))


def test_a_few_each_night() -> None:
    """Where something is watched, unless the settings or a schedule say something else."""
    found = Schedule(watches=(WATCH,)).with_replays(3)
    (nightly,) = found.rechecks
    assert (NIGHTLY, Check.REPLAY, 3) == (nightly.name, nightly.check, nightly.at_most)
    assert found == found.with_replays(3)
    for same, number in (
        (Schedule(), 3),
        (Schedule(watches=(WATCH,)), 0),
        (Schedule(watches=(WATCH,), rechecks=(recheck(Check.REPLAY),)), 3),
        (Schedule(watches=(WATCH.replace(name=NIGHTLY),)), 3),
    ):
        assert same == same.with_replays(number)
    others = Schedule(watches=(WATCH,), rechecks=(recheck(Check.INPUTS),))
    assert 2 == len(others.with_replays(3).rechecks)


def test_what_is_asked_for(nights: Nights) -> None:
    """The orders of a night are replays, and a verification that is asked for meanwhile is more than one."""
    orders = plan(recheck(Check.REPLAY), nights.ledger, nights.clock.time)
    assert [(Check.REPLAY, nights.report.artifact.filename)] == [(each.check, each.filename) for each in orders]
    nights.ledger.queue.add(orders, nights.clock.time)
    nights.ledger.queue.add([order_of(nights)], nights.clock.time)
    lease = nights.ledger.queue.claim("a", nights.clock.time, 60)
    assert lease is not None
    assert Check.VERIFY is lease.task.order.check


def test_outcomes_have_one_name_each() -> None:
    """The names that documents and metrics have."""
    assert ["agrees", "differs", "varies", "not-replayed"] == [each.value for each in ReplayOutcome]
