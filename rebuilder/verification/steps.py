"""Where an artifact comes from: what upstream signed, and every step from a commit to the published files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rebuilder.ecosystems.protocol import Ecosystem, Signed, StepTask
from rebuilder.ecosystems.unavailable_inputs import unavailable
from rebuilder.model.decision import decide, towards
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.git import SourceProblem, SourceTree, Submodule
from rebuilder.model.graph import SourceCommit, SourceTrail, Step, source_id
from rebuilder.model.report import Stage
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Sources
from rebuilder.provenance.checker import ProvenanceChecker
from rebuilder.stopwatch import Stopwatch
from rebuilder.verification.attempts import AttemptRunner

MOST_CHANGES = 500
"""File changes kept in a report; the count of all is kept beside them."""


@dataclass(frozen=True)
class StepVerifier:
    """Looks into the origin of artifacts."""

    checker: ProvenanceChecker
    sources: Sources
    stopwatch: Stopwatch

    def signed(self, evidence: Evidence) -> Signed:
        """Check the attestations of the artifact and of its source archive.

        Raises:
            StoreError: the blobs, the trust root or the memory of publishers cannot be used.
        """
        self.stopwatch.stage(Stage.ATTESTATIONS)
        artifact = self.checker.check(
            evidence.artifact,
            evidence.provenance_sha256,
            evidence.registry_signatures,
            refused=evidence.provenance_refused,
        )
        expected = self.checker.expected_repository(evidence.artifact)
        if evidence.source_file is None or evidence.source_provenance_sha256 is None:
            return Signed(artifact, None, expected)
        archive = evidence.artifact.replace(file=evidence.source_file)
        return Signed(artifact, self.checker.check(archive, evidence.source_provenance_sha256), expected)

    def from_published(
        self, ecosystem: Ecosystem, evidence: Evidence, tried: AttemptRunner, limits: Limits, *, most: int | None = None
    ) -> Obstacle | None:
        """Try every step from something published; at most so many attempts.

        Returns:
            What kept them from going on, if something did.
        """
        obstacle = None
        graph = ecosystem.steps(evidence)
        for step in graph.steps:
            if not graph.from_commit(step):
                obstacle = (
                    tried.follow(partial(ecosystem.next, StepTask(step, evidence, limits)), most=most) or obstacle
                )
        return obstacle

    def from_commit(
        self, ecosystem: Ecosystem, evidence: Evidence, signed: Signed, tried: AttemptRunner, limits: Limits
    ) -> tuple[SourceTrail, Obstacle | None]:
        """Find the commit and try every step from it.

        Returns:
            The whole trail, with the steps that were tried before; and what was asked for in vain meanwhile, if others
            may get it.

        Raises:
            UnavailableError, StoreError, SandboxFaultError, …: see the protocols.
        """
        self.stopwatch.stage(Stage.FETCH, "where it comes from")
        unreached: list[SourceProblem] = []
        sources = self.sources.noting(unreached)
        origin = ecosystem.origin(evidence, signed, sources)
        trail = ecosystem.steps(evidence, origin).replace(origin=origin)
        trail = trail.replace(findings=origin.findings if origin is not None else ())
        if origin is None or origin.commit is None:
            return _with_decisions(trail, tried, {}), _away(unreached)
        self.stopwatch.stage(Stage.FETCH, f"commit {origin.commit[:12]}")
        tree = sources.commit(origin.repository, origin.commit, origin.tag)
        committed = [each for each in trail.steps if trail.from_commit(each)]
        if isinstance(tree, SourceProblem):
            missing = unavailable(tree.sentence, for_everybody=tree.for_everybody).obstacle
            trail = trail.replace(notes=() if tree.for_everybody else (tree.sentence,))
            return _with_decisions(trail, tried, {each.name: missing for each in committed}), _away(unreached)
        commit = SourceCommit(origin=origin, tree=tree)
        if ecosystem.wants_history(evidence, commit):
            tree = sources.with_history(tree)
            commit = commit.replace(tree=tree)
        obstacles = {
            each.name: tried.follow(partial(ecosystem.next, StepTask(each, evidence, limits, commit)))
            for each in committed
        }
        away = _away(unreached, *obstacles.values())
        compared = ecosystem.tree_changes(evidence, commit, sources, tried.attempts)
        trail = trail.replace(
            changes=compared.changes[:MOST_CHANGES],
            changes_total=len(compared.changes),
            notes=(*compared.notes, *_notes(tree)),
            findings=(*origin.findings, *tree.findings),
        )
        return _with_decisions(trail, tried, obstacles), away


def _away(unreached: Sequence[SourceProblem], *obstacles: Obstacle | None) -> Obstacle | None:
    """The first thing that may be there for others."""
    found = [unavailable(each.sentence, for_everybody=False).obstacle for each in unreached]
    found += [each for each in obstacles if each is not None and each.verdict is Verdict.INFRA_ERROR]
    return found[0] if found else None


def _notes(tree: SourceTree) -> tuple[str, ...]:
    submodules = (
        f"The submodule {each.path}, locked to commit {each.commit}, is {_had(each)}" for each in tree.submodules
    )
    return (*tree.notes, *submodules)


def _had(submodule: Submodule) -> str:
    if submodule.archive_sha256 is not None:
        return f"checked out from {submodule.repository}."
    return f"not part of the build. {submodule.problem}"


def _with_decisions(trail: SourceTrail, tried: AttemptRunner, obstacles: Mapping[str, Obstacle | None]) -> SourceTrail:
    return trail.replace(steps=tuple(_decided(each, trail, tried, obstacles.get(each.name)) for each in trail.steps))


def _decided(step: Step, trail: SourceTrail, tried: AttemptRunner, obstacle: Obstacle | None) -> Step:
    """The step with what was tried for it; as it is when nothing was, and nothing of others stood in the way."""
    attempts = tried.attempts
    indexes = tuple(
        index
        for index in towards(attempts, trail.node(step.end).name or "")
        if not attempts[index].repeat and source_id(attempts[index].hypothesis.definition.source) == step.start
    )
    if not indexes and (obstacle is None or obstacle.verdict is Verdict.INFRA_ERROR):
        return step
    # How stable a build is belongs to the verdict; a process before this one may have looked already.
    decision = decide(attempts, obstacle, indexes).replace(kind=None, rebuilds=None)
    return step.replace(attempts=indexes, decision=decision)
