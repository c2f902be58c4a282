"""What is known about an artifact before anything is built, and the listings that programs inside the sandbox made."""

from __future__ import annotations

from enum import StrEnum
from functools import cached_property

from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.diagnosis import Cause
from rebuilder.model.provenance import RegistrySignature
from rebuilder.model.value import Sha256, Sha256Field, Value
from rebuilder.model.verdict import Verdict


class MemberKind(StrEnum):
    """Type of an archive member."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    DEVICE = "device"
    FIFO = "fifo"


class Member(Value):
    """One entry of an archive, in archive order."""

    name: str
    """As stored; undecodable bytes as surrogate escapes replaced by ``\\xNN``."""
    kind: MemberKind
    size: int
    """Bytes after decompression."""
    sha256: Sha256Field | None = None
    """Of the decompressed content; only for regular files."""
    mode: int | None = None
    """Permission and type bits as stored (ZIP: upper half of external_attr; None when the archive has none)."""
    mtime: str
    """Local-less ``YYYY-MM-DDTHH:MM:SS`` as stored; ZIP has 2-second steps and no zone, tar is shown in UTC."""
    fraction: str | None = None
    """Decimal digits of the fraction of a second that ``mtime`` leaves out; only tar archives in pax form have one."""
    link: str | None = None
    """Target of a symbolic or hard link."""
    create_system: int | None = None
    """ZIP "version made by" host: 3 Unix, 0 MS-DOS/Windows (APPNOTE.TXT 4.4.2)."""
    compression: str | None = None
    """ZIP compression method: ``stored``, ``deflated``, …"""


class Inspection(Value):
    """Listing of one archive."""

    format: str
    """``zip``, ``tar``, ``tar.gz``, ``tar.bz2`` or ``tar.xz``."""
    members: tuple[Member, ...] = ()
    texts: dict[str, str] = {}
    """Text of the small members that were asked for, by member name."""
    problems: tuple[str, ...] = ()
    """Sentences about what is malformed or dangerous: absolute names, ``..``, duplicate names, a bomb, …"""
    contradictions: tuple[str, ...] = ()
    """Where readers make different things of it, one sentence each; such an archive is equal to no other."""
    readable: bool = True
    """False when the archive could not be read to its end; ``problems`` says why."""

    @cached_property
    def top_directory(self) -> str:
        """The one directory everything lies in; empty when there is none."""
        paths = [(normal_path(member.name), member.kind) for member in self.members]
        tops = {path.partition("/")[0] for path, _ in paths} - {""}
        files_at_top = any(path and "/" not in path and kind is not MemberKind.DIRECTORY for path, kind in paths)
        return tops.pop() if len(tops) == 1 and not files_at_top else ""


def normal_path(name: str) -> str:
    """A member name without ``./`` and double slashes."""
    framed = f"/{name}/"
    if "//" not in framed and "/./" not in framed:
        return name
    return "/".join(part for part in name.split("/") if part not in {"", "."})


class SourceKind(StrEnum):
    """Where a rebuild starts from."""

    SDIST = "sdist"
    GIT = "git"
    ARCHIVE = "archive"
    """An archive that somebody named by its address."""
    DSC = "dsc"
    """A Debian source package, by the file that lists its others."""


class Source(Value):
    """What an artifact claims to be built from."""

    kind: SourceKind
    uri: str
    digest: dict[str, str]
    """Algorithm to hexadecimal digest, such as ``{"sha256": "…"}`` or ``{"gitCommit": "…"}``."""
    filename: str | None = None


class Obstacle(Value):
    """Why an artifact gets a verdict without a finished rebuild: a value, not an exception."""

    verdict: Verdict
    """One of ``unsupported``, ``inputs-missing``, ``build-failed`` or ``timed-out``; ``infra-error`` while it may
    be our trouble, which no report has (:mod:`rebuilder.ecosystems.unavailable_inputs`)."""
    sentence: str
    """What stands in the way, as a full sentence for a stranger."""
    cause: Cause | None = None
    """Its cause, where the verdict does not say it already."""


class Evidence(Value):
    """Everything published about one artifact, as far as it was read."""

    artifact: Artifact
    source: Source | None = None
    source_file: PublishedFile | None = None
    index_sha256: Sha256Field
    """Digest of the index document the artifact was listed in; the document itself is a blob."""
    artifact_inspection: Inspection | None = None
    source_inspection: Inspection | None = None
    provenance_sha256: Sha256Field | None = None
    """Blob with the attestations the registry serves for the artifact, as served; None when it names none."""
    provenance_refused: str | None = None
    """Why the address that the index gives for them was not asked; a sentence."""
    source_provenance_sha256: Sha256Field | None = None
    """The same for ``source_file``."""
    buildinfo_sha256: Sha256Field | None = None
    """Blob with what somebody says of the build (``.buildinfo``), as it was given; Debian only."""
    registry_signatures: tuple[RegistrySignature, ...] = ()
    """What the registry itself signed about the artifact, as listed; npm only."""
    obstacle: Obstacle | None = None
    notes: tuple[str, ...] = ()
    """Sentences worth knowing that change nothing, such as "The registry marks this file as yanked: …"."""

    @property
    def targets(self) -> dict[str, Sha256]:
        """Digest by file name of all that an attempt may be about: the artifact, and the source archive beside it."""
        files = (self.source_file, self.artifact.file)
        return {each.filename: each.sha256 for each in files if each is not None}

    @property
    def contradictions(self) -> tuple[str, ...]:
        """Where readers make different things of the artifact or of its source archive, one text a file."""
        sides = (
            (self.artifact.filename, self.artifact_inspection),
            (self.source_file.filename if self.source_file else "", self.source_inspection),
        )
        return tuple(
            f"Readers disagree about what {name} holds. {' '.join(listing.contradictions[:3])}"
            for name, listing in sides
            if listing is not None and listing.contradictions
        )
