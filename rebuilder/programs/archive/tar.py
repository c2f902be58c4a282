"""A tar archive as a value that accounts for every byte of it.

Two values that are equal belong to archives that are equal. What a member means (``name``, ``mtime``, …) stands
beside how that was written down (``written``), so that a normalisation can neutralise one without the other.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple

from rebuilder.programs.archive.limits import Stretch
from rebuilder.programs.archive.stream import Compression
from rebuilder.programs.archive.tar_headers import TarHeader

RECORD = 10240
"""Bytes to a multiple of which most writers fill an archive up with zeros."""
FULL_RECORD = -1
"""Stands for as many zeros as that takes, which follows from the members."""
_NANOSECONDS = 9


class Extension(NamedTuple):
    """A header in front of a member that carries long or additional fields."""

    header: TarHeader
    """With ``size`` set to 0, since the records tell it."""
    records: tuple[tuple[bytes, bytes, bytes], ...]
    """Keyword, value, and the length where it is not written in the ordinary way."""
    rest: bytes
    """Padding that is not zero."""


class TarMember(NamedTuple):
    """One member, in archive order."""

    name: str
    raw_name: bytes
    """Without the slash at the end of a directory."""
    kind: str
    size: int
    sha256: str
    link: str | None
    raw_link: bytes
    mode: int
    """Permission bits and setuid, setgid, sticky."""
    mtime: str
    """Seconds since 1970, as written."""
    owner: tuple[int, int, bytes, bytes]
    """User, group, user name, group name."""
    device: tuple[int, int] | None
    records: tuple[tuple[bytes, bytes], ...]
    """pax records in force that none of the other fields holds."""
    written: tuple[TarHeader, tuple[Extension, ...]] | None
    """The headers."""
    padding: Stretch | None
    """Padding after the content, when it is not zero."""

    def listing(self) -> dict[str, Any]:
        """The member in the shape of ``model.inspection.Member``."""
        return {
            "name": self.name,
            "kind": self.kind,
            "size": self.size,
            "sha256": self.sha256 if self.kind == "file" else None,
            "mode": self.mode,
            "mtime": utc(self.mtime),
            "fraction": fraction(self.mtime),
            "link": self.link,
        }


class TarArchive(NamedTuple):
    """A whole tar archive."""

    compression: Compression | None
    globals: tuple[tuple[int, Extension], ...]
    """pax headers for all members from the one with the given index on."""
    members: tuple[TarMember, ...]
    end_zeros: int
    """Zero bytes after the last member, or :data:`FULL_RECORD`."""
    trailing: Stretch | None
    """Bytes after those zeros."""


def fraction(seconds: str) -> str | None:
    """The digits after the point of a time from 1970 on; None when there are none, or more than nanoseconds."""
    whole, point, digits = seconds.partition(".")
    plain = (whole + digits).isascii() and (whole + digits).isdigit()
    return digits if point and plain and 0 < len(digits) <= _NANOSECONDS and digits.strip("0") else None


def utc(seconds: str) -> str:
    """``YYYY-MM-DDTHH:MM:SS`` in UTC; times no calendar has become the nearest that it has."""
    first = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - printed without a zone
    try:
        return (first + dt.timedelta(seconds=float(seconds))).isoformat(timespec="seconds")
    except (OverflowError, ValueError):
        return "0001-01-01T00:00:00" if seconds.startswith("-") else "9999-12-31T23:59:59"
