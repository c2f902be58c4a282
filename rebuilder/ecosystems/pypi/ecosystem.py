"""The PyPI ecosystem: what :class:`rebuilder.ecosystems.protocol.Ecosystem` asks for, put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from packaging.version import Version

from rebuilder.compare.accounting import account_for_wheel, read_binaries, with_facts
from rebuilder.ecosystems.obstacles import or_obstacle, planned
from rebuilder.ecosystems.protocol import Ecosystem, Signed, StepTask
from rebuilder.ecosystems.pypi.commit_hypotheses import infer_from_commit, wants_history
from rebuilder.ecosystems.pypi.compiled_code import compiled_here
from rebuilder.ecosystems.pypi.context import PlanningContext
from rebuilder.ecosystems.pypi.evidence import as_input, collect, is_for_one_platform
from rebuilder.ecosystems.pypi.hypotheses import WITHOUT_COMPILING, image_problem, infer, learn
from rebuilder.ecosystems.pypi.origin import find_origin
from rebuilder.ecosystems.pypi.project import project_builds
from rebuilder.ecosystems.pypi.simple_index import (
    IndexProject,
    ReleaseFile,
    SimpleIndex,
    Unchanged,
    listing,
    near_versions,
)
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, PyPIStep, parse_subject
from rebuilder.ecosystems.pypi.tree_changes import inspected_changes
from rebuilder.errors import UnknownProjectError, UsageError
from rebuilder.model.accounting import Accounting, Content
from rebuilder.model.artifact import Listing, Subject
from rebuilder.model.attempt import Attempt, History, Hypothesis
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
from rebuilder.network.http.address import bare
from rebuilder.network.protocol import Fetcher, Sources

_NOTHING = "has published no wheel and no source archive"


class PyPI(Ecosystem):
    """Pure Python wheels of one index, rebuilt from the source archives beside them."""

    name = ECOSYSTEM

    def __init__(self, index_url: str, context: PlanningContext) -> None:
        """Verify what one index publishes; nothing is asked of it yet.

        Args:
            index_url: The address that package installers are given; may hold credentials.
            context: What planning works with; its fetcher and its resolver reach that index.
        """
        self.index = SimpleIndex(index_url, context.fetcher)
        self._index_url = index_url
        self._context = context

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self._context.fetcher

    parse = staticmethod(parse_subject)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        project = self.index.changed(parse_subject(name).name, seen)
        if project is None:
            raise _unknown(name)
        return None if isinstance(project, Unchanged) else listing(project, project.mark)

    def project_names(self) -> Iterator[str]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self.index.names()

    def evidence(self, subject: Subject) -> list[Evidence]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        project = self.index.project(subject.name)
        if project is None or not project.files:
            raise _unknown(subject.name, "is not on the index" if project is None else _NOTHING)
        return collect(self._context, project, _release(project, subject), subject.filename)

    def steps(self, evidence: Evidence, origin: Origin | None = None) -> SourceTrail:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        file, source = evidence.artifact.file, evidence.source_file
        commit, artifact = commit_node(origin), file_node(NodeKind.ARTIFACT, file)
        name = PyPIStep.COMMIT_TO_WHEEL if file.filename.endswith(".whl") else PyPIStep.COMMIT_TO_SDIST
        direct = Step(name=name, start=commit.id, end=artifact.id)
        if source is None or source.sha256 == file.sha256:
            return SourceTrail(nodes=(commit, artifact), steps=(direct,))
        archive = file_node(NodeKind.SOURCE_ARCHIVE, source)
        made = Step(name=PyPIStep.COMMIT_TO_SDIST, start=commit.id, end=archive.id)
        published = Step(name=PyPIStep.SDIST_TO_WHEEL, start=archive.id, end=artifact.id)
        return SourceTrail(nodes=(commit, archive, artifact), steps=(made, published, direct))

    def next(self, task: StepTask, history: History) -> Hypothesis | Obstacle | None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        context = replace(self._context, limits=task.limits)
        if task.commit is None:
            return planned(partial(infer, context, task.evidence), history)
        return planned(partial(infer_from_commit, context, task.evidence, task.step, task.commit), history)

    def project(self, tree: ProjectTree) -> Project | Obstacle:
        """See :func:`rebuilder.ecosystems.pypi.project.project_builds`."""
        return or_obstacle(lambda: project_builds(self._context, tree, bare(self._index_url)))

    def account(self, evidence: Evidence, attempts: tuple[Attempt, ...]) -> Accounting | None:
        """Account for the members of a wheel for one platform; see :mod:`rebuilder.compare.accounting`.

        Compiled members come with what they say about themselves, and are compiled here where that can be done.
        """
        context = self._context
        file, listing = evidence.artifact.file, evidence.artifact_inspection
        if listing is None or not listing.readable or not is_for_one_platform(file.filename) or evidence.contradictions:
            return None
        source = evidence.source_file if evidence.source_inspection is not None else None
        wheel, archive = as_input(file), as_input(source) if source is not None else None
        index = next((index for index, each in enumerate(attempts) if each.hypothesis.name == WITHOUT_COMPILING), None)
        built = attempts[index].rebuilt if index is not None else None
        made = built.sha256 if built is not None else None
        found = account_for_wheel(context.programs, context.memo, wheel, archive, made)
        if found is None:
            return None
        if index is not None:
            found = found.replace(attempt=index, remarks=(*found.remarks, *(() if built else (_NOT_MADE_ANEW,))))
        if not any(each.kind is Content.COMPILED for each in found.members):
            return found
        found = with_facts(found, read_binaries(context.programs, context.memo, file.sha256))
        if (problem := image_problem(context, evidence)) is not None:
            found = found.replace(remarks=(*found.remarks, problem))
        return compiled_here(context, evidence, found, attempts) if found.compared else found

    def learn(self, evidence: Evidence, attempts: tuple[Attempt, ...]) -> None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        learn(self._context, evidence, attempts)

    def origin(self, evidence: Evidence, signed: Signed, sources: Sources) -> Origin | None:
        """See :func:`rebuilder.ecosystems.pypi.origin.find_origin`."""
        return find_origin(evidence, signed, sources)

    def wants_history(self, evidence: Evidence, commit: SourceCommit) -> bool:
        """See :func:`rebuilder.ecosystems.pypi.commit_hypotheses.wants_history`."""
        return wants_history(self._context, evidence, commit)

    def tree_changes(
        self, evidence: Evidence, commit: SourceCommit, sources: Sources, attempts: tuple[Attempt, ...]
    ) -> TreeComparison:
        """See :func:`rebuilder.ecosystems.pypi.tree_changes.tree_changes`."""
        return TreeComparison(changes=inspected_changes(self._context, evidence, commit.tree))


_NOT_MADE_ANEW = (
    "The backend gave nothing here without a compiler: METADATA was held by its fields against the source archive, and "
    "what the build generates was not made anew."
)


def _unknown(name: str, what: str = "is not on the index") -> UnknownProjectError:
    return UnknownProjectError(f"The project {name} {what}.", hint="Check the spelling of its name.")


def _release(project: IndexProject, subject: Subject) -> list[ReleaseFile]:
    """The files of the release a subject names.

    Raises:
        UsageError: there is no such version, or no such file in it.
    """
    version = Version(subject.version) if subject.version is not None else project.newest
    release = project.of(version) if version is not None else []
    if not release:
        near = near_versions(project, subject.version or "")
        hint = f"Versions near it: {', '.join(near)}; the newest is {project.newest}."
        raise UsageError(
            f"{project.name} has no version {subject.version} with files on the index.",
            hint=hint if near else f"The newest version is {project.newest}.",
        )
    if subject.filename is not None and all(each.filename != subject.filename for each in release):
        listed = ", ".join(each.filename for each in release[:5])
        raise UsageError(
            f"{project.name} {version} has no file {subject.filename} on the index.", hint=f"It has: {listed}."
        )
    return release
