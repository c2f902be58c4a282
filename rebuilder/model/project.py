"""A maintainer's own project before it is published: its tree, how it is built, and what was found out about it."""

from __future__ import annotations

from typing import Self

from rebuilder.model.attempt import Hypothesis
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.diagnosis import Finding
from rebuilder.model.git import SourceTree
from rebuilder.model.value import Sha256Field, Value, Worded


class ProjectTree(Value):
    """The files of a work tree that a stranger would have, as one archive."""

    name: str
    """Of its directory, for messages."""
    archive_sha256: Sha256Field
    """A tar archive among the blobs; the files lie in its directory :attr:`top`."""
    files: tuple[str, ...] = ()
    """Their paths."""
    top: str = ""
    """Where in its repository the project is; empty where it is all of it."""
    seconds: int
    """Time of the commit, or of the newest file; since 1970."""
    commit: str | None = None
    """What the work tree is a checkout of; None where it is none."""
    changed: tuple[str, ...] = ()
    """Files that are not as they are in the commit."""
    untracked: tuple[str, ...] = ()
    """Files that lie about and are in no commit."""
    checkout: SourceTree | None = None
    """The same files as a commit of the repository, for backends that ask git."""


class Project(Value):
    """How a project is built: what an ecosystem makes of a tree."""

    name: str
    purl: str
    hypotheses: tuple[Hypothesis, ...]
    """One for each file it gives; those that one run gives share the definition. Files that are published first stand
    first, such as a source archive; their names end as published ones do, and say no more."""
    directly: Hypothesis | None = None
    """The last file made of the tree itself, where it is otherwise made of the source archive that goes before it."""
    notes: tuple[str, ...] = ()


class OwnFile(Value):
    """A file on disk that is to be published; its bytes are a blob."""

    filename: str
    sha256: Sha256Field
    asked: bool = False
    """Whether it was named, and did not only lie there."""


class Place(Value):
    """A line of the project."""

    file: str
    line: int
    text: str
    """The line itself, shortened."""


class ProjectFinding(Finding):
    """One cause, where it is, and what to change; of what was built here as ``rebuilt``."""

    level: Level = Level.DIFFERENT
    """How far it reaches: content, or only what an archive says about it."""
    files: tuple[str, ...] = ()
    """Files of the release that it shows in."""
    places: tuple[Place, ...] = ()
    """Lines of the project that it comes from, as far as that can be told; likeliest first."""
    patch: str | None = None
    """A unified diff that mends it, where a rule knows one."""

    @classmethod
    def of(cls, found: Finding, *files: str, level: Level = Level.DIFFERENT, advice: str | None = None) -> Self:
        """A finding of files of the project.

        Args:
            found: What rules for published files, or a table of variations, say.
            files: Those it shows in.
            level: How far it reaches.
            advice: What to change, where that is said in other words.
        """
        return cls(**dict(found) | {"level": level, "files": files, "advice": advice or found.advice})


class Outcome(Worded):
    """Whether a stranger gets the same bytes."""

    sentence: str

    SAME = "same", "A stranger gets the same bytes."
    SAME_CONTENT = (
        "same-content",
        "A stranger gets the same files; what the archives say about them depends on the machine.",
    )
    """The same files; what the archives say about them depends on the machine."""
    DIFFERS = "differs", "A stranger does not get the same bytes."
    UNDECIDED = "undecided", "Whether a stranger gets the same bytes could not be found out."


class BuiltFile(Value):
    """One file of the release."""

    filename: str
    sha256: Sha256Field
    outcome: Outcome
    elsewhere_sha256: Sha256Field | None = None
    """What another machine gives."""


class ComparedFile(Value):
    """A file on disk beside what a stranger builds."""

    filename: str
    sha256: Sha256Field
    outcome: Outcome
    sentence: str


class Preflight(Value):
    """Everything that was found out about a project."""

    project: str
    outcome: Outcome
    sentence: str
    built: tuple[BuiltFile, ...] = ()
    compared: tuple[ComparedFile, ...] = ()
    findings: tuple[ProjectFinding, ...] = ()
    unexplained: tuple[str, ...] = ()
    """Members that differ and that nothing explains."""
    notes: tuple[str, ...] = ()
    definition: BuildDefinition | None = None
    """How it was built here."""
    builds: int = 0
    """How many were made."""
    cpu_seconds: float = 0.0
    """What they used."""
    seconds: float = 0.0
    """What all of it took, by a clock on the wall."""
