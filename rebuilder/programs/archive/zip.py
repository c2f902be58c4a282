"""A ZIP file as a value that accounts for every byte of it.

Two values that are equal belong to files that are equal. What follows from the rest (offsets, sizes that agree with
the data, the local copy of a field that agrees with the central one) is left out; what does not agree is kept as
``odd``. So a normalisation can neutralise one thing without touching another.
"""

from __future__ import annotations

import datetime as dt
import stat
from typing import Any, NamedTuple

from rebuilder.programs.archive.reading import Stretch

METHODS = {0: "stored", 8: "deflated", 9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstd", 95: "xz", 99: "aes"}


class ZipMember(NamedTuple):
    """One member, in the order of the central directory."""

    name: str
    raw_name: bytes
    kind: str
    """``file``, ``directory``, ``symlink``, ``device`` or ``fifo``."""
    size: int
    sha256: str
    """Of the decompressed content."""
    link: str | None
    """Target of a symbolic link (which ZIP keeps as content)."""
    lines: str | None
    """For RECORD of a wheel whose lines are rows, each about another file: SHA-256 of its lines in sorted order."""
    time: int
    """MS-DOS date in the upper, time in the lower 16 bits."""
    host: int
    """"Version made by", upper byte (APPNOTE 4.4.2.2)."""
    made: int
    needed: int
    flags: int
    method: int
    internal: int
    external: int
    """Unix mode in the upper, MS-DOS attributes in the lower 16 bits, by convention of the writers."""
    extra: tuple[tuple[int, Any], ...]
    """Blocks of the extra field; a ZIP64 block is given by what its numbers mean."""
    local_extra: tuple[tuple[int, Any], ...]
    comment: bytes
    odd: tuple[tuple[str, Any], ...]
    """Redundant fields that do not say what they should, sorted by name."""
    descriptor: tuple[bool, int] | None
    """Data descriptor: has it a signature, bytes per size."""
    raw: Stretch | None
    """The data as it stands in the file; None when it was not asked for or there is none."""
    slack: Stretch | None
    """Bytes inside the member's data after the end of the compressed stream."""
    gap: Stretch | None
    """Bytes in front of the local header that belong to nothing."""
    rank: int
    """Position of the local header among all local headers."""
    stamp: tuple[int, int | None] | None = None
    """For byte code that holds the time of its source: that time and the size of the source, if it holds one."""

    @property
    def mode(self) -> int | None:
        """Type and permission bits, None when there are none."""
        return self.external >> 16 or None

    def listing(self) -> dict[str, Any]:
        """The member in the shape of ``model.inspection.Member``."""
        return {
            "name": self.name,
            "kind": self.kind,
            "size": self.size,
            "sha256": self.sha256 if self.kind == "file" else None,
            "mode": self.mode,
            "mtime": dos_time(self.time),
            "link": self.link,
            "create_system": self.host,
            "compression": METHODS.get(self.method, f"method {self.method}"),
        }


class ZipArchive(NamedTuple):
    """A whole ZIP file."""

    members: tuple[ZipMember, ...]
    prefix: Stretch | None
    """Bytes in front of the first local header."""
    shift: int
    """What must be added to offsets in the directory to get offsets in the file."""
    before_directory: Stretch | None
    """Bytes between the last member and the central directory that belong to nothing."""
    directory_tail: Stretch | None
    """Bytes in the central directory after its last header (such as a digital signature)."""
    zip64_end: tuple[int, int, bytes] | None
    end_odd: tuple[tuple[str, Any], ...]
    comment: bytes
    trailing: Stretch | None
    """Bytes after the end of the archive."""


def dos_time(value: int) -> str:
    """``YYYY-MM-DDTHH:MM:SS`` of an MS-DOS date and time, as stored, even when there is no such day."""
    date, time = value >> 16, value & 0xFFFF
    return (
        f"{(date >> 9) + 1980:04}-{date >> 5 & 15:02}-{date & 31:02}"
        f"T{time >> 11:02}:{time >> 5 & 63:02}:{(time & 31) * 2:02}"
    )


_FIRST_DAY = dt.date(1970, 1, 1).toordinal()


def dos_seconds(value: int) -> int:
    """Seconds since 1970 of an MS-DOS date and time, as if it were in UTC; what no calendar has is counted on."""
    date, time = value >> 16, value & 0xFFFF
    years, month = divmod(((date >> 5) & 15) - 1, 12)
    days = dt.date((date >> 9) + 1980 + years, month + 1, 1).toordinal() - _FIRST_DAY + (date & 31) - 1
    return days * 86400 + (time >> 11) * 3600 + ((time >> 5) & 63) * 60 + (time & 31) * 2


def member_kind(raw_name: bytes, host: int, external: int) -> str:
    """What a member becomes when it is unpacked."""
    if raw_name.endswith(b"/"):
        return "directory"
    if host not in {0, 10, 14}:
        kinds = {stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo", stat.S_IFDIR: "directory"}
        kinds.update({stat.S_IFCHR: "device", stat.S_IFBLK: "device", stat.S_IFSOCK: "device"})
        return kinds.get(stat.S_IFMT(external >> 16), "file")
    return "file"
