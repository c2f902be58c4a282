"""Look again at an artifact that was verified before: the same bytes, the same definition, the same inputs."""

from __future__ import annotations

from datetime import datetime

from rebuilder import __version__
from rebuilder.diagnose.case import DiagnosisInput
from rebuilder.environments.protocol import Environments
from rebuilder.errors import BuildEnvironmentError, NoGuestError
from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.decision import Decision, decide, towards
from rebuilder.model.evidence import Evidence
from rebuilder.model.graph import SourceTrail, Step, with_steps
from rebuilder.model.report import Report, SignedReport, Stage
from rebuilder.model.verdict import Verdict
from rebuilder.verification.attempts import AttemptRunner, Experiments, not_tried, retired_input
from rebuilder.verification.findings import alarms_about, diagnosed, environments_of, other_bytes
from rebuilder.verification.parts import Parts

_MOST_BYTES = 2 << 30
"""Of a published file, which is only hashed; nothing that was verified is larger."""
_GONE = "{} is no longer at its address; its bytes were kept when it was."


def can_be_repeated(report: Report, environments: Environments) -> bool:
    """Whether the definition the verdict rests on is one that is still run; otherwise all is examined anew.

    One that does not name what nobody signed of its build environment, because it was not told yet, is not.
    """
    index = report.decision.attempt
    definition = report.attempts[index].hypothesis.definition if index is not None else None
    if report.accounting is not None and index is None:
        return False  # it rests on no definition
    if definition is None or retired_input(definition) is not None:
        return bool(report.attempts) and definition is None
    try:
        environment = environments.by_digest(definition.toolchain.sha256)
    except BuildEnvironmentError:
        return True  # which says what is missing
    return environment.ref.unauthenticated == definition.toolchain.unauthenticated


def reexamine(parts: Parts, signed: SignedReport, tried: AttemptRunner, started: datetime) -> Report:
    """Fetch what was published again, and run the definition the verdict rests on once more from the stored inputs.

    The new report keeps the evidence of the old one, and what was found out about its origin. When nothing had been
    built, nothing is built now.

    Raises:
        UnavailableError: the published file cannot be asked for; nothing is known about it then.
        StoreError: the published bytes, or an input, are no longer stored.
        BuildEnvironmentError: the build environment the definition names is no longer here.
        RebuilderError: something else on our side failed; it says nothing about the artifact.
    """
    report = signed.report
    parts.stopwatch.stage(Stage.FETCH, report.artifact.filename)
    evidence = _fetched_again(parts, report.evidence, started)
    experiments = tried.experiments
    try:
        attempts = _tried_again(parts, report, tried)
    except NoGuestError as error:
        experiments.no_clock(not_tried(report.attempts[report.decision.attempt or 0].hypothesis, error))
        return _as_before(parts, report, evidence, experiments, started)
    decision, trail, diagnosis = report.decision, report.trail, None
    if attempts:
        counted = towards(attempts, report.artifact.filename)
        decision = decide(attempts, evidence.obstacle, counted)
        trail = _trail(report, decision, tuple(counted))
        decision = with_steps(decision, trail)
    with experiments.trying("The causes could not be looked for"):
        diagnosis = diagnosed(parts, DiagnosisInput(evidence, attempts, decision, trail))
    return _renewed(
        parts,
        report.replace(
            attempts=attempts,
            decision=decision,
            trail=trail,
            diagnosis=diagnosis,
            variation=None,
            remarks=experiments.remarks,
            toolchains=environments_of(parts, attempts),
        ),
        evidence,
        started,
    )


def _as_before(parts: Parts, report: Report, evidence: Evidence, experiments: Experiments, started: datetime) -> Report:
    """The report of a verdict that rests on a clock of its own, on a machine that has none to try it again with."""
    told = f"The verdict is that of {report.finished:%Y-%m-%d}; its build was not made again."
    return _renewed(parts, report.replace(remarks=(*experiments.remarks, told)), evidence, started)


def _renewed(parts: Parts, report: Report, evidence: Evidence, started: datetime) -> Report:
    """The report with the evidence, the alarms and the times of today."""
    files = evidence.targets
    return report.replace(
        evidence=evidence,
        alarms=tuple(each for each in alarms_about(parts.journal, report.artifact) if each.filename in files),
        seconds=parts.stopwatch.seconds,
        transferred=parts.stopwatch.transferred,
        started=started,
        finished=parts.clock.now(),
        rebuilder_version=__version__,
    )


def with_fresh_environments(parts: Parts, report: Report) -> None:
    """Make the build environments a report names anew, so that the examination after it uses what the archive has now.

    Raises:
        BuildEnvironmentError: one cannot be made.
    """
    parts.stopwatch.stage(Stage.ENVIRONMENT)
    for name in dict.fromkeys(each.name for each in report.toolchains):
        parts.environments.remake(name)


def _fetched_again(parts: Parts, evidence: Evidence, now: datetime) -> Evidence:
    """The evidence, with what has become of the published files; one that has other bytes now is an alarm."""
    notes = evidence.notes
    for file in filter(None, (evidence.artifact.file, evidence.source_file)):
        gone = _GONE.format(file.filename)
        notes = tuple(each for each in notes if each != gone)
        found = parts.ecosystems[evidence.artifact.ecosystem].fetcher.digest(file.url, max_bytes=_MOST_BYTES)
        if found is None:
            notes += (gone,)
        elif found != file.sha256:
            parts.journal.raise_alarm(_changed(evidence.artifact, file, found, now))
    return evidence.replace(notes=notes)


def _changed(artifact: Artifact, file: PublishedFile, found: str, now: datetime) -> Alarm:
    sentence = (
        f"{file.filename} was published with SHA-256 {file.sha256} when it was verified; "
        f"what is at its address now has {found}."
    )
    about = artifact.replace(file=file)
    return other_bytes(AlarmKind.DIGEST_CHANGED, about, sentence, known=file.sha256, found=found, now=now)


def _tried_again(parts: Parts, report: Report, tried: AttemptRunner) -> tuple[Attempt, ...]:
    """The attempt the verdict rests on, made again; with its repeat when it differs as it did before."""
    index = report.decision.attempt
    if index is None:
        return ()
    parts.blobs.path(report.artifact.sha256)  # an identical file is not looked at again when it is compared
    before = report.attempts[index].hypothesis
    if not tried.attempts:  # a process that is no more may have made it
        tried.make(
            Hypothesis(
                name=before.name,
                sentence=(
                    f"The definition of the verification of {report.finished:%Y-%m-%d}, run again from the stored "
                    "inputs."
                ),
                definition=before.definition,
                replayed=before.replayed,
            )
        )
    differed = report.decision.verdict is Verdict.DIFFERS
    if differed and decide(tried.attempts, report.evidence.obstacle).verdict is Verdict.DIFFERS:
        tried.look_closer(0)  # what confirmed it before and differs now is looked at in full afterwards
    return tried.attempts


def _trail(report: Report, decision: Decision, attempts: tuple[int, ...]) -> SourceTrail | None:
    """The trail with its one step that was tried again; the attempts of the others are in the report before."""
    trail, index = report.trail, report.decision.attempt
    if trail is None:
        return None
    others = any(each.attempts and index not in each.attempts for each in trail.steps)
    note = f"The other steps were tried on {report.finished:%Y-%m-%d}; the report of that day has their attempts."
    return trail.replace(
        steps=tuple(_step(each, decision, attempts if index in each.attempts else ()) for each in trail.steps),
        notes=(*trail.notes, note) if others else trail.notes,
    )


def _step(step: Step, decision: Decision, attempts: tuple[int, ...]) -> Step:
    kept = step.decision.replace(attempt=None) if step.decision is not None else None
    return step.replace(decision=decision if attempts else kept, attempts=attempts)
