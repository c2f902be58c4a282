"""One preflight, start to end: tree, builds, causes, places, what lies in ``dist/``; as SARIF 2.1.0, too."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rebuilder.consumer.formats import sarif_of, sarif_place
from rebuilder.diagnose.case import DiagnosisInput, EcosystemRules
from rebuilder.diagnose.unstable_rules import shown_alone
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.registry import conventions
from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.comparison import Comparison, Effect, Factor, Level, MemberChange
from rebuilder.model.decision import decide
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.project import (
    BuiltFile,
    ComparedFile,
    Outcome,
    OwnFile,
    Preflight,
    Project,
    ProjectFinding,
    ProjectTree,
)
from rebuilder.model.text import visible, written_lines
from rebuilder.model.verdict import Verdict
from rebuilder.preflight.builds import EPOCH, FileBuilds, ProjectBuilds, build_project, located, worst
from rebuilder.verification.findings import diagnosed
from rebuilder.verification.parts import Parts

_SHOWN, _FEW = 8, 3
_UNHEEDED = (
    f"Nothing, for the content: the build backend does not heed {EPOCH} for this file. Where the bytes are to be the "
    "same, use one that does, or write the times in the archive anew after the build."
)
_LOG_CHARACTERS = 64 << 10
_OUTCOMES = {
    Level.IDENTICAL: Outcome.SAME,
    Level.EQUIVALENT: Outcome.SAME_CONTENT,
    Level.DIFFERENT: Outcome.DIFFERS,
}
_LEVELS = {outcome: level for level, outcome in _OUTCOMES.items()}


@dataclass(frozen=True)
class _Case:
    """What rules for published files are asked with."""

    parts: Parts
    ecosystem: Ecosystem
    tree: ProjectTree
    project: Project

    def ruled(self, attempt: Attempt, level: Level, *files: str) -> Iterator[ProjectFinding]:
        """What they say of an attempt."""
        name = files[0] if files else attempt.hypothesis.target
        attempt = attempt.replace(hypothesis=_of_one(attempt.hypothesis, name))
        file = PublishedFile(filename=name, url="file:", sha256=self.tree.archive_sha256)
        artifact = Artifact(
            ecosystem=self.ecosystem.name, purl=self.project.purl, name=self.project.name, version="0", file=file
        )
        evidence = Evidence(artifact=artifact, index_sha256=self.tree.archive_sha256)
        found = diagnosed(self.parts, DiagnosisInput(evidence, (attempt,), decide((attempt,), None)))
        for each in found.findings if found is not None else ():
            yield ProjectFinding.of(each, *files, level=level)


def _of_one(hypothesis: Hypothesis, name: str) -> Hypothesis:
    """A hypothesis about one file, whose name is known."""
    return hypothesis.replace(definition=hypothesis.definition.replace(targets=(name,)), filename=None)


def examine(
    parts: Parts,
    ecosystem: Ecosystem,
    tree: ProjectTree,
    texts: Mapping[str, str],
    own_files: Sequence[OwnFile] = (),
) -> Preflight:
    """Find out whether a stranger gets the same bytes from a tree.

    ``own_files`` lie there to be published, and are among the blobs.

    Raises:
        RebuilderError: something on our side failed.
    """
    start = time.monotonic()
    project = ecosystem.project(tree)
    if isinstance(project, Obstacle) and project.verdict is Verdict.INFRA_ERROR:
        raise UnavailableError(project.sentence)
    if isinstance(project, Obstacle):
        return Preflight(
            project=tree.name,
            outcome=Outcome.UNDECIDED,
            sentence=f"{Outcome.UNDECIDED.sentence} {project.sentence}",
            notes=tuple(_tree_notes(tree)),
            seconds=round(time.monotonic() - start, 3),
        )
    facts = conventions(ecosystem.name)
    rules = facts.rules
    made = build_project(parts, project, rules, told=facts.tells_time(texts))
    case = _Case(parts, ecosystem, tree, project)
    findings = [*_failure(case, made), *_missing(made, rules)]
    for each in made.files:
        findings += _of_file(each, rules)
        findings += _archived(case, each)
    compared = list(_compared_files(case, made, own_files))
    findings += [finding for _, found in compared for finding in found]
    merged = [each if each.advice == _UNHEEDED else located(facts, tree, each, texts) for each in _merged(findings)]
    failing = any(each.cause is Cause.INCOMPLETE_SOURCE and each.certainty is Certainty.SHOWN for each in merged)
    complete = len(made.files) == len(project.hypotheses) and made.elsewhere_failed is None
    level = worst([each.level for each in merged if each.certainty is not Certainty.HINT])
    level = worst([level, *(_LEVELS[each.outcome] for each, _ in compared if each.outcome in _LEVELS)])
    level = worst([level, *(each.difference.level for each in made.files if each.difference is not None)])
    outcome, why = _OUTCOMES[level] if complete or failing else Outcome.UNDECIDED, []
    if outcome in {Outcome.SAME, Outcome.SAME_CONTENT}:  # a file that was asked about, and is not what the tree gives
        pairs = zip(own_files, (each for each, _ in compared), strict=True)
        why = [each.sentence for own, each in pairs if own.asked and each.outcome is Outcome.UNDECIDED]
        outcome = Outcome.UNDECIDED if why else outcome
    return Preflight(
        project=project.name,
        outcome=outcome,
        sentence=" ".join((outcome.sentence, *why)),
        built=tuple(_built(each) for each in made.files),
        compared=tuple(each for each, _ in compared),
        findings=tuple(merged),
        unexplained=tuple(_unexplained(made, rules)),
        notes=(*project.notes, *_tree_notes(tree), *_clock_notes(made)),
        definition=project.hypotheses[-1].definition,
        builds=made.count,
        cpu_seconds=round(made.cpu_seconds, 3),
        seconds=round(time.monotonic() - start, 3),
    )


def _compared_files(
    case: _Case, made: ProjectBuilds, own_files: Sequence[OwnFile]
) -> Iterator[tuple[ComparedFile, list[ProjectFinding]]]:
    """Each file that is to be published, beside what was built here of the tree under its name."""
    built = {each.here.filename: each for each in made.files}
    for own in own_files:
        each = built.get(own.filename)
        if each is None:
            sentence = f"{own.filename} is not what the tree gives now: that is {' and '.join(built) or 'nothing'}."
            compared = ComparedFile(
                filename=own.filename, sha256=own.sha256, outcome=Outcome.UNDECIDED, sentence=sentence
            )
            yield compared, []
            continue
        found = case.parts.comparer.compare(own.sha256, each.here.sha256, own.filename, each.here.filename)
        outcome = _OUTCOMES[found.level]
        hypothesis = _of_one(each.hypothesis, own.filename)
        attempt = Attempt(hypothesis=hypothesis, run=each.run, rebuilt=each.here, comparison=found)
        level = found.level
        findings = [] if level is Level.IDENTICAL else list(case.ruled(attempt, level, own.filename))
        if outcome is Outcome.SAME and each.difference is not None:
            outcome = _OUTCOMES[each.difference.level]
        sentence = decide((attempt,), None).sentence
        yield ComparedFile(filename=own.filename, sha256=own.sha256, outcome=outcome, sentence=sentence), findings


def _built(made: FileBuilds) -> BuiltFile:
    levels = [each.level for each in (made.difference, made.untold) if each is not None]
    return BuiltFile(
        filename=made.here.filename,
        sha256=made.here.sha256,
        outcome=Outcome.UNDECIDED if made.other is None else _OUTCOMES[worst(levels)],
        elsewhere_sha256=made.other.sha256 if made.other is not None else None,
    )


def _tree_notes(tree: ProjectTree) -> Iterator[str]:
    if tree.commit is None:
        yield "This is no git checkout: everything was taken but what builds and tools leave behind."
    if tree.changed:
        yield f"Not committed yet, and taken as it is now: {_names(tree.changed)}."
    if tree.untracked:
        yield f"In no commit, so nobody else has it, and left out: {_names(tree.untracked)}."


def _clock_notes(made: ProjectBuilds) -> Iterator[str]:
    if made.clock is not None:
        yield f"No build could be shown another time here, so a date in the result goes unseen: {made.clock}."


def _names(names: tuple[str, ...]) -> str:
    return ", ".join([*names[:5], "…"] if len(names) > 5 else names)


def _failure(case: _Case, made: ProjectBuilds) -> Iterator[ProjectFinding]:
    """Why a build left nothing: the source archive lacks what the tree has, or what the log says."""
    failed = made.elsewhere_failed if len(made.files) == len(case.project.hypotheses) else made.first.run
    if failed is None:
        return
    if made.directly_works:
        rules, written = conventions(case.ecosystem.name).rules, case.parts.blobs.read(failed.log_sha256)
        log = written.decode("utf-8", "replace")[-_LOG_CHARACTERS:]
        lacking = [each for each in case.tree.files if re.search(rf"(?<![\w/.-]){re.escape(each)}(?![\w/-])", log)]
        names = f", such as {_names(tuple(lacking))}" if lacking else ""
        yield ProjectFinding(
            cause=Cause.INCOMPLETE_SOURCE,
            sentence="The tree can be built and the source archive made of it cannot: "
            f"the archive lacks something that the build needs{names}.",
            certainty=Certainty.SHOWN,
            basis=Basis.EXPERIMENT,
            evidence=tuple(EvidenceLine(note=each[:300]) for each in written_lines(written)[-3:]),
            advice=rules.advice.get(Cause.INCOMPLETE_SOURCE, Cause.INCOMPLETE_SOURCE.advice),
        )
        return
    attempt = Attempt(hypothesis=case.project.hypotheses[-1], run=failed)
    yield from case.ruled(attempt, Level.DIFFERENT)


def _archived(case: _Case, made: FileBuilds) -> Iterator[ProjectFinding]:
    """What differs around the same content: elsewhere, where builds are told a time, and where they are not."""
    seen = {Cause.COMPRESSION}  # one program made both
    for compared in (made.difference, made.untold):
        if compared is None or compared.level is not Level.EQUIVALENT:
            continue
        attempt = Attempt(hypothesis=made.hypothesis, run=made.run, rebuilt=made.here, comparison=compared)
        told = compared is made.difference and EPOCH in made.hypothesis.definition.environment
        for each in case.ruled(attempt, Level.EQUIVALENT, made.here.filename):
            if each.cause in seen:
                continue  # telling the time does not mend it
            seen.add(each.cause)
            unheeded = told and each.cause is Cause.ARCHIVE_TIMES
            yield each.replace(
                sentence=f"{each.cause.spoken.rstrip('.')}, although {EPOCH} is set."
                if unheeded
                else each.cause.spoken,
                advice=_UNHEEDED if unheeded else each.advice,
                evidence=tuple(line for line in each.evidence if line.member is not None)[:_FEW],
            )


def _missing(made: ProjectBuilds, rules: EcosystemRules) -> Iterator[ProjectFinding]:
    """What the source archive lacks: a build of the tree has it, and a build of the archive has not."""
    found = made.directly
    if found is None or found.level is not Level.DIFFERENT:
        return
    lacking = [each for each in found.differences if each.change is MemberChange.MISSING]
    if lacking:
        names = [each.member for each in lacking]
        yield ProjectFinding(
            cause=Cause.EXTRA_SOURCE_FILES,
            sentence=f"A wheel that is built from the tree has what one built from the source archive lacks: "
            f"{_names(tuple(names))}.",
            certainty=Certainty.SHOWN,
            basis=Basis.EXPERIMENT,
            files=(made.files[-1].here.filename,),
            evidence=tuple(EvidenceLine(member=each) for each in names[:_SHOWN]),
            advice=rules.advice.get(Cause.INCOMPLETE_SOURCE, Cause.INCOMPLETE_SOURCE.advice),
        )


def _of_file(made: FileBuilds, rules: EcosystemRules) -> Iterator[ProjectFinding]:
    filename = made.here.filename
    if made.variation is not None:
        for claim in shown_alone(made.variation):
            yield ProjectFinding.of(claim.finding, filename, advice=rules.advice.get(claim.finding.cause))
    yield from _restless(made)
    if made.untold is not None and made.untold.level is Level.DIFFERENT and not _itself(made, made.untold):
        yield ProjectFinding(
            cause=Cause.EMBEDDED_TIME,
            sentence=f"Without SOURCE_DATE_EPOCH the time of the build goes into {filename}.",
            certainty=Certainty.SHOWN,
            basis=Basis.EXPERIMENT,
            files=(filename,),
            evidence=tuple(EvidenceLine(member=each.member, note=each.detail) for each in made.untold.differences[:3]),
            advice=Cause.ARCHIVE_TIMES.advice,
        )


def _restless(made: FileBuilds) -> Iterator[ProjectFinding]:
    """What differs between two builds with nothing changed, and with every factor that could settle it settled."""
    if not made.restless or made.variation is None:
        return
    clock = next(each for each in made.variation.rows if each.factor is Factor.TIME)
    settled = clock.effect not in {Effect.NOT_TRIED, Effect.FAILED}
    evidence = [
        EvidenceLine(member=member)
        if before.startswith("\0")
        else EvidenceLine(member=member, published=after, rebuilt=before)
        for member, before, after in made.restless
    ]
    yield ProjectFinding(
        cause=Cause.RANDOMNESS,
        sentence="Two builds differ with nothing changed"
        + (
            ", and with the clock fixed: something random goes into the result."
            if settled
            else ": something random, or the time."
        ),
        certainty=Certainty.SHOWN if settled else Certainty.LIKELY,
        basis=Basis.EXPERIMENT,
        files=(made.here.filename,),
        evidence=tuple(evidence[:_SHOWN]),
        advice=Cause.RANDOMNESS.advice,
    )


def _itself(made: FileBuilds, found: Comparison) -> bool:
    """Whether a difference is there without the change, too."""
    if made.difference is None or made.difference.level is not found.level:
        return False
    return {each.member for each in found.differences} <= {each.member for each in made.difference.differences}


def _unexplained(made: ProjectBuilds, rules: EcosystemRules) -> Iterator[str]:
    for each in made.files:
        if each.difference is None or each.difference.level is not Level.DIFFERENT:
            continue
        told = {member for member, _before, _after in each.restless}
        for row in each.variation.rows if each.variation is not None else ():
            told |= {*row.members} if row.effect in {Effect.FLIPS, Effect.STEADIES} else set()
        yield from (
            f"{each.here.filename}: {one.member}"
            for one in each.difference.differences
            if one.member not in told and one.change is not MemberChange.METADATA and not rules.is_inventory(one.member)
        )


def _merged(findings: list[ProjectFinding]) -> list[ProjectFinding]:
    """One finding for each cause: those of several files of the release are the same one."""
    found: dict[tuple[Cause, Certainty, str], ProjectFinding] = {}
    for each in findings:
        key = (each.cause, each.certainty, each.advice)
        before = found.get(key)
        if before is None:
            found[key] = each
            continue
        found[key] = before.replace(
            files=tuple(dict.fromkeys((*before.files, *each.files))),
            evidence=tuple(dict.fromkeys((*before.evidence, *each.evidence)))[:_SHOWN],
            level=worst([before.level, each.level]),
        )
    return sorted(found.values(), key=lambda each: -list(Level).index(each.level))


def preflight_sarif(found: Preflight, main_file: str) -> str:
    """A result for each finding, where it comes from.

    Args:
        found: What was found.
        main_file: What a finding is beside that has no line: the file that says how the project is built.
    """
    rules = [
        {"id": each.value, "shortDescription": {"text": each.spoken}, "help": {"text": each.advice}}
        for each in dict.fromkeys(each.cause for each in found.findings)
    ]
    return sarif_of("rebuilder preflight", rules, [_result(each, main_file) for each in found.findings])


def _result(each: ProjectFinding, main_file: str) -> dict[str, Any]:
    shown = each.certainty is Certainty.SHOWN and each.level is Level.DIFFERENT
    places = [sarif_place(one.file, one.line) for one in each.places[:1]]
    return {
        "ruleId": each.cause.value,
        "level": "error" if shown else "warning",
        "message": {"text": visible(f"{each.sentence} {each.advice}")},
        "locations": places or [sarif_place(main_file, None)],
        "partialFingerprints": {"cause/v1": each.cause.value},
    }
