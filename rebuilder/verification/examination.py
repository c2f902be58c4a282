"""Examine one artifact: evidence, attempts, a verdict. Unsigned: whoever examines holds no key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from rebuilder import __version__
from rebuilder.cache_counter import CacheCounter
from rebuilder.clock import Clock
from rebuilder.compare.carried import Carried, FindCarried
from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.compare.finisher import Finisher
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.registry import conventions
from rebuilder.effective_limits import EffectiveLimits
from rebuilder.errors import RebuilderError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.attempt import Attempt, Run
from rebuilder.model.decision import Decision, decide, towards
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.diagnosis import Diagnosis
from rebuilder.model.evidence import Evidence
from rebuilder.model.history import NotTried
from rebuilder.model.log import written
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import Report, Stage, ToolchainSummary
from rebuilder.model.trail import SourceTrail, with_steps
from rebuilder.model.value import Sha256
from rebuilder.model.variation import Variation
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.model.work import Tier
from rebuilder.provenance.checker import alarms as alarms_of
from rebuilder.sandbox.protocol import RunDefinition
from rebuilder.stopwatch import Stopwatch, WatchedToolchains
from rebuilder.store.ledger import Ledger
from rebuilder.store.protocol import Blobs
from rebuilder.verification.attempts import AttemptRunner
from rebuilder.verification.steps import StepVerifier
from rebuilder.verification.variation import VariationRunner

_LOG_CHARACTERS = 64 << 10
"""How much of the end of a log is read for hints."""


@dataclass(frozen=True)
class Parts:
    """The real (or fake) parts an examination is made with; see ``wiring``. No key is among them."""

    ecosystems: Mapping[str, Ecosystem]
    blobs: Blobs
    ledger: Ledger
    run: RunDefinition
    lineage: StepVerifier
    toolchains: WatchedToolchains
    comparer: Comparer
    finisher: Finisher
    find_carried: FindCarried
    diffoscope: DiffoscopeRunner
    clock: Clock
    stopwatch: Stopwatch
    allowance: EffectiveLimits
    hits: CacheCounter
    abandon: Callable[[], None]
    """Ends all sandboxes at once; nothing can be examined afterwards."""


@dataclass(frozen=True)
class Examined:
    """What one artifact came to: an unsigned report, or the reason on our side why there is none."""

    artifact: Artifact
    number: int | None = None
    """Of the verification in the ledger; None for a foreign file."""
    report: Report | None = None
    fault: RebuilderError | None = None
    foreign_file: Alarm | None = None
    """Set when a file on disk was asked about and its bytes were never published: nothing was rebuilt then."""
    seconds: Mapping[Stage, float] = field(default_factory=dict)


def examine(parts: Parts, subject: Subject, *, tier: Tier = Tier.FULL) -> Iterator[Examined]:
    """Examine every artifact of a subject, one after the other; each is in the ledger as it is done.

    Args:
        parts: What to examine with.
        subject: What to examine.
        tier: How thoroughly.

    Raises:
        UsageError: the subject does not exist.
        RebuilderError: the registry or the store failed before any artifact was known.
    """
    parts.stopwatch.begin(subject.asked)
    parts.stopwatch.stage(Stage.FETCH, subject.asked)
    for evidence in parts.ecosystems[subject.ecosystem].evidence(subject):
        started = parts.clock.now()
        alarms = pin(parts, evidence.artifact, started)
        if subject.local_sha256 is not None and subject.local_sha256 != evidence.artifact.sha256:
            yield _foreign(parts, evidence.artifact, subject.local_sha256, started)
        else:
            yield _one(parts, evidence, alarms, started, tier)
        parts.stopwatch.begin(subject.asked)


def _one(parts: Parts, evidence: Evidence, alarms: tuple[Alarm, ...], started: datetime, tier: Tier) -> Examined:
    artifact = evidence.artifact
    number = parts.ledger.begin(artifact, started)
    try:
        report = examine_evidence(parts, evidence, number, alarms, started, tier=tier)
        parts.ledger.examined(number, report)
    except RebuilderError as fault:
        parts.ledger.fail(number, str(fault), parts.clock.now())
        return Examined(artifact, number, fault=fault, seconds=parts.stopwatch.end())
    return Examined(artifact, number, report=report, seconds=parts.stopwatch.end())


def examine_evidence(
    parts: Parts,
    evidence: Evidence,
    number: int,
    alarms: tuple[Alarm, ...],
    started: datetime,
    *,
    tier: Tier,
    share_since: datetime | None = None,
) -> Report:
    """Try what the evidence suggests and decide; every attempt is in the ledger as soon as it is made.

    Args:
        parts: What to examine with.
        evidence: Of one artifact.
        number: Of the verification that was begun for it.
        alarms: Those that are known about the artifact already.
        started: When that was.
        tier: How thoroughly.
        share_since: A definition that was run to its end after this moment is not run again; None: all are run.

    Raises:
        RebuilderError: something on our side failed; it says nothing about the artifact.
    """
    found = _tried(parts, evidence, number, tier, share_since)
    carried = _carried(parts, evidence.artifact, found)
    alarms += _alarms(parts, evidence, found, carried, started)
    if not carried.whole:
        note = "The inputs of the build were not looked through to their end for the published file itself."
        evidence = evidence.replace(notes=(*evidence.notes, note))
    return Report(
        artifact=evidence.artifact,
        evidence=evidence,
        attempts=found.attempts,
        decision=found.decision,
        provenance=found.provenance,
        trail=found.trail,
        diagnosis=found.diagnosis,
        variation=found.variation,
        remarks=found.remarks,
        toolchains=toolchains_of(parts, found.attempts),
        alarms=alarms,
        seconds=parts.stopwatch.seconds,
        started=started,
        finished=parts.clock.now(),
        rebuilder_version=__version__,
    )


@dataclass(frozen=True)
class Findings:
    """What trying an artifact gave."""

    attempts: tuple[Attempt, ...]
    decision: Decision
    provenance: Provenance
    trail: SourceTrail | None
    diagnosis: Diagnosis | None
    variation: Variation | None
    remarks: tuple[str, ...]


def _tried(parts: Parts, evidence: Evidence, number: int, tier: Tier, share_since: datetime | None) -> Findings:
    """Try the source archive, then the steps from the commit; look closer at what differs."""
    ecosystem, filename = parts.ecosystems[evidence.artifact.ecosystem], evidence.artifact.filename
    signed = parts.lineage.signed(evidence)
    trial = AttemptRunner(
        targets(evidence),
        run=parts.run,
        comparer=parts.comparer,
        diffoscope=parts.diffoscope,
        stopwatch=parts.stopwatch,
        record=partial(record_tried, parts.ledger, number),
        earlier=lambda definition: _earlier(parts, definition, share_since),
        finish=parts.finisher.finished,
    )
    obstacle = evidence.obstacle
    if obstacle is None:
        most = 1 if tier is Tier.QUICK else None
        obstacle = parts.lineage.from_published(ecosystem, evidence, trial, most=most)
    trail = None
    # A file with nothing published to rebuild it from was read all the same if a commit may give it.
    if tier is Tier.FULL and (evidence.obstacle is None or evidence.artifact_inspection is not None):
        trail = parts.lineage.from_commit(ecosystem, evidence, signed, trial)
    decision = decide(trial.attempts, obstacle, towards(trial.attempts, filename))
    if trial.attempts:
        ecosystem.learn(evidence, trial.attempts)
    if tier is not Tier.QUICK and decision.verdict is Verdict.DIFFERS and decision.attempt is not None:
        trial.look_closer(decision.attempt)
        decision = decide(trial.attempts, obstacle, towards(trial.attempts, filename))
    variation = diagnosis = None
    if tier is Tier.FULL and decision.kind is Kind.UNSTABLE and decision.attempt is not None:
        with trial.experiments.trying("Builds with one thing changed at a time could not be made"):
            variation = vary(parts, trial.attempts[decision.attempt])
    decision = with_steps(decision, trail)
    with trial.experiments.trying("The causes could not be looked for"):
        diagnosis = diagnosed(parts, DiagnosisInput(evidence, trial.attempts, decision, trail, variation=variation))
    remarks = trial.experiments.remarks
    return Findings(trial.attempts, decision, signed.artifact, trail, diagnosis, variation, remarks)


def record_tried(ledger: Ledger, number: int, ordinal: int, tried: Attempt | NotTried) -> None:
    """Keep what was tried as soon as it is over."""
    if isinstance(tried, Attempt):
        ledger.add_attempt(number, ordinal, tried)


def vary(parts: Parts, attempt: Attempt) -> Variation | None:
    """Build the definition of an attempt again with one thing changed at a time; None when it gives nothing at all.

    Raises:
        ToolchainError, StoreError, SandboxUnavailableError, SandboxFaultError: see
            :meth:`rebuilder.verification.variation.VariationRunner.vary`.
    """
    parts.stopwatch.stage(Stage.BUILD, "with one thing changed at a time")
    return VariationRunner(parts.run, parts.comparer).vary(attempt.hypothesis.definition)


def diagnosed(parts: Parts, case: DiagnosisInput) -> Diagnosis | None:
    """Say why what was decided is not byte for byte, the log of the build read too; None when it is.

    Raises:
        CorruptStoreError: the log is damaged.
    """
    attempt = case.attempt
    if attempt is not None and parts.blobs.has(attempt.run.log_sha256):
        lines = written(parts.blobs.read(attempt.run.log_sha256))
        case = replace(case, log="\n".join(lines)[-_LOG_CHARACTERS:])
    return diagnose(case, conventions(case.evidence.artifact.ecosystem).diagnosis())


def _earlier(parts: Parts, definition: BuildDefinition, since: datetime | None) -> Run | None:
    """The run of the same definition after ``since``, if all that it left is still here."""
    run = parts.ledger.earlier_run(definition.digest, since) if since is not None else None
    kept = run is not None and all(parts.blobs.has(each) for each in (run.log_sha256, *(o.sha256 for o in run.outputs)))
    return run if kept else None


def targets(evidence: Evidence) -> dict[str, Sha256]:
    """Every file an attempt may be about: the artifact, and the source archive beside it."""
    targets = {evidence.artifact.filename: evidence.artifact.sha256}
    if evidence.source_file is not None:
        targets.setdefault(evidence.source_file.filename, evidence.source_file.sha256)
    return targets


def toolchains_of(parts: Parts, attempts: tuple[Attempt, ...]) -> tuple[ToolchainSummary, ...]:
    """The toolchains that attempts just made ran on, in the order of their first use."""
    digests = dict.fromkeys(each.hypothesis.definition.toolchain.sha256 for each in attempts)
    return tuple(parts.toolchains.seen[digest].summary for digest in digests)


def pin(parts: Parts, artifact: Artifact, now: datetime) -> tuple[Alarm, ...]:
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
                known_sha256=digest,
                found_sha256=artifact.sha256,
            )
        )
    return tuple(each for each in alarms_about(parts.ledger, artifact) if each.filename == artifact.filename)


def alarms_about(ledger: Ledger, artifact: Artifact) -> list[Alarm]:
    """What is wrong with a published file; a foreign file of its name on some disk says nothing about it."""
    return [each for each in ledger.alarms(artifact.purl) if each.kind is not AlarmKind.UNKNOWN_DIGEST]


def _alarms(parts: Parts, evidence: Evidence, found: Findings, carried: Carried, now: datetime) -> tuple[Alarm, ...]:
    """Raise what attestations, tags, archives and inputs give cause for; give those that are new to this report."""
    artifact = evidence.artifact
    raised = alarms_of(artifact, found.provenance, now)
    trail = found.trail
    sentences = (
        *((AlarmKind.TAG_MOVED, each) for each in (trail.findings if trail is not None else ())),
        *((AlarmKind.CONTRADICTORY, each) for each in evidence.contradictions),
        *((AlarmKind.COPY_IN_SOURCE, each) for each in (carried.sentence,) if each is not None),
        *((AlarmKind.STEPS_DISAGREE, each) for each in filter(None, (trail and trail.disagreement,))),
    )
    raised += tuple(
        Alarm(kind=kind, purl=artifact.purl, filename=artifact.filename, sentence=sentence, raised=now)
        for kind, sentence in sentences
    )
    return tuple(alarm for alarm in raised if parts.ledger.raise_alarm(alarm))


def _carried(parts: Parts, artifact: Artifact, found: Findings) -> Carried:
    """Whether a file that came out again was among the inputs of the build that gave it."""
    decision = found.decision
    if decision.verdict not in {Verdict.REPRODUCED, Verdict.EQUIVALENT} or decision.attempt is None:
        return Carried()
    parts.stopwatch.stage(Stage.COMPARE, "with the inputs of its build")
    return parts.find_carried(artifact.sha256, found.attempts[decision.attempt].hypothesis.definition.inputs)


def _foreign(parts: Parts, artifact: Artifact, local_sha256: str, now: datetime) -> Examined:
    alarm = Alarm(
        kind=AlarmKind.UNKNOWN_DIGEST,
        purl=artifact.purl,
        filename=artifact.filename,
        sentence=(
            f"A file on disk is named {artifact.filename} and has SHA-256 {local_sha256}; "
            f"what is published under that name has {artifact.sha256}."
        ),
        raised=now,
        known_sha256=artifact.sha256,
        found_sha256=local_sha256,
    )
    parts.ledger.raise_alarm(alarm)
    return Examined(artifact, foreign_file=alarm, seconds=parts.stopwatch.end())
