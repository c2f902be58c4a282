"""Ledgers with a history: every kind of row that figures, pages and metrics are made from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import Artifact
from rebuilder.model.comparison import Level
from rebuilder.model.evidence import Obstacle
from rebuilder.model.fleet import EnrolledRunner, RunnerState
from rebuilder.model.operations import WatchState
from rebuilder.model.provenance import Provenance, ProvenanceStatus
from rebuilder.model.report import Report, Stage, Transferred
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Order, Reason
from rebuilder.service.worker import tallies
from rebuilder.store.ledger import Ledger
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed

CACHES = {"resolution": (3, 1)}


def release(name: str, version: str, **file: object) -> Artifact:
    """A published wheel with bytes of its own."""
    of = artifact(name, version, digest(f"{name} {version}"))
    return of.replace(file=of.file.replace(**file))


def order(of: Artifact, reason: Reason = Reason.RELEASE) -> Order:
    """What is asked of the queue for an artifact."""
    return Order(
        ecosystem=of.ecosystem,
        purl=of.purl,
        name=of.name,
        version=of.version,
        filename=of.filename,
        sha256=of.sha256,
        reason=reason,
        watch="top",
    )


def with_provenance(of: Report, status: ProvenanceStatus) -> Report:
    """A report that says how checking the attestations ended."""
    return of.replace(provenance=Provenance(status=status, sentence="Checked."))


def verified(ledger: Ledger, of: Report, cache_hits: Mapping[str, tuple[int, int]] | None = None) -> None:
    """Take a report through the queue and the ledger, as worker and press do."""
    first_of_all = order(of.artifact, Reason.ASKED).replace(nudge=-9)
    ledger.queue.add([first_of_all], of.started)
    lease = ledger.queue.claim("worker", of.started, 600)
    assert lease is not None
    assert lease.task.order.filename == of.artifact.filename
    number = ledger.begin(of.artifact, of.started)
    for ordinal, each in enumerate(of.attempts):
        ledger.add_attempt(number, ordinal, each)
    ledger.queue.complete(lease, number, of, tallies(of, cache_hits or {}))
    ledger.finish(number, signed(of))


def alarm(kind: AlarmKind, purl: str = "", filename: str = "") -> Alarm:
    """One alarm."""
    return Alarm(kind=kind, purl=purl, filename=filename, sentence=f"An alarm: {kind.value}.", raised=NOW)


def populate(ledger: Ledger) -> None:
    """A week of a small service, up to ``NOW``: two projects, a recheck, failures, alarms, a queue, a watch."""
    hours = timedelta(hours=1)
    seconds = {Stage.FETCH: 1.5, Stage.ATTESTATIONS: 0.25, Stage.BUILD: 8.0}
    first, second, third = (release("idna", version) for version in ("3.18", "3.19", "3.20"))
    new = release("idna", "3.21", uploaded=NOW - 3 * hours)
    obstacle = Obstacle(verdict=Verdict.UNSUPPORTED, sentence="The wheel 'other-1.0.whl' is for one platform.")
    same, fails = attempt(first, Level.IDENTICAL), attempt(third, None)
    for done in (
        report(first, same, finished=NOW - 160 * hours),
        report(first, same, attempt(first, Level.DIFFERENT), finished=NOW - 40 * hours),
        report(second, fails, attempt(second, Level.EQUIVALENT, umask="0077"), finished=NOW - 30 * hours),
        report(third, fails, finished=NOW - 20 * hours),
        report(release("other", "1.0"), obstacle=obstacle, finished=NOW - 10 * hours),
        with_provenance(
            report(new, attempt(new, Level.DIFFERENT), finished=NOW - 1 * hours), ProvenanceStatus.VERIFIED
        ),
    ):
        verified(ledger, done.replace(seconds=seconds, transferred=Transferred(fetched=70_000, written=9_000)), CACHES)
    ledger.fail(ledger.begin(release("idna", "3.22"), NOW), "The disk is full.", NOW)
    retried, asked = order(release("idna", "3.22"), Reason.RETRY), order(release("unseen", "1"), Reason.ASKED)
    ledger.queue.add([retried, asked], NOW - 2 * hours)
    ledger.queue.claim("worker", NOW, 600)
    runner = EnrolledRunner(
        id=digest("runner"), name="north", public_key="PEM", state=RunnerState.ACTIVE, enrolled=NOW, changed=NOW
    )
    ledger.runners.enroll(runner)
    asked_of = [ledger.run_orders.add(digest("d"), "linux-amd64", asked_of=None, owner="x", now=NOW)[0] for _ in "ab"]
    ledger.run_orders.accept(asked_of[0].nonce, runner.id, "{}", digest("log"), NOW)
    ledger.watches.looked(WatchState(name="top", checked=NOW, projects=9, queued=2, failed=1), {})
    ledger.raise_alarm(alarm(AlarmKind.REGRESSION, third.purl, third.filename))
    ledger.raise_alarm(alarm(AlarmKind.ATTESTATION_VANISHED, new.purl, new.filename))
    ledger.raise_alarm(alarm(AlarmKind.DISK))
    ledger.alarm_book.clear(AlarmKind.DISK, "", NOW)
