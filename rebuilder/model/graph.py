"""A verification as a graph: a commit, a source archive, an artifact, and steps between them with a verdict each."""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from graphlib import CycleError, TopologicalSorter
from typing import Annotated, Any, Self

from pydantic import StringConstraints, model_validator

from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.decision import Decision
from rebuilder.model.evidence import Evidence, Source, SourceKind
from rebuilder.model.git import SourceTree
from rebuilder.model.value import Sha256Field, Value
from rebuilder.model.verdict import Verdict

StepName = Annotated[
    str, StringConstraints(max_length=80, pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*-to-[a-z0-9]+(?:-[a-z0-9]+)*$")
]
"""From what to what, in the words of an ecosystem; what a step starts from and leads to is asked of its nodes."""
NodeId = Annotated[
    str, StringConstraints(pattern=r"^(?:gitCommit:[0-9a-f]{40}|sha256:[0-9a-f]{64}|commit|source-archive)$")
]
"""Algorithm and digest, the same in every verification; the kind alone where nobody knows the content."""


class NodeKind(StrEnum):
    """What a node is."""

    COMMIT = "commit"
    SOURCE_ARCHIVE = "source-archive"
    ARTIFACT = "artifact"
    """The published file that is verified."""


_IDS = {
    NodeKind.COMMIT: ("gitCommit", "commit"),
    NodeKind.SOURCE_ARCHIVE: ("sha256", "source-archive"),
    NodeKind.ARTIFACT: ("sha256", ""),
}


class Node(Value):
    """What steps lead from and to."""

    kind: NodeKind
    id: NodeId
    name: str | None = None
    """Repository of a commit, file name of anything else; None where there is none."""

    @model_validator(mode="after")
    def _named_by_its_kind(self) -> Self:
        if self.id.partition(":")[0] not in _IDS[self.kind]:
            raise ValueError(f"{self.id} is no {self.kind.replace('-', ' ')}")
        return self

    @property
    def sha256(self) -> str | None:
        """Of a file whose content is known."""
        algorithm, _, digest = self.id.partition(":")
        return digest if algorithm == "sha256" else None


class Origin(Value):
    """The commit an artifact is said to come from, and who says so."""

    repository: str
    """URL, without credentials."""
    commit: str | None = None
    """Commit id in hexadecimal; None when none could be found."""
    tag: str | None = None
    """Tag that names the commit, without ``refs/tags/``."""
    attested: bool
    """True when a verified attestation names repository and commit; False when only unsigned metadata does."""
    sentence: str
    """Who says so, as a sentence: "A verified attestation names this commit." or "Claimed, not attested: …"."""
    directory: str | None = None
    """Of the package in the repository, empty when it is the repository itself; None where nobody looked."""
    findings: tuple[str, ...] = ()
    """What should not be so, as sentences: a tag of the version that leads to a commit with fewer of the files."""


class SourceCommit(Value):
    """A commit that steps start from, and the files it holds."""

    origin: Origin
    tree: SourceTree


def commit_node(origin: Origin | None) -> Node:
    """The commit that an artifact is said to come from."""
    if origin is None:
        return Node(kind=NodeKind.COMMIT, id=NodeKind.COMMIT.value)
    known = origin.commit is not None and re.fullmatch("[0-9a-f]{40}", origin.commit)
    named = f"gitCommit:{origin.commit}" if known else NodeKind.COMMIT.value
    return Node(kind=NodeKind.COMMIT, id=named, name=origin.repository)


def file_node(kind: NodeKind, file: PublishedFile) -> Node:
    """A published file."""
    return Node(kind=kind, id=f"sha256:{file.sha256}", name=file.filename)


def source_kind(source: Source | None) -> NodeKind:
    """What a build started from."""
    committed = source is not None and source.kind is SourceKind.GIT
    return NodeKind.COMMIT if committed else NodeKind.SOURCE_ARCHIVE


def source_id(source: Source | None) -> str:
    """Identifier of the node that a build started from."""
    kind = source_kind(source)
    algorithm, unknown = _IDS[kind]
    return f"{algorithm}:{source.digest[algorithm]}" if source and algorithm in source.digest else unknown


class TreeChange(StrEnum):
    """How a file in a source archive differs from the commit."""

    ADDED = "added"
    """In the source archive, not in the commit."""
    CHANGED = "changed"
    MISSING = "missing"
    """In the commit, not in the source archive."""


class FileChange(Value):
    """One file that a source archive and the commit do not share."""

    path: str
    """Below the top directory of the source archive."""
    change: TreeChange
    rule: str | None = None
    """Name of the rule that says why this is expected, such as ``generated-metadata``; None: nothing explains it."""
    sentence: str | None = None
    """The rule in words, such as "Build backends write PKG-INFO into every source archive."; without a rule, what is
    known of the file."""


class TreeComparison(Value):
    """What was published, held against the files of the commit."""

    changes: tuple[FileChange, ...] = ()
    """Unexplained ones first; those that somebody must look at soonest before others."""
    notes: tuple[str, ...] = ()
    """Sentences worth knowing that change nothing."""


class Step(Value):
    """One step, with a verdict of its own once it was tried."""

    name: StepName
    start: NodeId
    end: NodeId
    attempts: tuple[int, ...] = ()
    """Indexes into the attempts of the report."""
    decision: Decision | None = None
    """None: it was not tried, and nothing is known to stand in the way."""

    @property
    def verdict(self) -> Verdict | None:
        """Of :attr:`decision`."""
        return self.decision.verdict if self.decision is not None else None


class SourceTrail(Value):
    """The graph of one verification. As an ecosystem gives it, nothing is decided yet."""

    origin: Origin | None = None
    nodes: tuple[Node, ...] = ()
    """In the order a page shows them: the commit first, the artifact last."""
    steps: tuple[Step, ...] = ()
    changes: tuple[FileChange, ...] = ()
    """Source archive against commit, unexplained ones first, then by path; cut to what a page can show."""
    changes_total: int = 0
    findings: tuple[str, ...] = ()
    """What should not be so, such as "The tag v1 points at another commit now."."""
    notes: tuple[str, ...] = ()
    """Worth knowing, such as a submodule that is not included."""

    @model_validator(mode="after")
    def _is_a_graph(self) -> Self:
        for what, names in (("node", [each.id for each in self.nodes]), ("step", [each.name for each in self.steps])):
            if twice := [name for name, count in Counter(names).items() if count > 1]:
                raise ValueError(f"it names the {what} {twice[0]} twice")
        known, before = {each.id for each in self.nodes}, dict[str, set[str]]()
        for step in self.steps:
            if missing := {step.start, step.end} - known:
                raise ValueError(f"the step {step.name} has an end that is no node of it, {min(missing)}")
            before.setdefault(step.end, set()).add(step.start)
        try:
            TopologicalSorter(before).prepare()
        except CycleError:
            raise ValueError("its steps lead in a circle") from None
        return self

    def node(self, name: str) -> Node:
        """The node with this identifier, which an end of a step is."""
        return next(each for each in self.nodes if each.id == name)

    def from_commit(self, step: Step) -> bool:
        """Whether a step starts from the commit."""
        return self.node(step.start).kind is NodeKind.COMMIT

    def step(self, start: NodeKind, end: NodeKind) -> Step | None:
        """The step from a node of one kind to one of another, if there is one."""
        ends = ((self.node(each.start).kind, self.node(each.end).kind, each) for each in self.steps)
        return next((each for first, last, each in ends if (first, last) == (start, end)), None)

    @property
    def archive_step(self) -> Step | None:
        """The step that :attr:`changes` are about: to the source archive, which may be the artifact itself."""
        beside = any(each.kind is NodeKind.SOURCE_ARCHIVE for each in self.nodes)
        return self.step(NodeKind.COMMIT, NodeKind.SOURCE_ARCHIVE if beside else NodeKind.ARTIFACT)

    @property
    def disagreement(self) -> str | None:
        """That one step confirms what was published and another differs, as a sentence; None if they agree."""
        passing = [self._spoken(each) for each in self.steps if each.verdict is not None and each.verdict.confirms]
        differing = [self._spoken(each) for each in self.steps if each.verdict is Verdict.DIFFERS]
        if not passing or not differing:
            return None
        against, although = _told(differing, "differs", "differ"), _told(passing, "passes", "pass")
        return f"T{against[1:]}, although {although}."

    @property
    def unexplained(self) -> int:
        """Files in which source archive and commit differ for no known reason.

        0 where the source archive came out of the commit bit for bit: then the build itself makes every one of them.
        """
        step = self.archive_step
        made = step is not None and step.verdict is Verdict.REPRODUCED
        return 0 if made else sum(1 for each in self.changes if each.rule is None)

    def _spoken(self, step: Step) -> str:
        """A step within a sentence: "from the commit to the wheel"."""
        ends = zip((step.start, step.end), step.name.split("-to-", 1), strict=True)
        kinds = [(self.node(end).kind, word) for end, word in ends]
        start, end = ((word if kind is NodeKind.ARTIFACT else kind).replace("-", " ") for kind, word in kinds)
        return f"from the {start} to the {end}"


class _Edge(Value):
    """A step as reports had it before there were nodes."""

    name: StepName
    decision: Decision
    attempts: tuple[int, ...] = ()
    target: str
    target_sha256: Sha256Field


class _Edges(Value):
    edges: tuple[_Edge, ...]


def with_nodes(report: Any) -> Any:
    """The document of a report from before there were nodes as one of today; any other as it is.

    Raises:
        ValueError: its trail is in both forms, or in no form that was ever written.
    """
    trail = report.get("trail") if isinstance(report, dict) else None
    if not isinstance(trail, dict) or "edges" not in trail:
        return report
    if {"nodes", "steps"} & trail.keys():
        raise ValueError("its trail has edges as well as nodes")
    kept = {name: content for name, content in trail.items() if name != "edges"}
    partial = SourceTrail.model_validate(kept)
    edges = _Edges.model_validate({"edges": trail["edges"]}).edges
    artifact, evidence = (
        Artifact.model_validate(report.get("artifact")),
        Evidence.model_validate(report.get("evidence")),
    )
    return report | {"trail": partial.replace(**_graph(edges, partial.origin, artifact, evidence))}


def _graph(edges: tuple[_Edge, ...], origin: Origin | None, artifact: Artifact, evidence: Evidence) -> dict[str, Any]:
    this, commit = file_node(NodeKind.ARTIFACT, artifact.file), commit_node(origin)
    if evidence.source_file is not None:
        archive = file_node(NodeKind.SOURCE_ARCHIVE, evidence.source_file)
    else:
        source = evidence.source if evidence.source and evidence.source.kind is not SourceKind.GIT else None
        name = (source.filename or source.uri) if source is not None else None
        archive = Node(kind=NodeKind.SOURCE_ARCHIVE, id=source_id(source), name=name)
    steps = []
    for each in edges:
        start = commit if each.name.startswith("commit-") else archive
        end = this if each.target_sha256 == artifact.sha256 else archive
        if start.id != end.id:
            steps.append(
                Step(name=each.name, start=start.id, end=end.id, attempts=each.attempts, decision=each.decision)
            )
    used = {each for step in steps for each in (step.start, step.end)}
    if origin is not None:
        used.add(commit.id)
    if evidence.source_file is not None and archive.id != this.id:
        used.add(archive.id)
    return {"nodes": [*(each for each in (commit, archive) if each.id in used - {this.id}), this], "steps": steps}


def with_steps(decision: Decision, trail: SourceTrail | None) -> Decision:
    """The decision, with what the other steps say against it in its sentence."""
    against = trail.disagreement if trail is not None else None
    if against is None or decision.sentence.endswith(against):
        return decision
    return decision.replace(sentence=f"{decision.sentence} {against}")


def _told(steps: list[str], one: str, several: str) -> str:
    return f"the step {steps[0]} {one}" if len(steps) == 1 else f"the steps {' and '.join(steps)} {several}"
