"""Published reports that are run again: which are next, what is kept of it, and that all they need is kept."""

from __future__ import annotations

from datetime import timedelta

from rebuilder.model.comparison import Level
from rebuilder.model.replay import ReplayedByAge, ReplayOutcome
from rebuilder.model.report import Report
from rebuilder.replay.published import of_our_own
from rebuilder.replay.replayer import needed_inputs
from rebuilder.store.ledger import Ledger
from tests.fakes import verifications
from tests.fakes.orders import order_for
from tests.fakes.verifications import NOW

AGREES, DIFFERS, LOST = ReplayOutcome.AGREES, ReplayOutcome.DIFFERS, ReplayOutcome.NOT_REPLAYED


def publish(ledger: Ledger, name: str, level: Level | None, *, days: int = 0, again: bool = False) -> Report:
    """A report that was signed some days before the present of the tests."""
    artifact = verifications.artifact(name, "1.0", verifications.digest(name))
    finished = NOW - timedelta(days=days)
    attempts = [verifications.attempt(artifact, level)]
    if again:
        attempts.append(verifications.attempt(artifact, level, repeat=True))
    report = verifications.report(artifact, *attempts, finished=finished)
    number = ledger.begin(artifact, finished)
    ledger.examined(number, report)
    ledger.finish(number, verifications.signed(report))
    return report


def names(ledger: Ledger, limit: int | None = None) -> list[str]:
    """Projects whose reports are to be run again, in order."""
    return [each.name for each in ledger.replays.due(NOW - timedelta(days=7), limit=limit)]


def number_of(ledger: Ledger, report: Report) -> int:
    """Of the verification of a report."""
    found = ledger.replays.report(order_for(report.artifact))
    assert found is not None
    assert found[1].report == report
    return found[0]


def test_what_is_next(ledger: Ledger) -> None:
    """What lasts and is old enough: first what was never run again, then what was not for longest."""
    one, two = publish(ledger, "one", Level.IDENTICAL, days=9), publish(ledger, "two", Level.IDENTICAL, days=8)
    publish(ledger, "stable", Level.DIFFERENT, days=9, again=True)
    publish(ledger, "young", Level.IDENTICAL, days=1)
    publish(ledger, "failed", None, days=9)
    publish(ledger, "equivalent", Level.EQUIVALENT, days=9)
    assert {"one", "two", "stable"} == set(names(ledger))
    ledger.replays.add(number_of(ledger, two), AGREES, "It came out.", NOW)
    ledger.replays.add(number_of(ledger, one), AGREES, "It came out.", NOW + timedelta(hours=1))
    assert ["stable", "two", "one"] == names(ledger)
    assert ["stable"] == names(ledger, limit=1)
    assert [] == ledger.replays.due(NOW, ecosystem="npm")


def test_chance_decides_among_equals(ledger: Ledger) -> None:
    """Of many that were never run again, not always the same come first."""
    for number in range(12):
        publish(ledger, f"project-{number}", Level.IDENTICAL, days=9)
    assert len({tuple(names(ledger, limit=3)) for _ in range(20)}) > 1


def test_what_came_of_it_by_age(ledger: Ledger) -> None:
    """The last time of each report counts; the time before is told to whoever adds the next."""
    young, old = publish(ledger, "young", Level.IDENTICAL, days=10), publish(ledger, "old", Level.IDENTICAL, days=400)
    assert () == ledger.statistics.operations(NOW).replays
    assert None is ledger.replays.add(number_of(ledger, young), AGREES, "Yes.", NOW)
    assert None is ledger.replays.add(number_of(ledger, old), AGREES, "Yes.", NOW)
    assert AGREES is ledger.replays.add(number_of(ledger, old), LOST, "No.", NOW)
    assert LOST is ledger.replays.add(number_of(ledger, old), DIFFERS, "No.", NOW)
    expected = (ReplayedByAge(days=30, outcomes={AGREES: 1}), ReplayedByAge(days=None, outcomes={DIFFERS: 1}))
    assert expected == ledger.statistics.operations(NOW).replays == ledger.statistics.figures(NOW).replays


def test_what_it_needs_is_kept(ledger: Ledger) -> None:
    """Everything a published report has to have is referred to, for as long as there is the report."""
    report = publish(ledger, "one", Level.IDENTICAL, days=400)
    ledger.forget(NOW + timedelta(days=4000))
    published = of_our_own(report)
    assert published is not None
    needed = {*published.environments, *(each.sha256 for each in needed_inputs(published))}
    assert len(needed) > 2
    assert {bytes.fromhex(each) for each in needed} <= ledger.references()


def test_nothing_to_run_again(ledger: Ledger) -> None:
    """A file that has no report, and one of which nothing was built."""
    assert None is ledger.replays.report(order_for(verifications.artifact()))
    report = publish(ledger, "failed", None)
    assert None is of_our_own(report)
