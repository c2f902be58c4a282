"""The PyPI ecosystem: what :class:`rebuilder.ecosystems.protocol.Ecosystem` asks for, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from packaging.version import Version

from rebuilder.ecosystems.pypi.commit_hypotheses import infer_from_commit
from rebuilder.ecosystems.pypi.context import MAX_FILE_BYTES, PlanningContext
from rebuilder.ecosystems.pypi.evidence import collect
from rebuilder.ecosystems.pypi.hypotheses import infer, learn
from rebuilder.ecosystems.pypi.interpreter_choice import INTERPRETERS, Interpreter
from rebuilder.ecosystems.pypi.origin import find_origin
from rebuilder.ecosystems.pypi.releases import listing
from rebuilder.ecosystems.pypi.simple_index import IndexProject, ReleaseFile, SimpleIndex, Unchanged, near_versions
from rebuilder.ecosystems.pypi.steps import PyPIStep
from rebuilder.ecosystems.pypi.subject import ECOSYSTEM, parse_subject
from rebuilder.ecosystems.pypi.tree_inspection import inspected_changes
from rebuilder.environments.protocol import Environments
from rebuilder.errors import UnknownProjectError, UsageError
from rebuilder.model.artifact import Listing, Subject
from rebuilder.model.attempt import Attempt, History, Hypothesis, plan
from rebuilder.model.definition import Input, Limits
from rebuilder.model.evidence import Evidence, Obstacle, SourceKind
from rebuilder.model.git import SourceTree
from rebuilder.model.provenance import Provenance
from rebuilder.model.trail import FileChange, Origin, PlannedStep, SourceCommit
from rebuilder.network.protocol import Fetcher, Resolver, Sources
from rebuilder.sandbox.protocol import Programs, Runner
from rebuilder.store.protocol import Blobs, Memo

_NOTHING = "has published no wheel and no source archive"


class PyPI:
    """Pure Python wheels of one index, rebuilt from the source archives beside them."""

    def __init__(
        self,
        index_url: str,
        *,
        fetcher: Fetcher,
        blobs: Blobs,
        programs: Programs,
        run: Runner,
        resolver: Resolver,
        environments: Environments,
        uv_input: Callable[[], Input],
        memo: Memo,
        max_file_bytes: int = MAX_FILE_BYTES,
        limits: Callable[[], Limits] = Limits,
        sandboxes: frozenset[str] = frozenset({"bubblewrap"}),
        sandbox: str = "bubblewrap",
        clock: Literal["archive", "kernel"] = "archive",
        interpreters: tuple[Interpreter, ...] = INTERPRETERS,
    ) -> None:
        """Verify what one index publishes; nothing is asked of it yet.

        Args:
            index_url: The address that package installers are given; may hold credentials.
            fetcher: Reaches the index.
            blobs: Where files and parameter documents are kept.
            programs: List archives inside the sandbox.
            run: Runs the definition that asks a backend for further requirements.
            resolver: Chooses versions of build dependencies on the same index.
            environments: Has those of ``interpreter_choice``, and the same with git, named ``…-git``.
            uv_input: Gives the uv executable as an input; called when the first build is prepared.
            memo: Where what was worked out is kept between runs.
            max_file_bytes: Largest wheel, source archive or build dependency that is downloaded.
            limits: Gives what one build may use; asked for each definition.
            sandboxes: Kinds that ``run`` has; with ``uml`` the clock is tried, too.
            interpreters: Pythons there are build environments with, newest first.
            sandbox: The kind that builds run in unless the clock matters.
            clock: Whether it matters where only times in the archive are left.
        """
        self._index = SimpleIndex(index_url, fetcher)
        self._workshop = PlanningContext(
            fetcher=fetcher,
            blobs=blobs,
            programs=programs,
            run=run,
            resolver=resolver,
            environments=environments,
            uv_input=uv_input,
            memo=memo,
            max_file_bytes=max_file_bytes,
            limits=limits,
            sandboxes=sandboxes,
            sandbox=sandbox,
            clock=clock,
            interpreters=interpreters,
        )

    @property
    def name(self) -> str:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return ECOSYSTEM

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self._workshop.fetcher

    def parse(self, text: str) -> Subject:
        """See :func:`rebuilder.ecosystems.pypi.subject.parse_subject`."""
        return parse_subject(text)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        project = self._index.changed(parse_subject(name).name, seen)
        if project is None:
            raise _unknown(name)
        return None if isinstance(project, Unchanged) else listing(project, project.mark)

    def project_names(self) -> Iterator[str]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self._index.names()

    def evidence(self, subject: Subject) -> list[Evidence]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        project = self._index.project(subject.name)
        if project is None or not project.files:
            raise _unknown(subject.name, "is not on the index" if project is None else _NOTHING)
        return collect(self._workshop, project, _release(project, subject), subject.filename)

    def steps(self, evidence: Evidence) -> tuple[PlannedStep, ...]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        artifact, archive = evidence.artifact.file, evidence.source_file
        wheel = artifact.filename.endswith(".whl")
        published = PlannedStep(name=PyPIStep.SDIST_TO_WHEEL, source=SourceKind.SDIST, target=artifact)
        name = PyPIStep.COMMIT_TO_WHEEL if wheel else PyPIStep.COMMIT_TO_SDIST
        committed = PlannedStep(name=name, source=SourceKind.GIT, target=artifact)
        if archive is None:
            return published, committed
        return PlannedStep(name=PyPIStep.COMMIT_TO_SDIST, source=SourceKind.GIT, target=archive), published, committed

    def next(
        self, step: PlannedStep, evidence: Evidence, history: History, commit: SourceCommit | None = None
    ) -> Hypothesis | Obstacle | None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        if step.source is SourceKind.SDIST:
            return plan(partial(infer, self._workshop, evidence), history)
        if commit is None:
            return None
        return plan(partial(infer_from_commit, self._workshop, evidence, step, commit), history)

    def learn(self, evidence: Evidence, attempts: tuple[Attempt, ...]) -> None:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        learn(self._workshop, evidence, attempts)

    def origin(
        self,
        evidence: Evidence,
        provenance: Provenance | None,
        source_provenance: Provenance | None,
        sources: Sources,
    ) -> Origin | None:
        """See :func:`rebuilder.ecosystems.pypi.origin.find_origin`."""
        return find_origin(evidence, provenance, source_provenance, sources)

    def tree_changes(self, evidence: Evidence, tree: SourceTree) -> tuple[FileChange, ...]:
        """See :func:`rebuilder.ecosystems.pypi.tree_changes.tree_changes`."""
        return inspected_changes(self._workshop, evidence, tree)


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
