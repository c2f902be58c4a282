"""What the ledger says about operations, the same on every database."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.comparison import Level
from rebuilder.model.figures import QueueFigures
from rebuilder.model.operations import Spread
from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.model.report import Stage, summarise
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason, Tier
from rebuilder.store.ledger import Ledger, statistics
from tests.fakes.histories import order, populate, release, verified
from tests.fakes.verifications import NOW, attempt, report

HOUR = timedelta(hours=1)


def test_an_empty_ledger_has_figures(ledger: Ledger) -> None:
    """Nothing known is zero, not an error."""
    ledger.statistics.answers()
    figures, operations = ledger.statistics.figures(NOW), ledger.statistics.operations(NOW)
    assert ({}, 0, 0, None, None, 0) == (
        figures.ecosystems,
        figures.finished,
        figures.failed,
        figures.oldest,
        figures.lead,
        figures.sample.verifications,
    )
    assert set(Reason) == set(figures.queue)
    assert (48, 30, 0, None, ()) == (
        len(operations.hours),
        len(operations.days),
        operations.untested,
        operations.oldest,
        operations.failures,
    )
    assert {verdict: 0 for verdict in Verdict if verdict.publishable} == operations.current


def test_results_are_those_that_stand(ledger: Ledger) -> None:
    """A file counts once, with its newest verdict; what is queued or failed on our side is untested."""
    populate(ledger)
    figures = ledger.statistics.figures(NOW)
    [pypi] = figures.ecosystems.values()
    expected = {
        Verdict.REPRODUCED: 1,
        Verdict.EQUIVALENT: 1,
        Verdict.BUILD_FAILED: 1,
        Verdict.DIFFERS: 1,
        Verdict.UNSUPPORTED: 1,
    }
    assert expected == pypi.verdicts
    assert (2, 5, 7, 2) == (pypi.untested, pypi.tested, pypi.known, pypi.confirmed)
    assert {ProvenanceStatus.VERIFIED: 1} == pypi.provenance
    assert (6, 1) == (figures.finished, figures.failed)
    assert (NOW - HOUR, NOW - 40 * HOUR) == (figures.newest, figures.oldest)
    operations = ledger.statistics.operations(NOW)
    assert expected == {verdict: number for verdict, number in operations.current.items() if number}
    assert 2 == operations.untested
    assert operations.oldest is not None
    assert ("3.18", NOW - 40 * HOUR) == (operations.oldest.version, operations.oldest.finished)


def test_changes_show_at_once(ledger: Ledger) -> None:
    """What was kept from the question before is dropped when a result or a file is new."""
    assert {} == ledger.statistics.figures(NOW).ecosystems
    ledger.pin(release("idna", "1"), NOW)
    assert (1, 0) == (
        ledger.statistics.figures(NOW).ecosystems["pypi"].untested,
        ledger.statistics.operations(NOW).current[Verdict.REPRODUCED],
    )
    of = release("idna", "1")
    verified(ledger, report(of, attempt(of, Level.IDENTICAL)))
    assert 1 == ledger.statistics.figures(NOW).ecosystems["pypi"].confirmed
    assert 1 == ledger.statistics.operations(NOW).current[Verdict.REPRODUCED]


def test_with_many_results_they_are_kept_for_some_seconds(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is asked for all the time does not count everything all the time."""
    monkeypatch.setattr(statistics, "_MANY", 0)
    one, two = release("idna", "1"), release("idna", "2")
    verified(ledger, report(one, attempt(one, Level.IDENTICAL)))
    assert 1 == ledger.statistics.figures(NOW).ecosystems["pypi"].tested
    verified(ledger, report(two, attempt(two, Level.IDENTICAL)))
    assert 1 == ledger.statistics.figures(NOW + timedelta(seconds=4)).ecosystems["pypi"].tested
    assert 2 == ledger.statistics.figures(NOW + timedelta(seconds=5)).ecosystems["pypi"].tested


def test_throughput_by_hour_and_day(ledger: Ledger) -> None:
    """Buckets begin at full hours and days in UTC; our own failures are beside the verdicts."""
    populate(ledger)
    operations = ledger.statistics.operations(NOW.replace(minute=30))
    hours = {each.start: each.verdicts for each in operations.hours if each.verdicts}
    assert {
        NOW - 40 * HOUR: {Verdict.REPRODUCED: 1},
        NOW - 30 * HOUR: {Verdict.EQUIVALENT: 1},
        NOW - 20 * HOUR: {Verdict.BUILD_FAILED: 1},
        NOW - 10 * HOUR: {Verdict.UNSUPPORTED: 1},
        NOW - 1 * HOUR: {Verdict.DIFFERS: 1},
        NOW: {Verdict.INFRA_ERROR: 1},
    } == hours
    assert [NOW - number * HOUR for number in range(47, -1, -1)] == [each.start for each in operations.hours]
    midnight = NOW.replace(hour=0)
    days = {each.start: each.verdicts for each in operations.days if each.verdicts}
    assert {Verdict.UNSUPPORTED: 1, Verdict.DIFFERS: 1, Verdict.INFRA_ERROR: 1} == days[midnight]
    assert {Verdict.REPRODUCED: 1} == days[midnight - timedelta(days=7)]
    assert midnight - timedelta(days=29) == operations.days[0].start
    assert 7 == sum(sum(each.values()) for each in days.values())


def test_failures_are_grouped_by_cause(ledger: Ledger) -> None:
    """The same reason for several files is one group, whatever the figures; examples are newest first."""
    for number in range(5):
        of = release(f"project-{number}", "1.0")
        failed = attempt(of, None)
        run = failed.run.replace(exit_code=1 + number % 2)
        done = report(of, failed.replace(run=run), finished=NOW + number * HOUR)
        verified(ledger, done)
    of = release("differs", "1.0")
    verified(ledger, last := report(of, attempt(of, Level.DIFFERENT), finished=NOW + 9 * HOUR))
    failed_group, differs_group = ledger.statistics.operations(NOW + 10 * HOUR).failures
    assert (Verdict.BUILD_FAILED, 5) == (failed_group.verdict, failed_group.count)
    assert "…" in failed_group.cause
    assert not re.search(r"\d", failed_group.cause)
    assert ["project-4", "project-3", "project-2"] == [each.name for each in failed_group.examples]
    assert (1, (summarise(last),)) == (differs_group.count, differs_group.examples)


def test_effort_is_of_the_last_days(ledger: Ledger) -> None:
    """Durations, resources and attempts are taken from the newest verifications."""
    populate(ledger)
    sample = ledger.statistics.figures(NOW).sample
    assert 6 == sample.verifications
    assert Spread(count=6, median=0.25, p95=0.25) == sample.stages[Stage.ATTESTATIONS]
    assert {Stage.FETCH, Stage.ATTESTATIONS, Stage.BUILD} == set(sample.stages)
    assert Spread(count=7, median=1.25, p95=1.25) == sample.wall
    assert Spread(count=7, median=1.0, p95=1.0) == sample.cpu
    assert Spread(count=7, median=40 << 20, p95=40 << 20) == sample.memory
    assert Spread(count=6, median=1, p95=2) == sample.attempts
    [cost] = sample.costs.values()
    assert ({Tier.FULL: 6}, Spread(count=5, median=1.0, p95=2.0)) == (
        {tier: each.files for tier, each in sample.costs.items()},
        cost.cpu,
    )
    assert Spread(count=6, median=70_000, p95=70_000) == cost.fetched
    assert Spread(count=6, median=9_000, p95=9_000) == cost.written
    assert sample.costs == ledger.statistics.operations(NOW).costs
    assert 0 == ledger.statistics.figures(NOW + timedelta(days=8)).sample.verifications


def test_flaky_is_what_the_same_definition_gave_differently(ledger: Ledger) -> None:
    """Equal definitions with equal results are repeated, not flaky; another digest or outcome is flaky."""
    one, two = release("idna", "1"), release("idna", "2")
    steady = attempt(one, Level.IDENTICAL)
    verified(ledger, report(one, steady, steady.replace(repeat=True)))
    sample = ledger.statistics.figures(NOW).sample
    assert (1, 0) == (sample.repeated, sample.flaky)
    verified(ledger, report(two, attempt(two, Level.DIFFERENT), attempt(two, None, repeat=True)))
    sample = ledger.statistics.figures(NOW).sample
    assert (2, 1) == (sample.repeated, sample.flaky)
    verified(ledger, report(one, attempt(one, Level.DIFFERENT), finished=NOW + HOUR))
    sample = ledger.statistics.figures(NOW + HOUR).sample
    assert (2, 2) == (sample.repeated, sample.flaky)


def test_lead_time_is_of_what_came_out_while_we_watched(ledger: Ledger) -> None:
    """Neither the backlog of a new project nor a second look says how quick the first verdict was."""
    populate(ledger)
    assert Spread(count=1, median=2 * 3600, p95=2 * 3600) == ledger.statistics.figures(NOW).lead
    of = release("idna", "3.21", uploaded=NOW - 3 * HOUR)
    verified(ledger, report(of, attempt(of, Level.IDENTICAL), finished=NOW + 5 * HOUR))
    assert Spread(count=1, median=2 * 3600, p95=2 * 3600) == ledger.statistics.figures(NOW + 6 * HOUR).lead
    assert ledger.statistics.figures(NOW + timedelta(days=8)).lead is None


def test_queue_by_reason(ledger: Ledger) -> None:
    """What waits, what is delayed, what runs; and since when the oldest has been waiting."""
    ledger.queue.add([order(release("a", "1"), Reason.RETRY), order(release("b", "1"), Reason.RETRY)], NOW)
    ledger.queue.add([order(release("c", "1"), Reason.ASKED)], NOW)
    assert ledger.queue.claim("worker", NOW, 60) is not None
    later = NOW + timedelta(seconds=30)
    queue = ledger.statistics.figures(later).queue
    assert QueueFigures(running=1) == queue[Reason.ASKED]
    assert QueueFigures(waiting=2, oldest=NOW) == queue[Reason.RETRY]
    assert QueueFigures() == queue[Reason.RECHECK]
    state = ledger.statistics.operations(later).queue
    assert (2, 1, NOW) == (state.waiting, len(state.running), state.oldest)
    assert QueueFigures(waiting=1, oldest=NOW) == ledger.statistics.figures(NOW + 2 * HOUR).queue[Reason.ASKED]


def test_alarms_are_counted_and_blocked_files_too(ledger: Ledger) -> None:
    """What was raised counts for ever; open is what nobody dealt with."""
    populate(ledger)
    figures = ledger.statistics.figures(NOW)
    assert {AlarmKind.REGRESSION: 1, AlarmKind.ATTESTATION_VANISHED: 1, AlarmKind.DISK: 1} == figures.alarms
    expected = {(AlarmKind.REGRESSION, Severity.PAGE): 1, (AlarmKind.ATTESTATION_VANISHED, Severity.TICKET): 1}
    assert expected == figures.open_alarms
    assert {AlarmKind.ATTESTATION_VANISHED: 1} == figures.blocked
    assert 2 == ledger.statistics.operations(NOW).open_alarms


def test_what_is_only_counted_adds_up(ledger: Ledger) -> None:
    """Cache hits and bills of materials of all workers together."""
    populate(ledger)
    figures = ledger.statistics.figures(NOW)
    assert {
        ("cache", "resolution:hit"): 18,
        ("cache", "resolution:miss"): 6,
        ("inputs", "incomplete"): 7,
    } == figures.tallies
    assert ["top"] == [each.name for each in figures.watches]
    assert figures.watches == ledger.statistics.operations(NOW).watches
