"""What an ecosystem is to the rest of the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rebuilder.errors import UsageError
from rebuilder.model.accounting import Accounting
from rebuilder.model.artifact import Listing, Subject
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.graph import Origin, SourceCommit, SourceTrail, Step, TreeComparison
from rebuilder.model.project import Project, ProjectTree
from rebuilder.model.provenance import Provenance
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Fetcher, Sources


@dataclass(frozen=True)
class Signed:
    """What upstream signed about an artifact, and about the source archive beside it."""

    artifact: Provenance
    source: Provenance | None = None
    expected: str | None = None
    """The repository that the settings expect the artifact to come from."""


@dataclass(frozen=True)
class StepTask:
    """One of :meth:`Ecosystem.steps`, and what it is planned with."""

    step: Step
    evidence: Evidence
    limits: Limits
    """What one build may use."""
    commit: SourceCommit | None = None
    """What a step from a commit starts from."""


class Ecosystem(Protocol):
    """One package ecosystem: how to read what it publishes, and what that says about the build.

    One that derives from this needs only :attr:`name`, :attr:`fetcher`, :meth:`parse`, :meth:`listing` and
    :meth:`evidence`: its files are then read and checked, and not rebuilt, each for the reason that its evidence has as
    :attr:`rebuilder.model.evidence.Evidence.obstacle`. To rebuild them it gives :meth:`steps` and :meth:`next`.
    """

    name: str
    """Before the colon in a subject, and the purl type: ``pypi``."""
    from_commit_alone: bool = False
    """Whether files are rebuilt from their commits, and never from anything that is published beside them."""

    @property
    def fetcher(self) -> Fetcher:
        """Reaches the registry as the ecosystem's own settings say, with credentials where it has some.

        Raises:
            UsageError: the settings cannot be understood.
        """
        ...

    def parse(self, text: str) -> Subject:
        """Read a subject without its ecosystem prefix, such as ``idna==3.10``.

        Raises:
            UsageError: it is malformed.
        """
        ...

    def named_in(self, path: Path) -> list[Subject]:
        """Read a file on disk that names published files.

        Args:
            path: Its name ends as :attr:`rebuilder.ecosystems.conventions.Conventions.local_documents` says.

        Raises:
            UsageError: it cannot be read, or names none.
            UnavailableError: the registry does not answer.
        """
        raise UsageError(f"There is no kind of file that names files of {self.name}.")

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """Look at what a project has published; costs one conditional request and downloads no file.

        Args:
            name: Of the project.
            seen: The mark of the listing before.

        Returns:
            None when nothing has changed since ``seen``.

        Raises:
            UsageError: no such project.
            UnavailableError: the registry does not answer.
        """
        ...

    def project_names(self) -> Iterator[str]:
        """The normalised name of every project of the registry, in its order; costs one conditional request.

        Raises:
            UsageError: a registry of this kind gives no such list.
            UnavailableError: the registry does not answer.
        """
        raise UsageError(f"There is no list of all projects of {self.name}.", hint="Name the projects one by one.")

    def remarks(self) -> tuple[str, ...]:
        """What whoever watches has to know of the registry as it answered last; a sentence each, mostly none."""
        return ()

    def evidence(self, subject: Subject) -> list[Evidence]:
        """Collect what is published, one value per artifact, downloads included.

        Raises:
            UsageError: no such project, version or file.
            UnavailableError: the registry does not answer.
        """
        ...

    def steps(self, evidence: Evidence, origin: Origin | None = None) -> SourceTrail:
        """The nodes, and the steps that may lead to the artifact and to the source archive beside it; none is tried.

        Args:
            evidence: What :meth:`evidence` gave.
            origin: What :meth:`origin` gave, once that was asked; it names the node of the commit.
        """
        return SourceTrail()

    def next(self, task: StepTask, history: History) -> Hypothesis | Obstacle | None:
        """What is to be tried next for a step, planned from recorded attempts alone.

        The same history gives the same answer in any process, as long as the registry says the same; asking again is
        cheap. See :mod:`rebuilder.model.attempt`.

        Args:
            task: The step, and what it is planned with.
            history: What was tried for this artifact so far, for all steps.

        Returns:
            A hypothesis that is not in the history, most likely first; what kept the step from having (more of)
            them; or None where the step is at its end.

        Raises:
            UnavailableError, SandboxFaultError, BuildEnvironmentError, …: something on our side failed.
        """
        return task.evidence.obstacle

    def project(self, tree: ProjectTree) -> Project | Obstacle:
        """How a maintainer's own tree is built, as of today; or what keeps it from being built here.

        Raises:
            UnavailableError, SandboxFaultError, BuildEnvironmentError, …: something on our side failed.
        """
        sentence = (
            f"Trees of this kind ({self.name}) are not built before they are published; `verify` rebuilds what is."
        )
        return Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence)

    def account(self, evidence: Evidence, attempts: tuple[Attempt, ...]) -> Accounting | None:
        """Account for every member of an artifact that is not rebuilt as a whole; None where nobody knows how.

        Args:
            evidence: What :meth:`evidence` gave.
            attempts: All that were made for it.

        Raises:
            SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
        """
        return None

    def learn(self, evidence: Evidence, attempts: tuple[Attempt, ...]) -> None:
        """Remember which hypothesis came out, so that it is tried sooner next time; called once an artifact."""
        return

    def origin(self, evidence: Evidence, signed: Signed, sources: Sources) -> Origin | None:
        """Say which commit the artifact comes from, and who says so; None when nobody names a repository.

        Args:
            evidence: What :meth:`evidence` gave.
            signed: What checking its attestations said.
            sources: Where tags are looked up; asked only when no verified attestation names a commit.

        Raises:
            UnavailableError, StoreError: see :meth:`Sources.tags`.
        """
        return None

    def wants_history(self, evidence: Evidence, commit: SourceCommit) -> bool:
        """Whether a build from the commit looks at the commits before it, as for a version counted from a tag."""
        return False

    def tree_changes(
        self, evidence: Evidence, commit: SourceCommit, sources: Sources, attempts: tuple[Attempt, ...]
    ) -> TreeComparison:
        """Compare the published source archive, or an artifact that is made of sources, with the commit.

        What nothing explains comes before what a rule explains; added and changed files before missing ones; then
        by path. The caller cuts the list to what a page can show. Empty when there is nothing to compare.

        Args:
            evidence: What :meth:`evidence` gave.
            commit: What the steps from a commit started from.
            sources: Where the history of its repository is looked up.
            attempts: All that were made for the artifact.

        Raises:
            UnavailableError, StoreError: see :meth:`Sources.commit`.
            SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError: see :class:`Programs`.
        """
        return TreeComparison()
