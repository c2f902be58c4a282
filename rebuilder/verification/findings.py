"""What is found out around the attempts of one artifact: alarms, causes, copies among the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rebuilder.compare.carried import Carried
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.diagnose.diagnosis import diagnose
from rebuilder.ecosystems.registry import conventions
from rebuilder.model.accounting import Accounting
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import Artifact, Subject
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Variation
from rebuilder.model.decision import Decision
from rebuilder.model.diagnosis import Diagnosis
from rebuilder.model.evidence import Evidence, Obstacle, SourceKind
from rebuilder.model.graph import NodeKind, SourceTrail
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import EnvironmentSummary, Stage
from rebuilder.model.text import written_lines
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.provenance.checker import alarms as alarms_of
from rebuilder.verification.parts import Journal, Parts
from rebuilder.verification.variation import VariationRunner

_FUTURE = timedelta(days=3650)
_LOG_CHARACTERS = 64 << 10
"""How much of the end of a log is read for hints."""


def environments_of(
    parts: Parts, attempts: Iterable[Attempt], accounting: Accounting | None = None
) -> tuple[EnvironmentSummary, ...]:
    """The build environments that attempts, and the build for an accounting, ran on, in the order of their first use.

    Raises:
        BuildEnvironmentError: one that an attempt of an earlier process ran on is no longer here.
    """
    definitions = [each.hypothesis.definition for each in attempts]
    if accounting is not None and accounting.compiled is not None:
        definitions.append(accounting.compiled.definition)
    digests = dict.fromkeys(each.toolchain.sha256 for each in definitions)
    return tuple(
        (parts.environments.seen.get(digest) or parts.environments.by_digest(digest)).summary for digest in digests
    )


def vary(parts: Parts, attempt: Attempt, evidence: Evidence) -> Variation | None:
    """Build the definition of an attempt again with one thing changed at a time; None when it gives nothing at all.

    Raises:
        BuildEnvironmentError, StoreError, SandboxUnavailableError, SandboxFaultError: see
            :meth:`rebuilder.verification.variation.VariationRunner.vary`.
    """
    parts.stopwatch.stage(Stage.BUILD, "with one thing changed at a time")
    rules = conventions(attempt.hypothesis.definition.ecosystem).rules
    runner = VariationRunner(
        parts.run, parts.comparer, newest(evidence, parts.clock.now()), is_inventory=rules.is_inventory
    )
    return runner.vary(attempt.hypothesis)


def newest(evidence: Evidence, now: datetime) -> datetime:
    """The time of the newest file of a source archive, or now; what is ten years ahead of it, or none, is no time."""
    listed = evidence.source_inspection.members if evidence.source_inspection is not None else ()
    found = [now]
    for each in listed:
        with suppress(ValueError):
            found.append(datetime.fromisoformat(each.mtime).replace(tzinfo=UTC))
    return max(each for each in found if each < now + _FUTURE)


def diagnosed(parts: Parts, case: DiagnosisInput) -> Diagnosis | None:
    """Say why what was decided is not byte for byte, the log of the build read too; None when it is.

    Raises:
        CorruptStoreError: the log is damaged.
    """
    attempt = case.attempt
    if attempt is not None and parts.blobs.has(attempt.run.log_sha256):
        lines = written_lines(parts.blobs.read(attempt.run.log_sha256))
        case = replace(case, log="\n".join(lines)[-_LOG_CHARACTERS:])
    return diagnose(case, conventions(case.evidence.artifact.ecosystem).rules)


def with_causes(
    parts: Parts, evidence: Evidence, attempts: tuple[Attempt, ...], trail: SourceTrail, decision: Decision
) -> SourceTrail:
    """The trail, with the first cause of each step that failed or differs from the artifact, unless the verdict tells.

    Raises:
        CorruptStoreError: the log of a build is damaged.
    """
    steps = []
    for step in trail.steps:
        told, here = step.decision, trail.node(step.end).sha256 == evidence.artifact.sha256
        explained = step.verdict is Verdict.BUILD_FAILED or (step.verdict is Verdict.DIFFERS and here)
        if told is None or not explained or told.attempt == decision.attempt:
            steps.append(step)
        else:
            case = DiagnosisInput(evidence, attempts, told, trail)
            steps.append(step.replace(decision=_with_cause(parts, case)))
    return trail.replace(steps=tuple(steps))


def _with_cause(parts: Parts, case: DiagnosisInput) -> Decision:
    found = diagnosed(parts, case)
    told = found.findings[0].sentence if found is not None and found.findings else ""
    return case.decision.replace(sentence=f"{case.decision.sentence} {told}".rstrip())


def accounted(parts: Parts, evidence: Evidence, attempts: tuple[Attempt, ...]) -> Accounting | None:
    """What each member of the artifact is accounted for with, where its ecosystem knows how to tell."""
    parts.stopwatch.stage(Stage.COMPARE, "each file in it with the source")
    return parts.ecosystems[evidence.artifact.ecosystem].account(evidence, attempts)


def with_accounting(trail: SourceTrail, decision: Decision, accounting: Accounting | None) -> SourceTrail:
    """The trail, with what an accounting decided as the decision of the step from the source archive."""
    step = trail.step(NodeKind.SOURCE_ARCHIVE, NodeKind.ARTIFACT)
    if step is None or accounting is None or not accounting.compared:
        return trail
    decided = step.replace(decision=decision.replace(kind=None, rebuilds=None))
    return trail.replace(steps=tuple(decided if each.name == step.name else each for each in trail.steps))


def nor_from_commit(
    obstacle: Obstacle | None, trail: SourceTrail, *, alone: bool, away: Obstacle | None = None
) -> Obstacle | None:
    """What keeps a file from being rebuilt from anything published; with what keeps it from coming from the commit.

    Args:
        obstacle: To what is published; None also where nothing is.
        trail: With what came of the commit.
        alone: Whether files of its kind come from commits alone: then a commit that was found is all that counts.
        away: What was asked for in vain on the way there, and others may get.
    """
    told = [each.decision for each in trail.steps if each.decision is not None and not each.attempts]
    commits = any(each.kind is NodeKind.COMMIT for each in trail.nodes)
    if not commits or any(each.attempts for each in trail.steps):
        return obstacle
    if told and (obstacle is None or (alone and obstacle.verdict is Verdict.INPUTS_MISSING)):
        return Obstacle(verdict=told[0].verdict, sentence=told[0].sentence, cause=told[0].cause)
    if obstacle is None:
        return away
    no_repository = "The release names no repository." if alone else "The release names no repository either."
    origin = trail.origin.sentence if trail.origin is not None else no_repository
    return obstacle.replace(sentence=f"{obstacle.sentence} {told[0].sentence if told else origin}")


def withheld(
    decision: Decision, obstacle: Obstacle | None, away: Obstacle | None, attempts: Sequence[Attempt]
) -> Obstacle | None:
    """What was asked for in vain, may be there for others, and may be why a file is not confirmed; None if nothing.

    Args:
        decision: As things are.
        obstacle: What it was decided with.
        away: What was asked for in vain on the way to the commit, or at it, and others may get.
        attempts: Those that it was decided with.
    """
    if decision.verdict.confirms:
        return None
    if obstacle is not None and obstacle.verdict is Verdict.INFRA_ERROR:
        return obstacle
    if away is not None and decision.attempt is not None:
        source = attempts[decision.attempt].hypothesis.definition.source
        return away if source is not None and source.kind is SourceKind.GIT else None
    if away is None or decision.verdict is not Verdict.INPUTS_MISSING:
        return None
    told = decision.sentence
    return away.replace(sentence=told if away.sentence in told else f"{told} {away.sentence}")


def with_settled(evidence: Evidence, settled: Obstacle | None) -> Evidence:
    """The evidence as it may be published: what might be there for others is settled, or did not matter."""
    obstacle = evidence.obstacle
    if obstacle is None or obstacle.verdict is not Verdict.INFRA_ERROR:
        return evidence
    notes = evidence.notes if settled is not None else (*evidence.notes, obstacle.sentence)
    return evidence.replace(obstacle=settled, notes=notes)


def other_bytes(
    kind: AlarmKind, artifact: Artifact, sentence: str, *, known: str, found: str | None, now: datetime
) -> Alarm:
    """That a file has other bytes than it should have; ``known`` and ``found`` are their SHA-256, if that is known."""
    return Alarm(
        kind=kind,
        purl=artifact.purl,
        filename=artifact.filename,
        sentence=sentence,
        raised=now,
        known_sha256=known,
        found_sha256=found,
    )


def changed_bytes(artifact: Artifact, digest: Sha256, now: datetime) -> Alarm:
    """That a name has other bytes than those first seen."""
    sentence = (
        f"{artifact.filename} was published with SHA-256 {digest} when it was first seen; "
        f"now the registry lists {artifact.sha256}. Both are kept."
    )
    return other_bytes(AlarmKind.DIGEST_CHANGED, artifact, sentence, known=digest, found=artifact.sha256, now=now)


def foreign_bytes(artifact: Artifact, subject: Subject, sha512: str | None, now: datetime) -> Alarm | None:
    """That a file on disk, or in a lock file, has a published name and bytes that were never published; None if not.

    Digests that are not known are not compared.
    """
    for name, local, published in (
        ("SHA-256", subject.local_sha256, artifact.sha256),
        ("SHA-512", subject.local_sha512, sha512),
    ):
        if local is not None and published is not None and local != published:
            sentence = (
                f"A file on disk, or in a lock file, is named {artifact.filename} and has {name} {local}; "
                f"what is published under that name has {published}."
            )
            kind, found = AlarmKind.UNKNOWN_DIGEST, subject.local_sha256
            return other_bytes(kind, artifact, sentence, known=artifact.sha256, found=found, now=now)
    return None


def alarms_about(journal: Journal, artifact: Artifact) -> list[Alarm]:
    """What is wrong with a published file; a foreign file of its name on some disk says nothing about it."""
    return [each for each in journal.alarms(artifact.purl) if each.kind is not AlarmKind.UNKNOWN_DIGEST]


def raise_alarms(
    journal: Journal,
    evidence: Evidence,
    provenance: Provenance,
    trail: SourceTrail | None,
    carried: Carried,
    *,
    accounting: Accounting | None,
    now: datetime,
) -> tuple[Alarm, ...]:
    """Raise what attestations, tags, archives and inputs give cause for; give those that are new to this report."""
    artifact = evidence.artifact
    raised = alarms_of(artifact, provenance, now)
    sentences = (
        *((AlarmKind.TAG_MOVED, each) for each in (trail.findings if trail is not None else ())),
        *((AlarmKind.CONTRADICTORY, each) for each in evidence.contradictions),
        *((AlarmKind.COPY_IN_SOURCE, each) for each in (carried.sentence,) if each is not None),
        *((AlarmKind.UNACCOUNTED, each) for each in _unaccounted(accounting)),
        *((AlarmKind.STEPS_DISAGREE, each) for each in filter(None, (trail and trail.disagreement,))),
    )
    raised += tuple(
        Alarm(kind=kind, purl=artifact.purl, filename=artifact.filename, sentence=sentence, raised=now)
        for kind, sentence in sentences
    )
    return tuple(alarm for alarm in raised if journal.raise_alarm(alarm))


_MOST_TOLD = 20
"""Members that an alarm each is raised about; the report has all."""


def _unaccounted(accounting: Accounting | None) -> Iterable[str]:
    """One sentence for each member that is executed and that nothing accounts for."""
    if accounting is None or not accounting.compared:
        return ()
    found = accounting.accusing[:_MOST_TOLD]
    return tuple(f"{each.path} ({each.sha256}): {each.detail or 'nothing accounts for it.'}" for each in found)


def carried_along(parts: Parts, artifact: Artifact, attempts: tuple[Attempt, ...], decision: Decision) -> Carried:
    """Whether a file that came out again was among the inputs of the build that gave it."""
    if decision.verdict not in {Verdict.REPRODUCED, Verdict.EQUIVALENT} or decision.attempt is None:
        return Carried()
    parts.stopwatch.stage(Stage.COMPARE, "with the inputs of its build")
    return parts.find_carried(artifact.sha256, attempts[decision.attempt].hypothesis.definition.inputs)
