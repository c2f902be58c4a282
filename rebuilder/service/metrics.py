"""Metrics for Prometheus, made from the ledger whenever they are asked for.

So they are right with many processes and after a restart, and counters never go backwards. Every ``serve`` on one
ledger tells the same: an expression over several of them takes the maximum, not the sum. docs/operate/metrics.md
lists them all.

What is only counted is kept in the ledger under these names and labels (see :func:`rebuilder.service.worker.tallies`):

``cache``, ``KIND:hit`` or ``KIND:miss``
    questions to a cache.
``inputs``, ``complete`` or ``incomplete``
    attempts by whether each input of their definition says what it is and where it is from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from rebuilder import __version__
from rebuilder.errors import RebuilderError
from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.figures import Figures, ProcessFigures
from rebuilder.model.fleet import RunnerState
from rebuilder.model.operations import Spread
from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.model.replay import AGES, ReplayOutcome
from rebuilder.model.verdict import Verdict


class Metrics(Collector):
    """Collects everything anew at each scrape; see :func:`scrape`."""

    def __init__(self, figures: Callable[[], Figures], place: Callable[[], ProcessFigures]) -> None:
        self._figures = figures
        self._place = place

    def collect(self) -> Iterator[Metric]:
        """What Prometheus is told."""
        yield InfoMetricFamily("rebuilder_build", "The version that runs.", {"version": __version__})
        yield from _here(self._place())
        try:
            figures = self._figures()
        except RebuilderError:
            yield _gauge("rebuilder_ledger_up", "1 when the ledger answers, 0 when it does not.", {(): 0})
            return
        yield _gauge("rebuilder_ledger_up", "1 when the ledger answers, 0 when it does not.", {(): 1})
        for part in (_results, _provenance, _effort, _counted, _queue, _fleet, _replays, _watches, _alarms):
            yield from part(figures)


_Values = Mapping[Any, float | None]
"""Values of the labels, in order, to the value of the metric; None: nothing is told."""


def _gauge(name: str, documentation: str, values: _Values, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, documentation, labels=labels), values)


def _counter(name: str, documentation: str, values: _Values, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, documentation, labels=labels), values)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, values: _Values) -> Metric:
    for labels, value in values.items():
        if value is not None:
            family.add_metric(labels, value)
    return family


def _summary(name: str, documentation: str, spreads: Mapping[Any, Spread | None], *labels: str) -> Metric:
    """Two quantiles of a sample; its sum and count would not only grow, so there are none."""
    family = Metric(name, documentation, "summary")
    for values, each in spreads.items():
        given = dict(zip(labels, values, strict=True))
        for quantile, value in (("0.5", each.median), ("0.95", each.p95)) if each is not None else ():
            family.add_sample(name, {**given, "quantile": quantile}, value)
    return family


def _here(place: ProcessFigures) -> Iterator[Metric]:
    yield _gauge(
        "rebuilder_workers",
        "Worker processes of this service: those that are alive, and those there should be.",
        {("alive",): place.workers, ("wanted",): place.workers_wanted},
        "state",
    )
    yield _gauge("rebuilder_store_free_bytes", "Free space on the disk of the store.", {(): place.store_free_bytes})
    yield _gauge("rebuilder_store_size_bytes", "Size of the disk of the store.", {(): place.store_size_bytes})
    yield _gauge(
        "rebuilder_signing_key_due_timestamp_seconds",
        "When the signing key is to be replaced.",
        {(): place.key_due.timestamp() if place.key_due else None},
    )


def _results(figures: Figures) -> Iterator[Metric]:
    ecosystems = figures.ecosystems.items()
    verdicts = [each for each in Verdict if each.publishable]
    yield _gauge(
        "rebuilder_artifacts",
        "Published files by their newest verdict; those without one are untested.",
        {(name, verdict.value): each.verdicts.get(verdict, 0) for name, each in ecosystems for verdict in verdicts}
        | {(name, "untested"): each.untested for name, each in ecosystems},
        "ecosystem",
        "verdict",
    )
    yield _gauge(
        "rebuilder_reproduced_artifacts",
        "Reproduced files: by the build alone, or with recorded values written into the finished archive.",
        {(name, "build-alone"): each.alone for name, each in ecosystems}
        | {(name, "metadata-written"): each.written for name, each in ecosystems},
        "ecosystem",
        "by",
    )
    yield _gauge(
        "rebuilder_known_artifacts",
        "Published files that are known: the denominator of every percentage on the site.",
        {(name,): each.known for name, each in ecosystems},
        "ecosystem",
    )
    yield _gauge(
        "rebuilder_tested_artifacts",
        "Published files that have a verdict, whichever it is.",
        {(name,): each.tested for name, each in ecosystems},
        "ecosystem",
    )
    yield _gauge(
        "rebuilder_reproducible_ratio",
        "Share of files that a rebuild confirms, of those that are known and of those that have a verdict.",
        {(name, "known"): each.confirmed / each.known for name, each in ecosystems if each.known}
        | {(name, "tested"): each.confirmed / each.tested for name, each in ecosystems if each.tested},
        "ecosystem",
        "of",
    )
    for name, documentation, moment in (
        ("rebuilder_newest_result_timestamp_seconds", "When the newest verdict was reached.", figures.newest),
        (
            "rebuilder_oldest_result_timestamp_seconds",
            "When the oldest verdict that still stands was reached.",
            figures.oldest,
        ),
    ):
        yield _gauge(name, documentation, {(): moment.timestamp() if moment else None})


def _provenance(figures: Figures) -> Iterator[Metric]:
    statuses = list(ProvenanceStatus)
    ecosystems = figures.ecosystems.items()
    yield _gauge(
        "rebuilder_provenance_artifacts",
        "Published files with a verdict, by what checking their attestations said.",
        {(name, status.value): each.provenance.get(status, 0) for name, each in ecosystems for status in statuses}
        | {(name, "unchecked"): each.tested - sum(each.provenance.values()) for name, each in ecosystems},
        "ecosystem",
        "status",
    )
    kinds = ("attestation-invalid", "attestation-vanished", "publisher-changed", "expectation-broken")
    yield _gauge(
        "rebuilder_policy_blocked_artifacts",
        "Published files with an open alarm about who signed them.",
        {(kind,): figures.blocked.get(AlarmKind(kind), 0) for kind in kinds},
        "kind",
    )


def _effort(figures: Figures) -> Iterator[Metric]:
    sample = figures.sample
    yield _gauge(
        "rebuilder_sample_verifications",
        "Newest verifications of the last seven days that durations and resources are taken from.",
        {(): sample.verifications},
    )
    yield _summary(
        "rebuilder_stage_seconds",
        "Wall time of a stage; the stage attestations is the checking of signatures.",
        {(stage.value,): each for stage, each in sample.stages.items()},
        "stage",
    )
    for name, documentation, each in (
        ("rebuilder_build_wall_seconds", "Wall time of one attempt.", sample.wall),
        ("rebuilder_build_cpu_seconds", "Processor time of one attempt.", sample.cpu),
        ("rebuilder_build_peak_memory_bytes", "Highest resident memory of one attempt.", sample.memory),
        ("rebuilder_attempts_per_artifact", "Attempts that one verification took.", sample.attempts),
        (
            "rebuilder_lead_time_seconds",
            "From publication to first verdict, of first verdicts in the last seven days.",
            figures.lead,
        ),
    ):
        yield _summary(name, documentation, {(): each})
    costs = sample.costs.items()
    for name, documentation, spreads in (
        ("cpu_seconds", "Processor time of all builds of one published file", {t: each.cpu for t, each in costs}),
        ("fetched_bytes", "Bytes fetched for one published file", {t: each.fetched for t, each in costs}),
        ("written_bytes", "New bytes in the store for one published file", {t: each.written for t, each in costs}),
    ):
        said = f"{documentation}, by how thoroughly it was looked at."
        yield _summary(
            f"rebuilder_artifact_{name}", said, {(tier.value,): each for tier, each in spreads.items()}, "tier"
        )
    yield _gauge(
        "rebuilder_lead_time_artifacts",
        "Files that the lead time is taken from.",
        {(): figures.lead.count if figures.lead else 0},
    )
    yield _gauge(
        "rebuilder_repeated_definitions",
        "Definitions in the sample that have been run more than once.",
        {(): sample.repeated},
    )
    yield _gauge(
        "rebuilder_flaky_definitions",
        "Definitions in the sample that did not give the same each time they were run.",
        {(): sample.flaky},
    )


def _counted(figures: Figures) -> Iterator[Metric]:
    yield _counter(
        "rebuilder_verifications_total",
        "Verifications that ended with a verdict, or failed on our side.",
        {("verdict",): figures.finished, ("infra-error",): figures.failed},
        "result",
    )
    caches = {label: value for (name, label), value in figures.tallies.items() if name == "cache"}
    kinds = sorted({label.rpartition(":")[0] for label in caches})
    yield _counter(
        "rebuilder_cache_requests_total",
        "Questions to a cache, by whether it had the answer.",
        {(kind, result): caches.get(f"{kind}:{result}", 0) for kind in kinds for result in ("hit", "miss")},
        "kind",
        "result",
    )
    yield _counter(
        "rebuilder_attempt_inputs_total",
        "Attempts by whether each input of their definition has its version, address and digest.",
        {(each,): figures.tallies.get(("inputs", each), 0) for each in ("complete", "incomplete")},
        "inputs",
    )


def _queue(figures: Figures) -> Iterator[Metric]:
    queue = figures.queue.items()
    states = ("waiting", "delayed", "running")
    yield _gauge(
        "rebuilder_queue_tasks",
        "Queued files: those that could be worked on, those that wait for their time, those somebody is at.",
        {(reason.value, state): getattr(each, state) for reason, each in queue for state in states},
        "reason",
        "state",
    )
    yield _gauge(
        "rebuilder_queue_oldest_seconds",
        "How long the oldest file that could be worked on has been waiting; 0 when none is.",
        {
            (reason.value,): max((figures.now - each.oldest).total_seconds(), 0) if each.oldest else 0
            for reason, each in queue
        },
        "reason",
    )


def _fleet(figures: Figures) -> Iterator[Metric]:
    queues, runners = figures.fleet.queues.items(), figures.fleet.runners
    yield _gauge(
        "rebuilder_fleet_waiting",
        "Runs that were asked of runners and not answered yet.",
        {(name,): each.waiting for name, each in queues},
        "queue",
    )
    yield _gauge(
        "rebuilder_fleet_oldest_seconds",
        "How long the first of them has been waiting; 0 when there is none.",
        {(name,): max((figures.now - each.oldest).total_seconds(), 0) if each.oldest else 0 for name, each in queues},
        "queue",
    )
    yield _gauge(
        "rebuilder_fleet_runners",
        "Enrolled runners by whether their answers count.",
        {(state.value,): sum(each.state is state for each in runners) for state in RunnerState},
        "state",
    )
    yield _counter(
        "rebuilder_fleet_runs_total",
        "Answers of a runner that were accepted.",
        {(each.name,): each.runs for each in runners},
        "runner",
    )
    yield _gauge(
        "rebuilder_fleet_seen_timestamp_seconds",
        "When an answer of an active runner was last accepted.",
        {
            (each.name,): each.seen.timestamp() if each.seen else None
            for each in runners
            if each.state is RunnerState.ACTIVE
        },
        "runner",
    )


def _replays(figures: Figures) -> Iterator[Metric]:
    found = {each.days: each.outcomes for each in figures.replays}
    yield _gauge(
        "rebuilder_replayed_reports",
        "Published reports that were run again, by their age then (up to so many days) and what came of it last.",
        {
            (str(age or "older"), outcome.value): found.get(age, {}).get(outcome, 0)
            for age in AGES
            for outcome in ReplayOutcome
        },
        "age",
        "outcome",
    )


def _watches(figures: Figures) -> Iterator[Metric]:
    yield _gauge(
        "rebuilder_watch_checked_timestamp_seconds",
        "When a watch last looked for something new.",
        {(each.name,): each.checked.timestamp() for each in figures.watches},
        "watch",
    )
    yield _gauge(
        "rebuilder_watch_projects",
        "Projects that a watch looked at, and those of them that could not be looked at.",
        {(each.name, "all"): each.projects for each in figures.watches}
        | {(each.name, "failed"): each.failed for each in figures.watches},
        "watch",
        "result",
    )


def _alarms(figures: Figures) -> Iterator[Metric]:
    yield _counter(
        "rebuilder_alarms_total",
        "Alarms that were ever raised; one that is raised again counts once.",
        {(kind.value,): figures.alarms.get(kind, 0) for kind in AlarmKind},
        "kind",
    )
    yield _gauge(
        "rebuilder_alarms_open",
        "Alarms that nobody has acknowledged and whose condition has not passed.",
        {
            (kind.value, severity.value): figures.open_alarms.get((kind, severity), 0)
            for kind in AlarmKind
            for severity in Severity
        },
        "kind",
        "severity",
    )


def scrape(figures: Callable[[], Figures], place: Callable[[], ProcessFigures]) -> bytes:
    """All metrics in Prometheus' text format; a ledger that does not answer is a metric too, not an error.

    Args:
        figures: Gives what the ledger says; see ``Statistics.figures``.
        place: Gives what this process sees beside it.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Metrics(figures, place))
    return generate_latest(registry)
