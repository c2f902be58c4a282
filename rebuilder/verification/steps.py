"""Where an artifact comes from: what upstream signed, and every step from a commit to the published files."""

from __future__ import annotations

from dataclasses import dataclass

from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.model.artifact import PublishedFile
from rebuilder.model.decision import decide, towards
from rebuilder.model.evidence import Evidence, Obstacle, SourceKind
from rebuilder.model.git import SourceProblem, SourceTree
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import Stage
from rebuilder.model.trail import FileChange, Origin, SourceTrail, Step, StepName
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

    def steps(self, ecosystem: Ecosystem, evidence: Evidence, signed: Signed, trial: AttemptRunner) -> SourceTrail:
        """Try every step that can be tried; the one from source archive to artifact was tried before.

        Raises:
            UnavailableError, StoreError, SandboxFaultError, …: see the ports.
        """
        self.stopwatch.stage(Stage.FETCH, "where it comes from")
        origin = ecosystem.origin(evidence, signed.artifact, signed.source, self.sources)
        if origin is None or origin.commit is None:
            return _trail(evidence, origin, trial, ())
        self.stopwatch.stage(Stage.FETCH, f"commit {origin.commit[:12]}")
        tree = self.sources.commit(origin.repository, origin.commit, origin.tag)
        if isinstance(tree, SourceProblem):
            missing = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=tree.sentence)
            return _trail(evidence, origin, trial, (), obstacle=missing)
        obstacle = trial.follow(ecosystem.from_commit(evidence, origin, tree))
        changes = ecosystem.tree_changes(evidence, tree)
        return _trail(evidence, origin, trial, changes, obstacle=obstacle, tree=tree)


def _notes(tree: SourceTree) -> tuple[str, ...]:
    submodules = tuple(
        f"The submodule {each.path} is locked to commit {each.commit}; its content is not part of the build."
        for each in tree.submodules
    )
    return (*tree.notes, *submodules)


def _trail(
    evidence: Evidence,
    origin: Origin | None,
    trial: AttemptRunner,
    changes: tuple[FileChange, ...],
    *,
    obstacle: Obstacle | None = None,
    tree: SourceTree | None = None,
) -> SourceTrail:
    artifact, archive = evidence.artifact.file, evidence.source_file
    edges = [
        _edge(StepName.COMMIT_TO_SDIST, archive, trial, obstacle) if archive is not None else None,
        _edge(StepName.SDIST_TO_WHEEL, artifact, trial, None),
        _edge(_from_commit_to(artifact), artifact, trial, obstacle),
    ]
    return SourceTrail(
        origin=origin,
        edges=tuple(edge for edge in edges if edge is not None),
        changes=changes[:MOST_CHANGES],
        changes_total=len(changes),
        notes=_notes(tree) if tree is not None else (),
        findings=tree.findings if tree is not None else (),
    )


def _from_commit_to(file: PublishedFile) -> StepName:
    return StepName.COMMIT_TO_WHEEL if file.filename.endswith(".whl") else StepName.COMMIT_TO_SDIST


def _edge(name: StepName, target: PublishedFile, trial: AttemptRunner, obstacle: Obstacle | None) -> Step | None:
    """One step; None when nothing was tried and nothing stood in the way."""
    kind = SourceKind.SDIST if name is StepName.SDIST_TO_WHEEL else SourceKind.GIT
    indexes = towards(trial.attempts, target.filename, kind)
    if not indexes and obstacle is None:
        return None
    return Step(
        name=name,
        decision=decide(trial.attempts, obstacle, indexes),
        attempts=tuple(indexes),
        target=target.filename,
        target_sha256=target.sha256,
    )
