"""Where an artifact comes from: repository, source archive and artifact, and a verdict on every step between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.ecosystems.registry import conventions
from rebuilder.model.report import Report
from rebuilder.model.trail import FileChange, Origin, SourceTrail, Step, TreeChange
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import LONG, SHORT, count, secure_link, visible
from rebuilder.site.marks import Mark, mark
from rebuilder.site.sections.build import Fact
from rebuilder.site.sections.trail_picture import Node, Picture, pictures
from rebuilder.site.steps import edge_words

MOST_CHANGES = 300
"""Files a page lists; report.json has all that were kept."""
MOST_NOTES = 50

NOT_TRIED = Mark("not-tried", "–", "Not tried", "mute", "This step was not tried.")

_CHANGES = {
    TreeChange.ADDED: "only in the source archive",
    TreeChange.CHANGED: "content differs from the commit",
    TreeChange.MISSING: "only in the commit",
}


@dataclass(frozen=True, slots=True)
class Banner:
    """What a reader must not miss about the trail."""

    tone: str
    heading: str
    sentence: str


@dataclass(frozen=True, slots=True)
class EdgeRow:
    """One step in the table."""

    step: str
    mark: Mark
    sentence: str
    attempts: tuple[int, ...]
    """Numbers, counted from 1."""


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One file in which source archive and commit differ."""

    path: str
    change: str


@dataclass(frozen=True, slots=True)
class ExplainedGroup:
    """Files that one rule explains."""

    rule: str
    sentence: str
    total: str
    rows: tuple[ChangeRow, ...]


@dataclass(frozen=True, slots=True)
class ChangesSection:
    """The source archive against the commit."""

    total: str
    made_by_build: bool
    """True when rebuilding from the commit gave this very archive: then the build itself makes every change."""
    surplus: tuple[ChangeRow, ...]
    """Added or changed, and nothing explains it: loud."""
    surplus_total: str
    absent: tuple[ChangeRow, ...]
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
    edges: tuple[EdgeRow, ...]
    notes: tuple[str, ...]
    changes: ChangesSection | None


def trail_section(report: Report) -> TrailSection | None:
    """Compute it; None when only one step was looked at."""
    trail = report.trail
    steps = _steps(report)
    if trail is None or not steps:
        return None
    rows = tuple(_row(name, report, trail) for name in steps)
    nodes = _nodes(report, trail)
    said = " ".join(f"{each.step}: {each.mark.word.lower()}." for each in rows)
    return TrailSection(
        banner=_banner(report, trail),
        pictures=pictures(nodes, [row.mark for row in rows], said),
        facts=_facts(trail.origin, nodes),
        edges=rows,
        notes=tuple(visible(each) for each in trail.notes[:MOST_NOTES]),
        changes=_changes(trail, steps) if trail.changes or trail.changes_total else None,
    )


def _steps(report: Report) -> tuple[str, ...]:
    """All steps that there could be; where the ecosystem names none, those that were tried."""
    artifact = report.artifact
    tried = report.trail.edges if report.trail is not None else ()
    return conventions(artifact.ecosystem).step_names(artifact.filename) or tuple(each.name for each in tried)


def _edge(trail: SourceTrail, name: str) -> Step | None:
    return next((each for each in trail.edges if each.name == name), None)


def _row(name: str, report: Report, trail: SourceTrail) -> EdgeRow:
    edge, attempts = _edge(trail, name), len(report.attempts)
    if edge is None:
        return EdgeRow(edge_words(name, report.artifact.ecosystem), NOT_TRIED, _untried(name, report, trail), ())
    decision = edge.decision
    return EdgeRow(
        step=edge_words(name, report.artifact.ecosystem),
        mark=mark(decision.verdict, decision.kind),
        sentence=visible(decision.sentence, LONG),
        attempts=tuple(index + 1 for index in edge.attempts if 0 <= index < attempts),
    )


def _untried(name: str, report: Report, trail: SourceTrail) -> str:
    """That a step was not tried, and why as far as the trail says it."""
    said = [NOT_TRIED.spoken]
    if name.startswith("commit-"):
        if trail.origin is None:
            said.append("Nobody names a repository that this file comes from.")
        elif trail.origin.commit is None:
            said.append("No commit is known: “Who says so” has the reason.")
    archive = report.evidence.source_file is not None or _edge(trail, _steps(report)[0]) is not None
    if len(_steps(report)) > 1 and name != _steps(report)[-1] and not archive:
        said.append("No source archive is known.")
    return " ".join(said)


def _nodes(report: Report, trail: SourceTrail) -> tuple[Node, ...]:
    artifact, names = report.artifact, _steps(report)
    kind = conventions(artifact.ecosystem)
    this = _file(kind.file_words(artifact.filename).capitalize(), artifact.filename, artifact.sha256, this=True)
    start, between = (each.capitalize() for each in kind.step_words(names[0]))
    if len(names) < 3:
        return _repository(trail.origin) if names[0].startswith("commit-") else _source(start, report), this
    repository, edge, published = _repository(trail.origin), _edge(trail, names[0]), report.evidence.source_file
    if edge is not None:
        return repository, _file(between, edge.target, edge.target_sha256), this
    if published is not None:
        return repository, _file(between, published.filename, published.sha256), this
    return repository, Node(between, None, ("none is known",)), this


def _source(title: str, report: Report) -> Node:
    source = report.evidence.source
    if source is None:
        return Node(title, None, ("none is known",))
    algorithm, digest = next(iter(sorted(source.digest.items())), ("", ""))
    name = source.filename or source.uri
    sha256 = source.digest.get("sha256")
    return Node(title, name, (f"{visible(algorithm, SHORT)} {visible(digest, SHORT)[:10]}…",), sha256=sha256)


def _file(title: str, filename: str, sha256: str, *, this: bool = False) -> Node:
    return Node(title, filename, (f"sha256 {sha256[:10]}…",), this=this, sha256=sha256)


def _repository(origin: Origin | None) -> Node:
    if origin is None:
        return Node("Repository", None, ("none is known",))
    lines = [f"commit {visible(origin.commit, 64)[:12]}" if origin.commit else "no commit found"]
    if origin.tag:
        lines.append(f"tag {visible(origin.tag, 40)}")
    if origin.attested:
        return Node("Repository", origin.repository, tuple(lines), says="✓ attested", tone="good")
    return Node("Repository", origin.repository, tuple(lines), says="? claimed, not attested", tone="warn")


def _facts(origin: Origin | None, nodes: Sequence[Node]) -> tuple[Fact, ...]:
    facts = []
    if origin is None:
        facts.append(Fact("Repository", "none is known"))
    else:
        href = secure_link(origin.repository)
        facts.append(Fact("Repository", visible(origin.repository), href=href, code=href is None))
        facts.append(Fact("Commit", visible(origin.commit, SHORT) if origin.commit else "none was found", code=True))
        if origin.tag:
            facts.append(Fact("Tag", visible(origin.tag, SHORT), code=True))
        facts.append(Fact("Who says so", visible(origin.sentence)))
    for node in nodes[1:]:
        name = visible(node.name, SHORT) if node.name else "none is known"
        facts.append(Fact(node.title, name, code=node.name is not None))
        if node.sha256:
            facts.append(Fact("Its SHA-256", node.sha256, code=True))
    return tuple(facts)


def _banner(report: Report, trail: SourceTrail) -> Banner | None:
    """The case people need to see: a file can be true to a source archive that is not true to the commit."""
    names = _steps(report)
    if len(names) < 3:
        return _disagreeing(trail)
    first, second, direct = (_edge(trail, name) for name in names)
    if second is None or not second.decision.verdict.confirms:
        return _disagreeing(trail)
    followed = first is not None and first.decision.verdict.confirms
    unexplained = _unexplained(trail)
    if followed or (not unexplained and (first is None or first.decision.verdict is not Verdict.DIFFERS)):
        return _disagreeing(trail)
    who = "attested" if trail.origin and trail.origin.attested else "claimed"
    if unexplained:
        files = count(len(unexplained), "file in it is", "files in it are")
        sentence = f"{_at_least(trail)}{files} added or changed against the {who} commit, and no rule explains why."
    else:
        sentence = f"Every file in which it differs from the {who} commit is explained by a rule; its bytes differ."
    word = conventions(report.artifact.ecosystem).file_words(report.artifact.filename)
    relieved = direct is not None and direct.decision.verdict.confirms
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


def _changes(trail: SourceTrail, names: tuple[str, ...]) -> ChangesSection:
    edge = _edge(trail, names[0])
    surplus = _unexplained(trail)
    absent = [each for each in trail.changes if each.rule is None and each.change is TreeChange.MISSING]
    explained = [each for each in trail.changes if each.rule is not None]
    total = max(trail.changes_total, len(trail.changes))
    shown = [*surplus, *absent, *explained][:MOST_CHANGES]
    kept = set(map(id, shown))
    return ChangesSection(
        total=count(total, "file differs", "files differ"),
        made_by_build=edge is not None and edge.decision.verdict.confirms,
        surplus=tuple(_change(each) for each in surplus if id(each) in kept),
        surplus_total=_at_least(trail) + count(len(surplus), "file", "files"),
        absent=tuple(_change(each) for each in absent if id(each) in kept),
        absent_total=count(len(absent), "file", "files"),
        explained=_explained([each for each in explained if id(each) in kept]),
        hidden=None if len(shown) >= total else f"{len(shown):,} of {total:,} are listed, unexplained ones first.",
    )


def _explained(changes: Sequence[FileChange]) -> tuple[ExplainedGroup, ...]:
    groups: dict[tuple[str, str], list[FileChange]] = {}
    for each in changes:
        groups.setdefault((each.rule or "", each.sentence or ""), []).append(each)
    return tuple(
        ExplainedGroup(
            rule=visible(rule, SHORT),
            sentence=visible(sentence),
            total=count(len(found), "file", "files"),
            rows=tuple(_change(each) for each in found),
        )
        for (rule, sentence), found in groups.items()
    )


def _change(each: FileChange) -> ChangeRow:
    return ChangeRow(visible(each.path, 200), _CHANGES[each.change])
