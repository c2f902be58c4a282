"""Where an artifact comes from: what upstream signed, and every step from a commit to the published files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.model.decision import decide, towards
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle, SourceKind
from rebuilder.model.git import SourceProblem, SourceTree
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import Stage
from rebuilder.model.trail import PlannedStep, SourceCommit, SourceTrail, Step
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Sources
from rebuilder.provenance.checker import ProvenanceChecker
from rebuilder.stopwatch import Stopwatch
from rebuilder.verification.attempts import AttemptRunner

MOST_CHANGES = 500
"""File changes kept in a report; the count of all is kept beside them."""


@dataclass(frozen=True)
class Signed:
    """What upstream signed about the artifact, and about the source archive beside it."""

    artifact: Provenance
    source: Provenance | None


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
        if evidence.source_file is None or evidence.source_provenance_sha256 is None:
            return Signed(artifact, None)
        archive = evidence.artifact.replace(file=evidence.source_file)
        return Signed(artifact, self.checker.check(archive, evidence.source_provenance_sha256))

    def from_published(
        self, ecosystem: Ecosystem, evidence: Evidence, tried: AttemptRunner, limits: Limits, *, most: int | None = None
    ) -> Obstacle | None:
        """Try every step from something published; at most so many attempts.

        Returns:
            What kept them from going on, if something did.
        """
        obstacle = None
        for step in ecosystem.steps(evidence):
            if step.source is not SourceKind.GIT:
                obstacle = tried.follow(partial(ecosystem.next, step, evidence, limits=limits), most=most) or obstacle
        return obstacle

    def from_commit(
        self, ecosystem: Ecosystem, evidence: Evidence, signed: Signed, tried: AttemptRunner, limits: Limits
    ) -> SourceTrail:
        """Find the commit and try every step from it; give the whole trail, with the steps that were tried before.

        Raises:
            UnavailableError, StoreError, SandboxFaultError, …: see the protocols.
        """
        self.stopwatch.stage(Stage.FETCH, "where it comes from")
        origin = ecosystem.origin(evidence, signed.artifact, signed.source, self.sources)
        steps = ecosystem.steps(evidence)
        trail = SourceTrail(origin=origin)
        if origin is None or origin.commit is None:
            return _with_steps_tried(trail, steps, tried, {})
        self.stopwatch.stage(Stage.FETCH, f"commit {origin.commit[:12]}")
        tree = self.sources.commit(origin.repository, origin.commit, origin.tag)
        committed = [each for each in steps if each.source is SourceKind.GIT]
        if isinstance(tree, SourceProblem):
            missing = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=tree.sentence)
            return _with_steps_tried(trail, steps, tried, dict.fromkeys(committed, missing))
        commit = SourceCommit(origin=origin, tree=tree)
        follow = partial(ecosystem.next, evidence=evidence, limits=limits, commit=commit)
        obstacles = {each: tried.follow(partial(follow, each)) for each in committed}
        changes = ecosystem.tree_changes(evidence, tree)
        trail = SourceTrail(
            origin=origin,
            changes=changes[:MOST_CHANGES],
            changes_total=len(changes),
            notes=_notes(tree),
            findings=tree.findings,
        )
        return _with_steps_tried(trail, steps, tried, obstacles)


def _notes(tree: SourceTree) -> tuple[str, ...]:
    submodules = tuple(
        f"The submodule {each.path} is locked to commit {each.commit}; its content is not part of the build."
        for each in tree.submodules
    )
    return (*tree.notes, *submodules)


def _with_steps_tried(
    trail: SourceTrail,
    steps: Sequence[PlannedStep],
    tried: AttemptRunner,
    obstacles: Mapping[PlannedStep, Obstacle | None],
) -> SourceTrail:
    edges = (_step(each, tried, obstacles.get(each)) for each in steps)
    return trail.replace(edges=tuple(edge for edge in edges if edge is not None))


def _step(step: PlannedStep, tried: AttemptRunner, obstacle: Obstacle | None) -> Step | None:
    """One step; None when nothing was tried and nothing stood in the way."""
    towards_it = towards(tried.attempts, step.target.filename, step.source)
    indexes = [index for index in towards_it if not tried.attempts[index].repeat]
    if not indexes and obstacle is None:
        return None
    # How stable a build is belongs to the verdict; a process before this one may have looked already.
    decision = decide(tried.attempts, obstacle, indexes).replace(kind=None, rebuilds=None)
    return Step(
        name=step.name,
        decision=decision,
        attempts=tuple(indexes),
        target=step.target.filename,
        target_sha256=step.target.sha256,
    )
