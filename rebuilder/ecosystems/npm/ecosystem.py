"""The npm ecosystem: tarballs of a registry, rebuilt from the commits they come from."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from rebuilder.ecosystems.inspection import inspect
from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.hypotheses import infer, project_builds
from rebuilder.ecosystems.npm.origin import Release, find_origin
from rebuilder.ecosystems.npm.packer import packer_change
from rebuilder.ecosystems.npm.packument import NpmRelease, Packument, listing
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, parse_subject, release_purl, tarball_name
from rebuilder.ecosystems.npm.tarball import list_tarball
from rebuilder.ecosystems.npm.tree_changes import made_here, tarball_changes
from rebuilder.ecosystems.obstacles import NotRebuildable, or_obstacle, planned
from rebuilder.ecosystems.protocol import Ecosystem, Signed, StepTask
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Artifact, Listing, PublishedFile, Subject
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.graph import (
    NodeKind,
    Origin,
    SourceCommit,
    SourceTrail,
    Step,
    TreeComparison,
    commit_node,
    file_node,
)
from rebuilder.model.project import Project, ProjectTree
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Fetcher, Sources

COMMIT_TO_TARBALL = "commit-to-tarball"
_TEXTS = ("package/package.json",)


class Npm(Ecosystem):
    """Tarballs of npm registries: fetched, bound, handed to the checks, and rebuilt from the commit."""

    name = ECOSYSTEM
    from_commit_alone = True

    def __init__(self, context: PlanningContext) -> None:
        """Nothing is read or asked before the first subject."""
        self._context = context

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self._context.registry.fetcher

    parse = staticmethod(parse_subject)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """See ``Ecosystem.listing``. The short form of a package's document has no upload times."""
        name = parse_subject(name).name
        document = self._context.registry.document(name)
        return None if document.sha256 == seen else listing(Packument(document, name))

    def project(self, tree: ProjectTree) -> Project | Obstacle:
        """See :func:`rebuilder.ecosystems.npm.hypotheses.project_builds`."""
        return or_obstacle(lambda: project_builds(self._context, tree))

    def evidence(self, subject: Subject) -> list[Evidence]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`. A release has one file, its tarball."""
        packument = self._context.registry.packument(subject.name)
        return [self._collect(packument, _release(packument, subject))]

    def _collect(self, packument: Packument, release: NpmRelease) -> Evidence:
        """The evidence of one release: its tarball, bound by its digest, and what is signed about it.

        Raises:
            UnavailableError: the tarball or the attestations cannot be had; this must not become "no attestation",
                which would look as if it had vanished.
            FetchMismatchError: the tarball has other bytes than the registry promises.
        """
        registry = self._context.registry
        sha256 = registry.tarball(release)
        attestations, notes = registry.attestations(release)
        evidence = Evidence(
            artifact=Artifact(
                ecosystem=ECOSYSTEM,
                purl=release_purl(release.name, release.version),
                name=release.name,
                version=release.version,
                file=PublishedFile(
                    filename=tarball_name(release.name, release.version),
                    url=release.tarball,
                    sha256=sha256,
                    size=self._context.blobs.path(sha256).stat().st_size,
                    uploaded=release.published,
                    provenance_url=release.attestations,
                ),
            ),
            index_sha256=packument.document_sha256,
            provenance_sha256=attestations,
            registry_signatures=release.signatures,
            notes=(*_notes(release), *notes),
        )
        return self._inspected(evidence)

    def _inspected(self, evidence: Evidence) -> Evidence:
        """The same, with what is in the tarball; what keeps it from being compared is the obstacle."""
        file = evidence.artifact.file
        tarball = Input(role=Role.PARAMETERS, name=file.filename, sha256=file.sha256, path="/inputs/published.tgz")
        try:
            [found] = inspect(self._context, [tarball], texts=_TEXTS)
        except NotRebuildable as stopped:
            return evidence.replace(obstacle=stopped.obstacle)
        sentence = "The commit that this tarball was made from is not known."
        obstacle = Obstacle(verdict=Verdict.INPUTS_MISSING, sentence=sentence)
        if not found.readable:
            why = found.problems[-1] if found.problems else "it is malformed."
            sentence = f"{file.filename} cannot be read to its end: {why}"
            obstacle = Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence)
        return evidence.replace(artifact_inspection=found, obstacle=obstacle)

    def steps(self, evidence: Evidence, origin: Origin | None = None) -> SourceTrail:
        """One, from the commit."""
        start, end = commit_node(origin), file_node(NodeKind.ARTIFACT, evidence.artifact.file)
        return SourceTrail(nodes=(start, end), steps=(Step(name=COMMIT_TO_TARBALL, start=start.id, end=end.id),))

    def next(self, task: StepTask, history: History) -> Hypothesis | Obstacle | None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        evidence, commit = task.evidence, task.commit
        listed = evidence.artifact_inspection
        if commit is None or listed is None or not listed.readable:
            return evidence.obstacle
        context = replace(self._context, limits=task.limits)
        return planned(partial(infer, context, evidence, commit), history)

    def origin(self, evidence: Evidence, signed: Signed, sources: Sources) -> Origin | None:
        """See :func:`rebuilder.ecosystems.npm.origin.find_origin`."""
        return find_origin(self._described(evidence), signed, sources)

    def tree_changes(
        self, evidence: Evidence, commit: SourceCommit, sources: Sources, attempts: tuple[Attempt, ...]
    ) -> TreeComparison:
        """See :func:`rebuilder.ecosystems.npm.tree_changes.tarball_changes`, and ``packer_changes`` beside it."""
        release = self._described(evidence)
        note = packer_change(self._context, evidence, release.versions)
        made = made_here(release, evidence.artifact.filename, attempts)
        changes = tarball_changes(release, commit, sources, made)
        return TreeComparison(changes=changes, notes=() if note is None else (note,))

    def _described(self, evidence: Evidence) -> Release:
        """What the tarball holds, and what the document that the evidence rests on says of the version; hostile."""
        artifact, packument = evidence.artifact, self._context.packument(evidence)
        try:
            tarball = list_tarball(self._context, artifact.file)
        except NotRebuildable:
            tarball = None
        return Release(
            name=artifact.name,
            version=artifact.version,
            published=artifact.file.uploaded,
            entry=packument.entry(artifact.version),
            versions=packument.versions,
            tarball=tarball,
        )


def _release(packument: Packument, subject: Subject) -> NpmRelease:
    """The release a subject names.

    Raises:
        UsageError: there is no such version.
    """
    name, latest = packument.name, packument.latest
    if packument.unpublished:
        raise UsageError(f"All versions of {name} were taken back from the npm registry.")
    version = subject.version or latest
    release = packument.release(version) if version is not None else None
    if release is not None:
        return release
    if subject.version is None:
        raise UsageError(f"The npm registry marks no version of {name} as the latest.", hint="Name a version.")
    near = packument.near(subject.version)
    newest = f"the latest is {latest}" if latest else ""
    hint = "; ".join(each for each in (f"Versions near it: {', '.join(near)}" if near else "", newest) if each)
    raise UsageError(
        f"{name} has no version {subject.version} on the npm registry.",
        hint=f"{hint[0].upper()}{hint[1:]}." if hint else None,
    )


def _notes(release: NpmRelease) -> tuple[str, ...]:
    if release.deprecated is None:
        return ()
    reason = f": {release.deprecated}" if release.deprecated else ", without a reason"
    return (f"The registry marks this release as deprecated{reason}.",)
