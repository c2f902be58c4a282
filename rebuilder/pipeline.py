"""Verify one artifact, start to end: the only module that knows the order of the steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rebuilder import __version__
from rebuilder.attest.envelope import sign_statement
from rebuilder.attest.statements import Builder, provenance_statement, verdict_statement
from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.errors import RebuilderError
from rebuilder.lineage import Lineage
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.attempt import Attempt
from rebuilder.model.decision import Decision, decide, towards
from rebuilder.model.evidence import Evidence
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import Alarm, AlarmKind, Report, SignedReport, Stage, ToolchainSummary, page_path
from rebuilder.model.trail import Trail
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.ports import Blobs, Clock, Ecosystem, RunDefinition, Signer
from rebuilder.provenance.checker import alarms as alarms_of
from rebuilder.site.publisher import Site
from rebuilder.stopwatch import Stopwatch, WatchedToolchains
from rebuilder.storage.ledger import Ledger
from rebuilder.trial import Trial

_PUBLIC_KEY = "public-key"
"""Kind of the ledger's notes on keys that signed: a report outlives the use of its key."""


@dataclass(frozen=True)
class Parts:
    """The real (or fake) parts a verification is made with; see ``wiring``."""

    ecosystems: Mapping[str, Ecosystem]
    blobs: Blobs
    ledger: Ledger
    run: RunDefinition
    lineage: Lineage
    toolchains: WatchedToolchains
    comparer: Comparer
    diffoscope: DiffoscopeRunner
    signer: Signer
    builder: Builder
    site: Site
    clock: Clock
    stopwatch: Stopwatch


@dataclass(frozen=True)
class Verified:
    """What one artifact came to: a signed report, or the reason on our side why there is none."""

    artifact: Artifact
    signed: SignedReport | None = None
    page: str | None = None
    """Path of the page below the site's root."""
    fault: RebuilderError | None = None
    foreign_file: Alarm | None = None
    """Set when a file on disk was asked about and its bytes were never published: nothing was rebuilt then."""
    seconds: Mapping[Stage, float] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict; None for a foreign file, about which there is nothing to say."""
        if self.foreign_file is not None:
            return None
        return self.signed.report.decision.verdict if self.signed else Verdict.INFRA_ERROR


def verify(parts: Parts, subject: Subject, *, quick: bool = False) -> Iterator[Verified]:
    """Verify every artifact of a subject, one after the other; each is stored and published as it is done.

    Args:
        parts: What to verify with.
        subject: What to verify.
        quick: Only from the published source archive: no repository is asked, no commit is built.

    Raises:
        UsageError: the subject does not exist.
        RebuilderError: the registry or the store failed before any artifact was known.
    """
    parts.stopwatch.begin(subject.asked)
    parts.stopwatch.stage(Stage.FETCH, subject.asked)
    for evidence in parts.ecosystems[subject.ecosystem].evidence(subject):
        started = parts.clock.now()
        alarms = _pin(parts, evidence.artifact, started)
        if subject.local_sha256 is not None and subject.local_sha256 != evidence.artifact.sha256:
            yield _foreign(parts, evidence.artifact, subject.local_sha256, started)
        else:
            yield _verify_artifact(parts, evidence, alarms, started, quick=quick)
        parts.stopwatch.begin(subject.asked)


@dataclass(frozen=True)
class Findings:
    """What trying an artifact gave."""

    attempts: tuple[Attempt, ...]
    decision: Decision
    provenance: Provenance
    trail: Trail | None


def _verify_artifact(
    parts: Parts, evidence: Evidence, alarms: tuple[Alarm, ...], started: datetime, *, quick: bool
) -> Verified:
    number = parts.ledger.begin(evidence.artifact, started)
    try:
        found = _tried(parts, evidence, number, quick=quick)
        alarms += _provenance_alarms(parts, evidence.artifact, found, started)
        report = Report(
            artifact=evidence.artifact,
            evidence=evidence,
            attempts=found.attempts,
            decision=found.decision,
            provenance=found.provenance,
            trail=found.trail,
            toolchains=_toolchains(parts, found.attempts),
            alarms=alarms,
            seconds=parts.stopwatch.seconds,
            started=started,
            finished=parts.clock.now(),
            rebuilder_version=__version__,
        )
        parts.stopwatch.stage(Stage.SIGN)
        signed = sign(parts, report)
        parts.ledger.finish(number, signed)
        parts.stopwatch.stage(Stage.PUBLISH)
        page = publish_one(parts, signed)
    except RebuilderError as fault:
        parts.ledger.fail(number, str(fault), parts.clock.now())
        return Verified(evidence.artifact, fault=fault, seconds=parts.stopwatch.end())
    return Verified(evidence.artifact, signed=signed, page=page, seconds=parts.stopwatch.end())


def _tried(parts: Parts, evidence: Evidence, number: int, *, quick: bool) -> Findings:
    """Try the source archive, then the steps from the commit; look closer at what differs."""
    ecosystem, filename = parts.ecosystems[evidence.artifact.ecosystem], evidence.artifact.filename
    signed = parts.lineage.signed(evidence)
    trial = Trial(
        _targets(evidence),
        run=parts.run,
        comparer=parts.comparer,
        diffoscope=parts.diffoscope,
        stopwatch=parts.stopwatch,
        record=lambda ordinal, attempt: parts.ledger.add_attempt(number, ordinal, attempt),
    )
    obstacle = evidence.obstacle
    if obstacle is None:
        obstacle = trial.follow(ecosystem.hypotheses(evidence))
    trail = None
    # A file with nothing published to rebuild it from was read all the same if a commit may give it.
    if not quick and (evidence.obstacle is None or evidence.artifact_inspection is not None):
        trail = parts.lineage.steps(ecosystem, evidence, signed, trial)
    decision = decide(trial.attempts, obstacle, towards(trial.attempts, filename))
    if decision.verdict is Verdict.DIFFERS and decision.attempt is not None:
        trial.look_closer(decision.attempt)
        decision = decide(trial.attempts, obstacle, towards(trial.attempts, filename))
    return Findings(attempts=trial.attempts, decision=decision, provenance=signed.artifact, trail=trail)


def _targets(evidence: Evidence) -> dict[str, Sha256]:
    """Every file an attempt may be about: the artifact, and the source archive beside it."""
    targets = {evidence.artifact.filename: evidence.artifact.sha256}
    if evidence.source_file is not None:
        targets.setdefault(evidence.source_file.filename, evidence.source_file.sha256)
    return targets


def _toolchains(parts: Parts, attempts: tuple[Attempt, ...]) -> tuple[ToolchainSummary, ...]:
    names = dict.fromkeys(each.hypothesis.definition.toolchain.name for each in attempts)
    return tuple(parts.toolchains.seen[name].summary for name in names)


def sign(parts: Parts, report: Report) -> SignedReport:
    """Make and sign the statements of a report.

    The digests a verdict rests on are checked once more against the stored bytes, just before.

    Raises:
        SigningError: the key cannot be used, or the report contradicts itself.
        StoreError: the published or the rebuilt bytes are not what they were.
        ValueError: the verdict is not one that is published.
    """
    decision = report.decision
    if decision.attempt is not None and (rebuilt := report.attempts[decision.attempt].rebuilt) is not None:
        parts.blobs.path(report.artifact.sha256)
        parts.blobs.path(rebuilt.sha256)
    if parts.ledger.cache_get(_PUBLIC_KEY, parts.signer.key_id) is None:
        pem = parts.signer.public_pem.decode("ascii")
        parts.ledger.cache_put(_PUBLIC_KEY, parts.signer.key_id, pem, report.finished)
    rebuild = provenance_statement(report, parts.builder)
    provenance = sign_statement(rebuild, parts.signer) if rebuild is not None else None
    verdict = verdict_statement(report, parts.builder, provenance)
    return SignedReport(
        report=report,
        vsa=sign_statement(verdict, parts.signer),
        provenance=provenance,
        key_id=parts.signer.key_id,
    )


def publish_one(parts: Parts, signed: SignedReport) -> str:
    """Write the page of one report and the index over all; give the page's path below the site's root."""
    _write_page(parts, signed)
    write_index(parts)
    artifact = signed.report.artifact
    return page_path(artifact.ecosystem, artifact.name, artifact.version, artifact.filename, artifact.sha256)


def publish_all(parts: Parts) -> int:
    """Write the whole site from what is stored; give the number of artifact pages."""
    summaries = parts.ledger.latest()
    for summary in summaries:
        signed = parts.ledger.signed_report(summary.sha256, summary.filename)
        if signed is not None:
            _write_page(parts, signed)
    write_index(parts)
    return len(summaries)


def write_index(parts: Parts) -> None:
    """Write the index, the alarms and what every page refers to; as of the newest thing they tell."""
    summaries, alarms = parts.ledger.latest(), parts.ledger.alarms()
    told = [each.finished for each in summaries] + [each.raised for each in alarms]
    parts.site.write_index(summaries, alarms, max(told, default=parts.clock.now()))


def _write_page(parts: Parts, signed: SignedReport) -> None:
    artifact = signed.report.artifact
    if signed.key_id != parts.signer.key_id and (key := parts.ledger.cache_get(_PUBLIC_KEY, signed.key_id)):
        parts.site.write_key(signed.key_id, key.encode())
    history = parts.ledger.history(artifact.ecosystem, artifact.name)
    parts.site.write_artifact(signed, history, _alarms_about(parts, artifact))


def _pin(parts: Parts, artifact: Artifact, now: datetime) -> tuple[Alarm, ...]:
    """Remember the digest a file has; other bytes under a known name are an alarm that stays."""
    earlier = parts.ledger.pin(artifact, now).earlier
    for digest in earlier:
        parts.ledger.raise_alarm(
            Alarm(
                kind=AlarmKind.DIGEST_CHANGED,
                purl=artifact.purl,
                filename=artifact.filename,
                sentence=(
                    f"{artifact.filename} was published with SHA-256 {digest} when it was first seen; "
                    f"now the registry lists {artifact.sha256}. Both are kept."
                ),
                raised=now,
            )
        )
    return tuple(each for each in _alarms_about(parts, artifact) if each.filename == artifact.filename)


def _alarms_about(parts: Parts, artifact: Artifact) -> list[Alarm]:
    """What is wrong with a published file; a foreign file of its name on some disk says nothing about it."""
    return [each for each in parts.ledger.alarms(artifact.purl) if each.kind is not AlarmKind.UNKNOWN_DIGEST]


def _provenance_alarms(parts: Parts, artifact: Artifact, found: Findings, now: datetime) -> tuple[Alarm, ...]:
    """Raise what upstream's attestations and tags give cause for; give those that are new to this report."""
    raised = alarms_of(artifact, found.provenance, now)
    raised += tuple(
        Alarm(kind=AlarmKind.TAG_MOVED, purl=artifact.purl, filename=artifact.filename, sentence=sentence, raised=now)
        for sentence in (found.trail.findings if found.trail is not None else ())
    )
    return tuple(alarm for alarm in raised if parts.ledger.raise_alarm(alarm))


def _foreign(parts: Parts, artifact: Artifact, local_sha256: str, now: datetime) -> Verified:
    alarm = Alarm(
        kind=AlarmKind.UNKNOWN_DIGEST,
        purl=artifact.purl,
        filename=artifact.filename,
        sentence=(
            f"A file on disk is named {artifact.filename} and has SHA-256 {local_sha256}; "
            f"what is published under that name has {artifact.sha256}."
        ),
        raised=now,
    )
    parts.ledger.raise_alarm(alarm)
    parts.stopwatch.stage(Stage.PUBLISH)
    write_index(parts)
    return Verified(artifact, foreign_file=alarm, seconds=parts.stopwatch.end())
