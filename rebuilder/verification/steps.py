"""Where an artifact comes from: what upstream signed, and every step from a commit to the published files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from rebuilder.ecosystems.protocol import Ecosystem, Signed, StepTask
from rebuilder.model.decision import decide, towards
from rebuilder.model.definition import Limits
from rebuilder.model.diagnosis import Cause
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
    ) -> SourceTrail:
        """Find the commit and try every step from it; give the whole trail, with the steps that were tried before.

        Raises:
            UnavailableError, StoreError, SandboxFaultError, …: see the protocols.
        """
        self.stopwatch.stage(Stage.FETCH, "where it comes from")
        origin = ecosystem.origin(evidence, signed, self.sources)
        trail = ecosystem.steps(evidence, origin).replace(origin=origin)
        trail = trail.replace(findings=origin.findings if origin is not None else ())
        if origin is None or origin.commit is None:
            return _with_decisions(trail, tried, {})
        self.stopwatch.stage(Stage.FETCH, f"commit {origin.commit[:12]}")
        tree = self.sources.commit(origin.repository, origin.commit, origin.tag)
        committed = [each for each in trail.steps if trail.from_commit(each)]
        if isinstance(tree, SourceProblem):
            missing = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=tree.sentence, cause=Cause.SOURCE_UNAVAILABLE)
            return _with_decisions(trail, tried, {each.name: missing for each in committed})
        commit = SourceCommit(origin=origin, tree=tree)
        if ecosystem.wants_history(evidence, commit):
            tree = self.sources.with_history(tree)
            commit = commit.replace(tree=tree)
        obstacles = {
            each.name: tried.follow(partial(ecosystem.next, StepTask(each, evidence, limits, commit)))
            for each in committed
        }
        compared = ecosystem.tree_changes(evidence, commit, self.sources, tried.attempts)
        trail = trail.replace(
            changes=compared.changes[:MOST_CHANGES],
            changes_total=len(compared.changes),
            notes=(*compared.notes, *_notes(tree)),
            findings=(*origin.findings, *tree.findings),
        )
        return _with_decisions(trail, tried, obstacles)


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
    """The step with what was tried for it; as it is when nothing was, and nothing stood in the way."""
    attempts = tried.attempts
    indexes = tuple(
        index
        for index in towards(attempts, trail.node(step.end).name or "")
        if not attempts[index].repeat and source_id(attempts[index].hypothesis.definition.source) == step.start
    )
    if not indexes and obstacle is None:
        return step
    # How stable a build is belongs to the verdict; a process before this one may have looked already.
    decision = decide(attempts, obstacle, indexes).replace(kind=None, rebuilds=None)
    return step.replace(attempts=indexes, decision=decision)
