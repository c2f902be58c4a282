"""A tar archive as a value that accounts for every byte of it.

Two values that are equal belong to archives that are equal. What a member means (``name``, ``mtime``, …) stands
beside how that was written down (``written``), so that a normalisation can neutralise one without the other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from rebuilder.programs.archive.limits import Stretch, UnreadableError
from rebuilder.programs.archive.stream import Compression

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


BLOCK = 512

_OCTAL: tuple[Callable[[int, int], bytes], ...] = (
    lambda value, width: b"%0*o\0" % (width - 1, value),
    lambda value, width: b"%0*o " % (width - 1, value),
    lambda value, width: b"%0*o \0" % (width - 2, value),
    lambda value, width: b"%*o \0" % (width - 2, value),
    lambda value, width: b"%*o\0" % (width - 1, value),
    lambda value, width: b"%*o " % (width - 1, value),
    lambda value, width: b"%0*o\0 " % (width - 2, value),
    lambda value, width: b"%0*o" % (width, value),
    lambda value, width: bytes(width) if value == 0 else b"",
    lambda value, width: (value + (1 << 8 * width - 1)).to_bytes(width, "big") if value >= 0 else b"",
)
"""Ways in which writers fill a number into a field; the last is the binary form of GNU tar."""
BASE_256 = len(_OCTAL) - 1
"""The style of a number in the binary form."""


class Number(NamedTuple):
    """A number in a header, and how it was written."""

    value: int
    style: Any
    """Index of a known way to write it; otherwise the bytes themselves."""


class Text(NamedTuple):
    """A string in a header, and what stands after the zero byte that ends it."""

    value: bytes
    rest: bytes


class TarHeader(NamedTuple):
    """One header block, every byte of it."""

    name: Text
    mode: Number
    uid: Number
    gid: Number
    size: Number
    mtime: Number
    checksum_style: Any
    type: bytes
    link: Text
    magic: bytes
    uname: Text
    gname: Text
    major: Number
    minor: Number
    prefix: Text
    tail: bytes


def written_number(number: Number, width: int) -> bytes:
    """A number in one of the known ways to write it, as :func:`parse_header` takes it apart."""
    form: Callable[[int, int], bytes] = _OCTAL[number.style]
    return form(number.value, width)


def without_numbers(header: TarHeader) -> bool:
    """Whether an old header has no number where later forms have one, and where some readers look in every form."""
    try:
        for each in (header.major, header.minor):
            if isinstance(each.style, bytes):
                _number(each.style)
    except UnreadableError:
        return True
    return False


def is_tar_header(block: bytes) -> bool:
    """Whether a block could be the first header of a tar archive: its checksum is right and it is not empty."""
    return len(block) >= BLOCK and any(block[:BLOCK]) and _checksum_ok(block[:BLOCK])


def parse_header(block: bytes) -> TarHeader:
    """Take one header block apart.

    Raises:
        UnreadableError: the checksum is wrong or a number is none.
    """
    if not _checksum_ok(block):
        raise UnreadableError("It is damaged: a tar header has a wrong checksum.")
    gnu = block[257:265] == b"ustar  \0"
    ustar = block[257:263] == b"ustar\0"
    return TarHeader(
        name=_text(block[0:100]),
        mode=_number(block[100:108]),
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        size=_number(block[124:136]),
        mtime=_number(block[136:148]),
        checksum_style=_number(block[148:156]).style,
        type=block[156:157],
        link=_text(block[157:257]),
        magic=block[257:265],
        uname=_text(block[265:297]) if gnu or ustar else Text(b"", block[265:297]),
        gname=_text(block[297:329]) if gnu or ustar else Text(b"", block[297:329]),
        major=_number(block[329:337]) if gnu or ustar else Number(0, block[329:337]),
        minor=_number(block[337:345]) if gnu or ustar else Number(0, block[337:345]),
        prefix=_text(block[345:500]) if ustar else Text(b"", block[345:500].rstrip(b"\0")),
        tail=block[500:512].rstrip(b"\0"),
    )


def _checksum_ok(block: bytes) -> bool:
    try:
        claimed = _number(block[148:156]).value
    except UnreadableError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    unsigned = sum(rest)
    return claimed == unsigned or claimed == unsigned - 256 * sum(byte > 127 for byte in rest)


def _text(field: bytes) -> Text:
    value, _zero, rest = field.partition(b"\0")
    return Text(value, rest.rstrip(b"\0"))


@lru_cache(maxsize=4096)
def _number(field: bytes) -> Number:
    width = len(field)
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    elif field[0] == 0xFF:
        value = int.from_bytes(field, "big", signed=True)
    else:
        digits = field.split(b"\0", 1)[0].strip(b" ")
        if digits.strip(b"01234567"):
            raise UnreadableError("It is damaged: a number in a tar header is none.")
        value = int(digits, 8) if digits else 0
    for index, form in enumerate(_OCTAL):
        if form(value, width) == field:
            return Number(value, index)
    return Number(value, field)
