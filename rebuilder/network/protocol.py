"""What the network gives: documents, files, repositories, resolved requirements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from rebuilder.model.artifact import Document, Resolution
from rebuilder.model.git import BlobSearch, CommitFiles, SourceProblem, SourceTree
from rebuilder.model.value import Sha256

DigestAlgorithm = Literal["sha256", "sha384", "sha512"]
"""What a file's bytes may be bound by."""


class Fetcher(Protocol):
    """The network, bounded: nothing else in the program opens a connection."""

    def document(self, url: str, *, accept: str, max_bytes: int) -> Document | None:
        """Fetch (or revalidate by ETag) a small document; None when the server says it does not exist.

        Raises:
            UnavailableError: no proper answer after polite retries.
            FetchMismatchError: larger than ``max_bytes`` or cut short.
        """
        ...

    def file(self, url: str, *, sha256: str, max_bytes: int) -> Sha256:
        """Fetch a file into the blobs unless it is there already; its digest must be ``sha256``.

        Raises:
            FileGoneError: the server says that it does not exist.
            UnavailableError: no proper answer after polite retries.
            FetchMismatchError: other bytes, more than ``max_bytes``, or cut short.
        """
        ...

    def digest(self, url: str, *, max_bytes: int) -> Sha256 | None:
        """Fetch a file once more, whatever is stored, and give the digest it has now; the bytes are not kept.

        Returns:
            None when the server says it does not exist.

        Raises:
            UnavailableError, FetchMismatchError: see :meth:`document`.
        """
        ...

    def file_by_digest(self, url: str, *, algorithm: DigestAlgorithm, digest: str, max_bytes: int) -> Sha256:
        """Fetch a file of which the registry gives only another digest; give its SHA-256.

        Args:
            url: Where it is.
            algorithm: Of ``digest``, which is lower-case hexadecimal.
            digest: What the bytes must have; checked before any of them becomes a blob.
            max_bytes: Most that is read.

        Raises:
            UnavailableError, FetchMismatchError: see :meth:`file`.
        """
        ...


class Resolver(Protocol):
    """Chooses exact versions for build requirements."""

    def resolve(
        self,
        requirements: Sequence[str],
        *,
        python_version: str,
        not_after: datetime,
    ) -> Resolution:
        """Pick the newest wheels that were published before ``not_after`` (PEP 508 requirements).

        Raises:
            UnavailableError: the index does not answer.
        """
        ...


class Sources(Protocol):
    """Repositories to build from."""

    def noting(self, unreached: list[SourceProblem]) -> Sources:
        """The same, which adds to the list each problem that is not so for everybody, whatever was asked for it."""
        ...

    def commit(self, repository_url: str, sha: str, tag_hint: str | None = None) -> SourceTree | SourceProblem:
        """Fetch one commit: its files as an archive in the blobs, its raw objects, the tags that point at it.

        Args:
            repository_url: An https address; user name and password in it are left out.
            sha: The full name of the commit, 40 hexadecimal digits.
            tag_hint: The tag it is said to have, with or without ``refs/tags/``; a finding when it has not.

        Raises:
            UnavailableError: this machine lacks a program.
            StoreError: our own store or cache cannot be used.
        """
        ...

    def with_history(self, tree: SourceTree) -> SourceTree:
        """The same with the commits before it and their tags; with a note where they cannot be had.

        Raises:
            UnavailableError, StoreError: see :meth:`commit`.
        """
        ...

    def tags(self, repository_url: str) -> Mapping[str, str] | SourceProblem:
        """Every tag, without ``refs/tags/``, and the commit (or other object) it leads to.

        Raises:
            UnavailableError, StoreError: see :meth:`commit`.
        """
        ...

    def files(self, repository_url: str, sha: str, *, texts: str | None = None) -> CommitFiles | SourceProblem:
        """What files a commit has, by git's names of their content; what :meth:`commit` fetches is fetched for it.

        Args:
            repository_url: See :meth:`commit`.
            sha: See :meth:`commit`.
            texts: Name of files, in whatever directory, whose text is given too.

        Raises:
            UnavailableError, StoreError: see :meth:`commit`.
        """
        ...

    def holders(
        self, repository_url: str, members: Mapping[str, str], also: Sequence[str] = (), *, text: str | None = None
    ) -> BlobSearch | SourceProblem:
        """Look for files in the whole history that branches and tags of a repository reach.

        Args:
            repository_url: See :meth:`commit`.
            members: Path of a file to git's name of its content. It counts for a commit that has this content at this
                path, or at this path below a directory.
            also: Commits about which it is to be said what they hold.
            text: Path of a file whose text is given for each commit.

        Raises:
            UnavailableError, StoreError: see :meth:`commit`.
        """
        ...
