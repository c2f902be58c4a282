"""What registries publish: what a user asks for, a file pinned by its digest, listings, and what a resolver chose."""

from __future__ import annotations

from datetime import datetime

from rebuilder.model.value import Sha256, Sha256Field, Sha512Field, Value


class Subject(Value):
    """What a user asked to have verified: a release, one file of it, or a file on disk.

    ``version`` is None for "the newest"; ``filename`` is None for every file of the release that can be
    verified; ``local_sha256`` and ``local_sha512`` are digests of a file on disk, or of the file that a lock file
    wants, to be matched with what is published.
    """

    ecosystem: str
    name: str
    version: str | None = None
    filename: str | None = None
    local_sha256: Sha256Field | None = None
    local_sha512: Sha512Field | None = None
    architecture: str | None = None
    """Of the file, where a release has one for each and the version decides its name; None for this machine's."""
    suite: str | None = None
    """Of a distribution, where its release is to be looked for; None for those in the settings."""
    buildinfo_sha256: Sha256Field | None = None
    """Blob with what somebody says of the build of the file (``.buildinfo``), where that was given."""
    notes: tuple[str, ...] = ()
    """What was found out about the document that names it, one sentence each."""
    asked: str
    """The words the user typed, for messages."""


class PublishedFile(Value):
    """One file as the registry's index lists it (PEP 691, PEP 700 and PEP 740 for PyPI)."""

    filename: str
    url: str
    sha256: Sha256Field
    size: int | None = None
    """Bytes."""
    uploaded: datetime | None = None
    """UTC."""
    requires_python: str | None = None
    yanked: str | None = None
    """None when it is not yanked; otherwise the reason, which may be empty."""
    provenance_url: str | None = None


class Artifact(Value):
    """One published file, pinned to the digest it had when it was first seen."""

    ecosystem: str
    purl: str
    """Package URL of the release, such as ``pkg:pypi/idna@3.10`` (ECMA-427)."""
    name: str
    version: str
    file: PublishedFile

    @property
    def filename(self) -> str:
        """File name in the registry."""
        return self.file.filename

    @property
    def sha256(self) -> Sha256:
        """Digest the registry published for it."""
        return self.file.sha256


class PinResult(Value):
    """What was known of a published file before."""

    first_seen: bool
    """True when these bytes were never seen under this name before."""
    earlier: tuple[Sha256Field, ...] = ()
    """Other digests the same file name had before these bytes were first seen, oldest first; not empty = alarm."""


class Document(Value):
    """A small document from the network, kept as a blob."""

    url: str
    """After redirects."""
    sha256: Sha256
    content: bytes
    media_type: str


class ListedFile(Value):
    """One published file that would be verified when its release is asked for."""

    purl: str
    """Of the release."""
    version: str
    filename: str
    sha256: Sha256Field | None = None
    """None where the registry lists another digest."""
    uploaded: datetime | None = None
    """UTC."""
    prerelease: bool = False
    yanked: bool = False


class Listing(Value):
    """The files of all releases of a project, by version, the newest version first."""

    ecosystem: str
    name: str
    """Normalised."""
    files: tuple[ListedFile, ...]
    newest: str | None = None
    """The version an installer would take; None when there is none."""
    mark: str
    """Tells whether the page has changed: give it back with the next question."""


class Pin(Value):
    """One distribution chosen by a resolver."""

    name: str
    version: str
    filename: str
    url: str
    sha256: Sha256


class Resolution(Value):
    """What a resolver gave: pins, or why there are none (a value, since it says something about the release)."""

    pins: tuple[Pin, ...] = ()
    problem: str | None = None
    """None, or the resolver's reason in plain words."""
