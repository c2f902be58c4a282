"""One preflight, start to end: tree, builds, causes, places, what lies in ``dist/``."""

from __future__ import annotations

import time
from collections.abc import Iterator

from rebuilder.diagnose.case import DiagnosisInput, EcosystemRules
from rebuilder.diagnose.unstable_rules import shown_alone
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.ecosystems.registry import conventions
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Comparison, Effect, Factor, Level, MemberChange
from rebuilder.model.decision import decide
from rebuilder.model.diagnosis import Basis, Cause, Certainty, EvidenceLine
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.project import (
    BuiltFile,
    Outcome,
    Preflight,
    Project,
    ProjectFinding,
    ProjectTree,
)
from rebuilder.preflight.builds import FileBuilds, ProjectBuilds, build_project, worst
from rebuilder.verification.findings import diagnosed
from rebuilder.verification.parts import Parts

_SHOWN = 8
_OUTCOMES = {
    Level.IDENTICAL: Outcome.SAME,
    Level.EQUIVALENT: Outcome.SAME_CONTENT,
    Level.DIFFERENT: Outcome.DIFFERS,
}
_SENTENCES = {
    Outcome.SAME: "A stranger gets the same bytes.",
    Outcome.SAME_CONTENT: "A stranger gets the same files; what the archives say about them depends on the machine.",
    Outcome.DIFFERS: "A stranger does not get the same bytes.",
    Outcome.UNDECIDED: "Whether a stranger gets the same bytes could not be found out.",
}


def examine(parts: Parts, ecosystem: Ecosystem, tree: ProjectTree, *, told: bool = False) -> Preflight:
    """Find out whether a stranger gets the same bytes from a tree.

    Args:
        parts: What to build and compare with.
        ecosystem: Whose project it is.
        tree: Its files.
        told: Whether releases are known to be made with ``SOURCE_DATE_EPOCH``.

    Raises:
        RebuilderError: something on our side failed.
    """
    start = time.monotonic()
    project = ecosystem.project(tree)
    if isinstance(project, Obstacle):
        return Preflight(
            project=tree.name,
            outcome=Outcome.UNDECIDED,
            sentence=f"{_SENTENCES[Outcome.UNDECIDED]} {project.sentence}",
            notes=tuple(_tree_notes(tree)),
            seconds=round(time.monotonic() - start, 3),
        )
    rules = conventions(ecosystem.name).diagnosis()
    made = build_project(parts, project, rules, told=told)
    findings = [*_failure(parts, ecosystem, tree, project, made), *_missing(made, rules)]
    for each in made.files:
        findings += _of_file(each, rules)
    merged = _merged(findings)
    complete = len(made.files) == len(project.hypotheses) and made.elsewhere_failed is None
    level = worst([each.level for each in merged if each.certainty is not Certainty.HINT])
    level = worst([level, *(each.difference.level for each in made.files if each.difference is not None)])
    outcome = _OUTCOMES[level] if complete else Outcome.UNDECIDED
    return Preflight(
        project=project.name,
        outcome=outcome,
        sentence=_SENTENCES[outcome],
        built=tuple(_built(each) for each in made.files),
        findings=tuple(merged),
        unexplained=tuple(_unexplained(made, rules)),
        notes=(*project.notes, *_tree_notes(tree), *_clock_notes(made)),
        builds=made.count,
        seconds=round(time.monotonic() - start, 3),
    )


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


def _failure(
    parts: Parts, ecosystem: Ecosystem, tree: ProjectTree, project: Project, made: ProjectBuilds
) -> Iterator[ProjectFinding]:
    """Why a build left nothing."""
    failed = made.elsewhere_failed if len(made.files) == len(project.hypotheses) else made.first.run
    if failed is None:
        return
    attempts = (Attempt(hypothesis=project.hypotheses[-1], run=failed),)
    file = PublishedFile(filename=project.hypotheses[-1].target, url="file:", sha256=tree.archive_sha256)
    artifact = Artifact(ecosystem=ecosystem.name, purl=project.purl, name=project.name, version="0", file=file)
    evidence = Evidence(artifact=artifact, index_sha256=tree.archive_sha256)
    found = diagnosed(parts, DiagnosisInput(evidence, attempts, decide(attempts, None)))
    for each in found.findings if found is not None else ():
        yield ProjectFinding(
            cause=each.cause,
            sentence=each.sentence,
            certainty=each.certainty,
            basis=each.basis,
            level=Level.DIFFERENT,
            files=(),
            evidence=each.evidence,
            advice=each.advice,
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
            level=Level.DIFFERENT,
            files=(made.files[-1].here.filename,),
            evidence=tuple(EvidenceLine(member=each) for each in names[:_SHOWN]),
            advice=rules.advice.get(Cause.INCOMPLETE_SOURCE, Cause.INCOMPLETE_SOURCE.advice),
        )


def _of_file(made: FileBuilds, rules: EcosystemRules) -> Iterator[ProjectFinding]:
    filename = made.here.filename
    if made.variation is not None:
        for row, claim in shown_alone(made.variation):
            each = claim.finding
            yield ProjectFinding(
                cause=each.cause,
                sentence=each.sentence,
                certainty=each.certainty,
                basis=each.basis,
                level=row.level or Level.DIFFERENT,
                files=(filename,),
                evidence=each.evidence,
                advice=rules.advice.get(each.cause, each.advice),
            )
    yield from _restless(made)
    if made.untold is not None and not _itself(made, made.untold):
        content = made.untold.level is Level.DIFFERENT
        cause = Cause.EMBEDDED_TIME if content else Cause.ARCHIVE_TIMES
        yield ProjectFinding(
            cause=cause,
            sentence=f"Without SOURCE_DATE_EPOCH the time of the build goes into {filename}.",
            certainty=Certainty.SHOWN,
            basis=Basis.EXPERIMENT,
            level=made.untold.level,
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
        level=Level.DIFFERENT,
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
    found: dict[tuple[Cause, Certainty], ProjectFinding] = {}
    for each in findings:
        key = (each.cause, each.certainty)
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
