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
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.attempt import Attempt, Hypothesis, Outcome, Output
from rebuilder.model.comparison import Level
from rebuilder.model.decision import decide
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.report import Alarm, AlarmKind, Report, SignedReport, Stage, ToolchainSummary, page_path
from rebuilder.model.verdict import Verdict
from rebuilder.ports import Blobs, Clock, Ecosystem, RunDefinition, Signer
from rebuilder.site.publisher import Site
from rebuilder.stopwatch import Stopwatch, WatchedToolchains
from rebuilder.storage.ledger import Ledger


@dataclass(frozen=True)
class Parts:
    """The real (or fake) parts a verification is made with; see ``wiring``."""

    ecosystems: Mapping[str, Ecosystem]
    blobs: Blobs
    ledger: Ledger
    run: RunDefinition
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


def verify(parts: Parts, subject: Subject) -> Iterator[Verified]:
    """Verify every artifact of a subject, one after the other; each is stored and published as it is done.

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
            yield _verify_artifact(parts, evidence, alarms, started)
        parts.stopwatch.begin(subject.asked)


def _verify_artifact(parts: Parts, evidence: Evidence, alarms: tuple[Alarm, ...], started: datetime) -> Verified:
    number = parts.ledger.begin(evidence.artifact, started)
    try:
        attempts, obstacle = _attempts(parts, evidence, number)
        report = Report(
            artifact=evidence.artifact,
            evidence=evidence,
            attempts=attempts,
            decision=decide(attempts, obstacle),
            toolchains=_toolchains(parts, attempts),
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


def _attempts(parts: Parts, evidence: Evidence, number: int) -> tuple[tuple[Attempt, ...], Obstacle | None]:
    """Try hypotheses until one gives the published bytes; when none does, look closer at the best."""
    if evidence.obstacle is not None:
        return (), evidence.obstacle
    attempts: list[Attempt] = []
    parts.stopwatch.stage(Stage.RESOLVE)
    hypotheses = parts.ecosystems[evidence.artifact.ecosystem].hypotheses(evidence)
    try:
        hypothesis = next(hypotheses)
        while True:
            attempt = _attempt(parts, evidence.artifact, hypothesis)
            attempts.append(attempt)
            parts.ledger.add_attempt(number, len(attempts) - 1, attempt)
            if attempt.comparison and attempt.comparison.level is Level.IDENTICAL:
                hypotheses.close()
                return tuple(attempts), None
            parts.stopwatch.stage(Stage.RESOLVE)
            hypothesis = hypotheses.send(attempt)
    except StopIteration as stop:
        obstacle: Obstacle | None = stop.value
    decision = decide(tuple(attempts), obstacle)
    if decision.verdict is Verdict.DIFFERS and decision.attempt is not None:
        best = attempts[decision.attempt]
        repeat = _repeat(parts, evidence.artifact, best)
        attempts.append(repeat)
        parts.ledger.add_attempt(number, len(attempts) - 1, repeat)
        attempts[decision.attempt] = _explained(parts, evidence.artifact, best)
    return tuple(attempts), obstacle


def _attempt(parts: Parts, artifact: Artifact, hypothesis: Hypothesis, *, repeat: bool = False) -> Attempt:
    parts.stopwatch.stage(Stage.BUILD, hypothesis.name + (", once more" if repeat else ""))
    run = parts.run(hypothesis.definition)
    rebuilt = _product(run.outputs, artifact.filename) if run.outcome is Outcome.COMPLETED else None
    if rebuilt is None:
        return Attempt(hypothesis=hypothesis, run=run, repeat=repeat)
    parts.stopwatch.stage(Stage.COMPARE)
    comparison = parts.comparer.compare(artifact.sha256, rebuilt.sha256, artifact.filename, rebuilt.filename)
    return Attempt(hypothesis=hypothesis, run=run, rebuilt=rebuilt, comparison=comparison, repeat=repeat)


def _repeat(parts: Parts, artifact: Artifact, first: Attempt) -> Attempt:
    """Run a definition once more; when both times something was built, say whether the two agree."""
    second = _attempt(parts, artifact, first.hypothesis, repeat=True)
    if first.rebuilt is None or second.rebuilt is None:
        return second
    parts.stopwatch.stage(Stage.COMPARE)
    agreement = parts.comparer.compare(
        first.rebuilt.sha256, second.rebuilt.sha256, first.rebuilt.filename, second.rebuilt.filename
    )
    return second.model_copy(update={"agreement": agreement.level})


def _product(outputs: tuple[Output, ...], filename: str) -> Output | None:
    """The output to compare: the one of the published name, else the only one of that type."""
    same_name = [each for each in outputs if each.filename == filename]
    suffix = filename.rsplit(".", 1)[-1]
    same_type = [each for each in outputs if each.filename.endswith("." + suffix)]
    if same_name:
        return same_name[0]
    return same_type[0] if len(same_type) == 1 else None


def _explained(parts: Parts, artifact: Artifact, attempt: Attempt) -> Attempt:
    if attempt.comparison is None or attempt.rebuilt is None:
        return attempt
    parts.stopwatch.stage(Stage.DIFFOSCOPE)
    found = parts.diffoscope.report(artifact.sha256, attempt.rebuilt.sha256, artifact.filename)
    comparison = attempt.comparison.model_copy(update={"diffoscope": found})
    return attempt.model_copy(update={"comparison": comparison})


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
    history = parts.ledger.history(artifact.ecosystem, artifact.name)
    parts.site.write_artifact(signed, history, parts.ledger.alarms(artifact.purl))


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
    return tuple(each for each in parts.ledger.alarms(artifact.purl) if each.filename == artifact.filename)


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
