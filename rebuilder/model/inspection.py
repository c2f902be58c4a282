"""What the inside of an archive looks like, as a program inside the sandbox read it."""

from __future__ import annotations

from enum import StrEnum

from rebuilder.model.value import Sha256Field, Value


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
