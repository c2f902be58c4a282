"""A commit as a source to build from, or why it cannot be had."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from rebuilder.model.value import Sha256Field, Value

ObjectId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
"""40 lower-case hexadecimal digits: the SHA-1 name of a git object."""


class Tag(Value):
    """A tag that points at a commit."""

    name: str
    """Without ``refs/tags/``."""
    object_sha256: Sha256Field | None = None
    """Blob with the raw tag object of an annotated tag; None for a lightweight tag."""


class Submodule(Value):
    """Another repository that a commit locks to a commit of its own."""

    path: str
    """Where it is checked out; bytes that are no UTF-8 as lone surrogates are escaped."""
    commit: ObjectId
    repository: str | None = None
    """Address it was asked for at; None where the commit names none that can be asked."""
    archive_sha256: Sha256Field | None = None
    """Blob with its files, as :class:`SourceTree` has it; None where it cannot be had."""
    object_sha256: Sha256Field | None = None
    """Blob with its raw commit object."""
    problem: str | None = None
    """Why it cannot be had, as a sentence."""


class LargeFile(Value):
    """A file of which a commit holds only a Git LFS pointer (https://github.com/git-lfs/git-lfs, docs/spec.md)."""

    path: str
    sha256: Sha256Field
    """Of its content, as the pointer says."""


class Commit(Value):
    """One commit, as its repository gave it."""

    repository: str
    """Address, without user name and password."""
    sha: ObjectId
    tree: ObjectId
    committed_at: datetime
    """The committer's time, in UTC."""
    object_sha256: Sha256Field
    """Blob with the raw commit object (what git names by ``sha``, without its header)."""
    parents: tuple[ObjectId, ...] = ()
    tags: tuple[Tag, ...] = ()
    """Tags that point at it now, in order of their names."""


class CommitHistory(Value):
    """What is before a commit, as far as its repository has it: commits and their tags, without files."""

    objects_sha256: Sha256Field
    """Blob with the raw objects of commits, then of annotated tags, each behind git's own header (``commit SIZE`` and
    NUL), in order of their names."""
    tags_sha256: Sha256Field
    """Blob with a line for each tag of one of these commits: the object it names, a space, its name."""
    commits: int
    tags: int


class SourceTree(Value):
    """The files of a commit."""

    commit: Commit
    archive_sha256: Sha256Field
    """Blob with an uncompressed tar archive that is the same on every machine (docs/adr/0010-git-sources.md)."""
    files: int
    size: int
    """Content of all files together, in bytes."""
    submodules: tuple[Submodule, ...] = ()
    """Those of submodules included, each after the one that it is in."""
    large_files: tuple[LargeFile, ...] = ()
    """Those of submodules included."""
    history: CommitHistory | None = None
    """Where it was asked for."""
    findings: tuple[str, ...] = ()
    """Sentences about what should not be so, such as a tag that points at another commit now."""
    notes: tuple[str, ...] = ()
    """Sentences worth knowing, such as what was left as it is."""


class Trouble(StrEnum):
    """Why there is no source."""

    UNREACHABLE = "unreachable"
    """Nobody answered, or not properly."""
    NO_REPOSITORY = "no-repository"
    """There is none at that address, or not for everybody."""
    NO_COMMIT = "no-commit"
    """The repository has no such commit any more, or does not hand it out."""
    TOO_LARGE = "too-large"
    TIMED_OUT = "timed-out"
    REFUSED = "refused"
    """We do not ask for this: another protocol than https, a malformed commit id."""
    UNSOUND = "unsound"
    """What came is damaged, or was made to do harm."""


class SourceProblem(Value):
    """Why a source cannot be had: a value, since it says something about the release."""

    trouble: Trouble
    sentence: str
    """What was asked and what it answered, for a stranger; holds no password and nothing unprintable."""

    @property
    def for_everybody(self) -> bool:
        """Whether others get the same answer; False where nobody was reached from here, or we were refused."""
        return self.trouble is not Trouble.UNREACHABLE


class CommitFiles(Value):
    """The files of a commit by their names alone, and some of their texts."""

    blobs: dict[str, ObjectId]
    """Path to the git name of the content; bytes of a path that are no UTF-8 as ``\\xNN``. Links are left out."""
    texts: dict[str, str] = {}
    """Content of the small files whose name was asked for, by path; what is no UTF-8 is replaced."""


class Holder(Value):
    """A commit that holds some of the files that were looked for."""

    commit: ObjectId
    committed_at: datetime
    """The committer's time, in UTC, as the commit says."""
    files: tuple[str, ...]
    """Paths of the files that were looked for and that it has, there or below some directory of it."""
    text: str | None = None
    """Content of the file that was asked for besides; None where it has none there, or a large one."""


class BlobSearch(Value):
    """What looking for files in all that branches and tags of a repository reach gave."""

    commits: int
    """How many were searched."""
    searched: int
    """How many files were looked for."""
    holders: tuple[Holder, ...]
    """Commits with the most of the files, then those with one less; parents before children. Cut where there are very
    many."""
    named: dict[ObjectId, Holder]
    """Commits that were asked about and that a branch or a tag reaches."""
    seen: tuple[ObjectId, ...]
    """Blobs of the files that any commit has, at whatever path."""
