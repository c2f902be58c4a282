"""The contracts between parts: each has a real implementation and a fake one that pass the same tests."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel

from rebuilder.model.artifact import Subject
from rebuilder.model.attempt import Attempt, Hypothesis, Run
from rebuilder.model.definition import BuildDefinition, Input, Limits
from rebuilder.model.document import Document
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.git import SourceProblem, SourceTree
from rebuilder.model.listing import Listing
from rebuilder.model.provenance import Provenance
from rebuilder.model.report import Stage, ToolchainSummary
from rebuilder.model.resolution import Resolution
from rebuilder.model.trail import FileChange, Origin
from rebuilder.model.value import Sha256, Value

DigestAlgorithm = Literal["sha256", "sha384", "sha512"]
"""What a file's bytes may be bound by."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The current time, in UTC, with a time zone."""
        ...


class Progress(Protocol):
    """Who is told which stage an artifact is in."""

    def subject(self, name: str) -> None:
        """Work on another subject begins; ``name`` is what the user called it."""
        ...

    def stage(self, stage: Stage, detail: str = "") -> None:
        """A stage begins; the one before it has ended."""
        ...


class Blobs(Protocol):
    """Bytes by SHA-256; written whole or not at all, checked when read."""

    def put(self, data: bytes) -> Sha256:
        """Store bytes; storing the same bytes again is nothing."""
        ...

    def put_stream(self, chunks: Iterable[bytes], *, max_bytes: int) -> tuple[Sha256, int]:
        """Store a stream, give its digest and its size in bytes.

        Raises:
            FetchMismatchError: more than ``max_bytes`` came; nothing is kept.
        """
        ...

    def has(self, sha256: str) -> bool:
        """Whether these bytes are stored."""
        ...

    def read(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            StoreError: they are not stored, or what is stored has another digest.
        """
        ...

    def path(self, sha256: str) -> Path:
        """A read-only file with the bytes, for a sandbox to bind; checked like :meth:`read`."""
        ...


class Facts(Protocol):
    """JSON documents that stay true for ever, by key: what was once worked out need not be worked out again."""

    def get(self, key: str) -> Any | None:
        """The document, or None."""
        ...

    def put(self, key: str, document: Any) -> None:
        """Keep a document of plain JSON types."""
        ...


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
            UnavailableError: no proper answer after polite retries, or the file is gone.
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
        constraints: Sequence[str] = (),
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

    def tags(self, repository_url: str) -> Mapping[str, str] | SourceProblem:
        """Every tag, without ``refs/tags/``, and the commit (or other object) it leads to.

        Raises:
            UnavailableError, StoreError: see :meth:`commit`.
        """
        ...


class Toolchain(Value):
    """A verified toolchain, ready for use."""

    name: str
    sha256: Sha256
    root: Path
    python_version: str
    """Such as ``3.13``."""
    summary: ToolchainSummary


class Toolchains(Protocol):
    """Read-only root file systems by name."""

    def get(self, name: str) -> Toolchain:
        """Make the toolchain if needed and make sure that it is unmodified.

        Raises:
            ToolchainError: it cannot be made, or was modified; the sentence says which file.
        """
        ...

    def by_digest(self, sha256: str) -> Toolchain:
        """A toolchain that a name stood for once, and make sure that it is unmodified.

        Raises:
            ToolchainError: this machine has none with that digest, or it was modified.
        """
        ...

    def remake(self, name: str) -> Toolchain:
        """Make the toolchain afresh; the one before stays available by its digest.

        Raises:
            ToolchainError: it cannot be made.
        """
        ...


class Sandbox(Protocol):
    """Runs one build definition where nothing but its inputs can reach it."""

    @property
    def kind(self) -> str:
        """``bubblewrap``, ``uml``; equals :attr:`BuildDefinition.sandbox` of what it runs."""
        ...

    def run(self, definition: BuildDefinition, *, toolchain: Path, inputs: Mapping[str, Path]) -> Run:
        """Run the commands; give back the outcome, the log and the files left in ``/out`` (as blobs).

        Args:
            definition: What to run.
            toolchain: Root directory of the toolchain on this machine.
            inputs: Path inside the sandbox to the file on this machine, for every ``definition.inputs``.

        Raises:
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox itself failed.
        """
        ...


class GuestResult(BaseModel, frozen=True, extra="forbid"):
    """What one of our own programs said from inside the sandbox."""

    run: Run
    document: Any = None
    """The JSON it wrote; None when it did not finish (``run`` says why)."""


class Guest(Protocol):
    """Runs our own small programs on untrusted files, inside the sandbox."""

    def run(
        self, program: str, arguments: Sequence[str], *, inputs: Sequence[Input], limits: Limits | None = None
    ) -> GuestResult:
        """Run ``python3 guest.pyz PROGRAM ARGUMENTS… --result /out/result.json`` with these blobs bound.

        Raises:
            SandboxUnavailableError, SandboxFaultError, ToolchainError: see :class:`Sandbox`.
        """
        ...

    @property
    def program_input(self) -> Input:
        """The guest programs themselves (one zip application), as an input for any build definition."""
        ...


class Signer(Protocol):
    """Holds the signing key."""

    @property
    def key_id(self) -> str:
        """SHA-256 of the public key's DER SubjectPublicKeyInfo, in hexadecimal."""
        ...

    @property
    def public_pem(self) -> bytes:
        """The public key, PEM SubjectPublicKeyInfo."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """ASN.1 DER signature, ECDSA P-256 over SHA-256 of ``payload``.

        Raises:
            SigningError: the key cannot be used.
        """
        ...


class Ecosystem(Protocol):
    """One package ecosystem: how to read what it publishes, and what that says about the build."""

    @property
    def name(self) -> str:
        """The name before the colon in a subject, and the purl type: ``pypi``."""
        ...

    def parse(self, text: str) -> Subject:
        """Read a subject without its ecosystem prefix, such as ``idna==3.10``.

        Raises:
            UsageError: it is malformed.
        """
        ...

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
        ...

    def evidence(self, subject: Subject) -> list[Evidence]:
        """Collect what is published, one value per artifact, downloads included.

        Raises:
            UsageError: no such project, version or file.
            UnavailableError: the registry does not answer.
        """
        ...

    def hypotheses(self, evidence: Evidence) -> Generator[Hypothesis, Attempt, Obstacle | None]:
        """Yield definitions to try, most likely first; after each, the attempt made of it is sent back.

        Returns (as ``StopIteration.value``) what kept it from yielding, if something did.
        """
        ...

    def origin(
        self,
        evidence: Evidence,
        provenance: Provenance | None,
        source_provenance: Provenance | None,
        sources: Sources,
    ) -> Origin | None:
        """Say which commit the artifact comes from, and who says so; None when nobody names a repository.

        Args:
            evidence: What :meth:`evidence` gave.
            provenance: What checking the attestations of the artifact said; None when it was not checked.
            source_provenance: The same for the published source archive.
            sources: Where tags are looked up; asked only when no verified attestation names a commit.

        Raises:
            UnavailableError, StoreError: see :meth:`Sources.tags`.
        """
        ...

    def from_commit(
        self, evidence: Evidence, origin: Origin, tree: SourceTree
    ) -> Generator[Hypothesis, Attempt, Obstacle | None]:
        """Yield definitions that build from the commit; used like :meth:`hypotheses`, and always to its end.

        ``definition.filename`` says which step one is for: the published source archive, or the artifact itself.
        Definitions for the source archive come first; an attempt that confirms it ends its step, not the others.
        Evidence with an obstacle may still have steps: a wheel without a source archive, a source archive alone.
        """
        ...

    def tree_changes(self, evidence: Evidence, tree: SourceTree) -> tuple[FileChange, ...]:
        """Compare the published source archive with the commit; empty when there is no archive to compare.

        What nothing explains comes before what a rule explains; added and changed files before missing ones; then
        by path. The caller cuts the list to what a page can show.

        Raises:
            SandboxUnavailableError, SandboxFaultError, ToolchainError: see :class:`Guest`.
        """
        ...


RunDefinition = Callable[[BuildDefinition], Run]
"""Runs a definition with its inputs taken from the blobs and its toolchain checked."""
