"""Where an artifact comes from: repository, source archive and artifact, and a verdict on every step between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.graph import FileChange, Node, NodeKind, Origin, SourceTrail, Step, TreeChange
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import LONG, SHORT, count, secure_link, visible
from rebuilder.site.marks import Mark, mark, node_words
from rebuilder.site.sections.build import Fact
from rebuilder.site.sections.trail_picture import Picture, PictureNode, pictures

MOST_CHANGES = 300
"""Files a page lists; report.json has all that were kept."""
MOST_NOTES = 50

NOT_TRIED = Mark("not-tried", "–", "Not tried", "mute", "This step was not tried.")


@dataclass(frozen=True, slots=True)
class Banner:
    """What a reader must not miss about the trail."""

    tone: str
    heading: str
    sentence: str


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step in the table."""

    step: str
    mark: Mark
    sentence: str
    attempts: tuple[int, ...]
    """Numbers, counted from 1."""


@dataclass(frozen=True, slots=True)
class ExplainedGroup:
    """Files that one rule explains."""

    rule: str
    sentence: str
    rows: Sequence[FileChange]


@dataclass(frozen=True, slots=True)
class ChangesSection:
    """The source archive, or what is packed from the commit itself, against the commit."""

    word: str
    """What was compared: "source archive", "tarball"."""
    total: str
    made_by_build: bool
    """True when rebuilding from the commit gave this very archive: then the build itself makes every change."""
    surplus: Sequence[FileChange]
    """Added or changed, and nothing explains it: loud."""
    surplus_total: str
    absent: Sequence[FileChange]
    """In the commit only, and nothing explains it."""
    absent_total: str
    explained: tuple[ExplainedGroup, ...]
    hidden: str | None


@dataclass(frozen=True, slots=True)
class TrailSection:
    """Everything a page shows of the trail."""

    banner: Banner | None
    pictures: tuple[Picture, ...]
    facts: tuple[Fact, ...]
    steps: tuple[StepRow, ...]
    notes: tuple[str, ...]
    changes: ChangesSection | None


def trail_section(report: Report) -> TrailSection | None:
    """Compute it; None when only one step was looked at."""
    trail = report.trail
    if trail is None or not trail.steps:
        return None
    rows = _once([_row(each, report, trail) for each in trail.steps], report)
    nodes = [_node(each, report, trail) for each in trail.nodes]
    said = " ".join(f"{each.step}: {each.mark.word.lower()}." for each in rows)
    return TrailSection(
        banner=_banner(report, trail),
        pictures=pictures(nodes, _marks(trail, rows), said),
        facts=_facts(
            trail,
            [shown for each, shown in zip(trail.nodes, nodes, strict=True) if each.kind is not NodeKind.COMMIT],
        ),
        steps=rows,
        notes=tuple(visible(each) for each in trail.notes[:MOST_NOTES]),
        changes=_changes(trail, report.artifact.ecosystem) if trail.changes or trail.changes_total else None,
    )


def _once(rows: Sequence[StepRow], report: Report) -> tuple[StepRow, ...]:
    """One obstacle, such as what git said, keeps several steps from being tried: it is told once."""
    told, found = {visible(report.decision.sentence, LONG)}, []
    for each in rows:
        again = each.mark is not NOT_TRIED and not each.attempts and each.sentence in told
        found.append(replace(each, sentence="For the same reason.") if again else each)
        told.add(each.sentence)
    return tuple(found)


def _row(step: Step, report: Report, trail: SourceTrail) -> StepRow:
    start, end = (node_words(trail.node(each), report.artifact.ecosystem) for each in (step.start, step.end))
    decision, words = step.decision, f"{start.capitalize()} → {end}"
    if decision is None:
        return StepRow(words, NOT_TRIED, _untried(step, trail), ())
    return StepRow(
        step=words,
        mark=mark(decision.verdict, decision.kind),
        sentence=visible(decision.sentence, LONG),
        attempts=tuple(index + 1 for index in step.attempts if 0 <= index < len(report.attempts)),
    )


def _untried(step: Step, trail: SourceTrail) -> str:
    """That a step was not tried, and why as far as the trail says it."""
    if not trail.from_commit(step) or (trail.origin is not None and trail.origin.commit is not None):
        return NOT_TRIED.spoken
    if trail.origin is None:
        return f"{NOT_TRIED.spoken} Nobody names a repository that this file comes from."
    return f"{NOT_TRIED.spoken} No commit is known: “Who says so” has the reason."


def _marks(trail: SourceTrail, rows: Sequence[StepRow]) -> list[Mark]:
    """Of the steps between neighbours, then of the one that leaves out what lies between."""
    marks = {(step.start, step.end): row.mark for step, row in zip(trail.steps, rows, strict=True)}
    names = [each.id for each in trail.nodes]
    return [marks.get(pair, NOT_TRIED) for pair in (*pairwise(names), (names[0], names[-1]))]


def _node(node: Node, report: Report, trail: SourceTrail) -> PictureNode:
    if node.kind is NodeKind.COMMIT:
        return _repository(trail.origin)
    title, sha256 = node_words(node, report.artifact.ecosystem).capitalize(), node.sha256
    if sha256 is None:
        return PictureNode(title, None, ("none is known",))
    this = node.kind is NodeKind.ARTIFACT
    return PictureNode(title, node.name or "", (f"sha256 {sha256[:10]}…",), this=this, sha256=sha256)


def _repository(origin: Origin | None) -> PictureNode:
    if origin is None:
        return PictureNode("Repository", None, ("none is known",))
    lines = [f"commit {visible(origin.commit, 64)[:12]}" if origin.commit else "no commit found"]
    if origin.tag:
        lines.append(f"tag {visible(origin.tag, 40)}")
    if origin.attested:
        return PictureNode("Repository", origin.repository, tuple(lines), says="✓ attested", tone="good")
    return PictureNode("Repository", origin.repository, tuple(lines), says="? claimed, not attested", tone="warn")


def _facts(trail: SourceTrail, nodes: Sequence[PictureNode]) -> tuple[Fact, ...]:
    facts, origin = [], trail.origin
    if origin is None and any(each.kind is NodeKind.COMMIT for each in trail.nodes):
        facts.append(Fact("Repository", "none is known"))
    if origin is not None:
        href = secure_link(origin.repository)
        facts.append(Fact("Repository", visible(origin.repository), href=href, code=href is None))
        facts.append(Fact("Commit", visible(origin.commit, SHORT) if origin.commit else "none was found", code=True))
        if origin.tag:
            facts.append(Fact("Tag", visible(origin.tag, SHORT), code=True))
        facts.append(Fact("Who says so", visible(origin.sentence)))
    for node in nodes:
        name = visible(node.name, SHORT) if node.name else "none is known"
        facts.append(Fact(node.title, name, code=node.name is not None))
        if node.sha256:
            facts.append(Fact("Its SHA-256", node.sha256, code=True))
    return tuple(facts)


def _banner(report: Report, trail: SourceTrail) -> Banner | None:
    """The case people need to see: a file can be true to a source archive that is not true to the commit."""
    commit, archive, artifact = NodeKind
    ends = ((commit, archive), (archive, artifact), (commit, artifact))
    steps = (trail.step(*each) for each in ends)
    first, second, direct = (each.verdict if each is not None else None for each in steps)
    if second is None or not second.confirms:
        return _disagreeing(trail)
    followed = first is not None and first.confirms
    unexplained = _unexplained(trail)
    if followed or (not unexplained and first is not Verdict.DIFFERS):
        return _disagreeing(trail)
    who = "attested" if trail.origin and trail.origin.attested else "claimed"
    if unexplained:
        files = count(len(unexplained), "file in it is", "files in it are")
        sentence = f"{_at_least(trail)}{files} added or changed against the {who} commit, and no rule explains why."
    else:
        sentence = f"Every file in which it differs from the {who} commit is explained by a rule; its bytes differ."
    word = conventions(report.artifact.ecosystem).file_words(report.artifact.filename)
    relieved = direct is not None and direct.confirms
    if relieved:
        sentence += f" The {word} also follows from the commit directly, so none of this reached the {word}."
    return Banner(
        tone="warn" if relieved or not unexplained else "bad",
        heading=f"The {word} follows from the source archive, but the source archive does not follow from the commit",
        sentence=sentence[0].upper() + sentence[1:],
    )


def _disagreeing(trail: SourceTrail) -> Banner | None:
    if trail.disagreement is None:
        return None
    return Banner("bad", "One step of the trail passes, and another differs", trail.disagreement)


def _at_least(trail: SourceTrail) -> str:
    # Unexplained files come first: the list was cut among them only when it holds nothing else.
    cut = len(trail.changes) < trail.changes_total and len(_unexplained(trail)) == len(trail.changes)
    return "at least " if cut else ""


def _unexplained(trail: SourceTrail) -> list[FileChange]:
    """Files that the source archive has beyond the commit, or with other content, for no known reason."""
    return [each for each in trail.changes if each.rule is None and each.change is not TreeChange.MISSING]


def _changes(trail: SourceTrail, ecosystem: str) -> ChangesSection:
    step = trail.archive_step
    made = step.verdict if step is not None else None
    word = node_words(trail.node(step.end), ecosystem) if step is not None else "source archive"
    surplus = _unexplained(trail)
    absent = [each for each in trail.changes if each.rule is None and each.change is TreeChange.MISSING]
    explained = [each for each in trail.changes if each.rule is not None]
    total = max(trail.changes_total, len(trail.changes))
    shown = [*surplus, *absent, *explained][:MOST_CHANGES]
    kept = set(map(id, shown))
    return ChangesSection(
        word=word,
        total=count(total, "file differs", "files differ"),
        made_by_build=made is not None and made.confirms,
        surplus=[each for each in surplus if id(each) in kept],
        surplus_total=_at_least(trail) + count(len(surplus), "file", "files"),
        absent=[each for each in absent if id(each) in kept],
        absent_total=count(len(absent), "file", "files"),
        explained=_explained([each for each in explained if id(each) in kept]),
        hidden=None if len(shown) >= total else f"{len(shown):,} of {total:,} are listed, unexplained ones first.",
    )


def _explained(changes: Sequence[FileChange]) -> tuple[ExplainedGroup, ...]:
    groups: dict[tuple[str, str], list[FileChange]] = {}
    for each in changes:
        groups.setdefault((each.rule or "", each.sentence or ""), []).append(each)
    return tuple(ExplainedGroup(rule, sentence, found) for (rule, sentence), found in groups.items())
