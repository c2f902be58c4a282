"""A tar archive as a value that accounts for every byte of it.

Two values that are equal belong to archives that are equal. What a member means (``name``, ``mtime``, …) stands
beside how that was written down (``written``), so that a normalisation can neutralise one without the other.

The reader trusts nothing that the archive says about itself.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import IO, Any, BinaryIO, NamedTuple

from rebuilder.programs.archive.dangers import dangers
from rebuilder.programs.archive.reading import (
    CHUNK,
    MEMBER_BYTES,
    Budget,
    Entry,
    Keep,
    Reading,
    Receive,
    Stretch,
    UnreadableError,
    decoded,
    shown,
    stretch,
)
from rebuilder.programs.archive.stream import CompressedInput, Compression, PlainInput, Window

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


_EXTENSION_BYTES = 1 << 20
_KINDS = {b"0": "file", b"\0": "file", b"7": "file", b"1": "hardlink", b"2": "symlink"}
_KINDS.update({b"3": "device", b"4": "device", b"5": "directory", b"6": "fifo"})
_LONG = {b"L": b"path", b"K": b"linkpath"}
_MEMBER_FIELDS = {b"path", b"linkpath", b"size", b"mtime", b"uid", b"gid", b"uname", b"gname"}
_NUMBER = re.compile(rb"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_COUNT = re.compile(rb"[0-9]{1,20}")


class _Pending(NamedTuple):
    """Extension headers seen since the last member."""

    extensions: tuple[Extension, ...] = ()
    records: tuple[tuple[bytes, bytes], ...] = ()


def read_tar(
    file: BinaryIO | Window,
    compression: str | None,
    keep: Keep,
    *,
    raw: bool,
    receive: Receive | None = None,
    rooted: bool = False,
) -> Reading:
    """Read a whole tar archive; damage ends up in ``problems``, never in an exception.

    The arguments are those of :func:`~rebuilder.programs.archive.opening.read_archive`; ``rooted``: see
    ``dangers``.
    """
    name = f"tar.{compression}" if compression else "tar"
    reader = _Reader(keep, receive)
    try:
        reader.open(file, compression, raw=raw)
        archive = reader.archive()
    except UnreadableError as error:
        partial = TarArchive(None, (), tuple(reader.members), 0, None)
        problems = (str(error), *dangers(reader.members, rooted=rooted), *reader.problems)
        return Reading(name, partial, problems, readable=False, contents=reader.contents)
    problems = (*dangers(archive.members, rooted=rooted), *reader.problems)
    return Reading(name, archive, problems, readable=True, contents=reader.contents)


class _Reader:
    def __init__(self, keep: Keep, receive: Receive | None) -> None:
        self._keep = keep
        self._receive = receive
        self.members: list[TarMember] = []
        self.problems: list[str] = []
        self.contents: dict[int, bytes] = {}
        self._globals: list[tuple[int, Extension]] = []
        self._global_records: dict[bytes, bytes] = {}
        self._at = 0

    def open(self, file: BinaryIO | Window, compression: str | None, *, raw: bool) -> None:
        self._budget = Budget(file.size if isinstance(file, Window) else os.fstat(file.fileno()).st_size)
        self._input: PlainInput | CompressedInput
        if compression:
            self._input = CompressedInput(file, compression, self._budget, raw=raw)
        else:
            self._input = PlainInput(file, self._budget)

    def archive(self) -> TarArchive:
        pending = _Pending()
        while True:
            at, block = self._at, self._read(BLOCK)
            if not any(block):
                break
            if len(block) < BLOCK:
                raise UnreadableError("It is cut short inside a header.")
            if not self.members and not self._globals and not pending.extensions and not _plausible(block):
                raise UnreadableError("It is not a tar archive.")
            header = parse_header(block)
            self._budget.header(BLOCK)
            self._budget.member()
            if header.type in b"xgLKX":
                pending = self._extend(pending, header)
            else:
                self._member(header, pending)
                pending = _Pending()
        if pending.extensions or any(index == len(self.members) for index, _extension in self._globals):
            raise UnreadableError("It is cut short: the member of its last extension header is missing.")
        zeros, trailing = self._end(block)
        if zeros < 2 * BLOCK:
            self.problems.append("It has no end marker; it may be cut short.")
        if trailing:
            self.problems.append(f"It has {trailing.size:,} bytes after its end.")
        if zeros == 2 * BLOCK + -(at + 2 * BLOCK) % RECORD:
            zeros = FULL_RECORD
        compression = self._input.compression
        if compression and compression.trailing:
            self.problems.append(f"It has {compression.trailing.size:,} bytes after its compressed data.")
        if compression and len(compression.streams) > 1:
            self.problems.append(f"It is made of {len(compression.streams):,} compressed streams.")
        return TarArchive(compression, tuple(self._globals), tuple(self.members), zeros, trailing)

    def _end(self, data: bytes) -> tuple[int, Stretch | None]:
        """Count zeros up to the end of the file; bytes after them are trailing."""
        zeros = size = 0
        digest = hashlib.sha256()
        while data:
            if not size:
                rest = data.lstrip(b"\0")
                zeros += len(data) - len(rest)
                data = rest
            digest.update(data)
            size += len(data)
            data = self._read(CHUNK)
        return zeros, Stretch(size, digest.hexdigest()) if size else None

    def _extend(self, pending: _Pending, header: TarHeader) -> _Pending:
        size = header.size.value
        if not 0 <= size <= _EXTENSION_BYTES:
            raise UnreadableError(f"It is damaged: an extension header claims {size:,} bytes.")
        data = self._exactly(size, "an extension header")
        rest = self._exactly(-size % BLOCK, "an extension header").rstrip(b"\0")
        self._budget.header(size)
        if header.type in _LONG:
            value, zero, more = data.partition(b"\0")
            records: tuple[tuple[bytes, bytes, bytes], ...] = ((_LONG[header.type], value, zero + more),)
        else:
            records = tuple(_pax_records(data))
        extension = Extension(header._replace(size=Number(0, header.size.style)), records, rest)
        if header.type == b"g":
            if pending.extensions:
                raise UnreadableError("It is damaged: a header for all members stands between one and its own header.")
            self._globals.append((len(self.members), extension))
            self._global_records.update((key, value) for key, value, _odd in records)
            return pending
        return _Pending(
            (*pending.extensions, extension),
            (*pending.records, *((key, value) for key, value, _odd in records)),
        )

    def _member(self, header: TarHeader, pending: _Pending) -> None:
        records = {**self._global_records, **dict(pending.records)}
        if header.type == b"S" or any(key.startswith(b"GNU.sparse") for key in records):
            raise UnreadableError("It has a sparse member, which cannot be read.")
        prefix = header.prefix.value + b"/" if header.prefix.value and header.magic.startswith(b"ustar\0") else b""
        raw_name = records.get(b"path", prefix + header.name.value)
        kind = _KINDS.get(header.type)
        what = f"the member “{shown(decoded(raw_name))}”"
        if kind is None:
            raise UnreadableError(f"It cannot be read: {what} has the unknown type {header.type!r}.")
        if kind == "file" and raw_name.endswith(b"/"):
            kind = "directory"
        raw_link = records.get(b"linkpath", header.link.value)
        size = int(_checked(records[b"size"], _COUNT)) if b"size" in records else header.size.value
        name = decoded(raw_name)
        index = len(self.members)
        linked = kind in {"symlink", "hardlink"}
        mtime = _checked(records.get(b"mtime", b"%d" % header.mtime.value), _NUMBER).decode("ascii")
        into = None
        if self._receive is not None:
            link = os.fsdecode(raw_link) if linked else ""
            entry = Entry(os.fsdecode(raw_name), kind, bool(header.mode.value & 0o111), float(mtime), link)
            into = self._receive(entry)
        stored = size if header.type in b"0\x007" else 0
        digest, padding = self._content(stored, self._keep(index, name), index, what, into)
        self.members.append(
            TarMember(
                name=name,
                raw_name=raw_name.rstrip(b"/") if kind == "directory" else raw_name,
                kind=kind,
                size=size if kind in {"file", "directory"} else 0,
                sha256=digest,
                link=decoded(raw_link) if linked else None,
                raw_link=raw_link,
                mode=header.mode.value & 0o7777,
                mtime=mtime,
                owner=_owner(header, records),
                device=(header.major.value, header.minor.value) if kind == "device" else None,
                records=tuple(sorted((key, value) for key, value in records.items() if key not in _MEMBER_FIELDS)),
                written=(header, pending.extensions),
                padding=padding,
            )
        )

    def _content(
        self, size: int, wanted: int, index: int, what: str, into: IO[bytes] | None
    ) -> tuple[str, Stretch | None]:
        if not 0 <= size <= MEMBER_BYTES:
            raise UnreadableError(f"It is too large: {what} claims {size:,} bytes; at most {MEMBER_BYTES:,} are read.")
        digest = hashlib.sha256()
        head = bytearray()
        left = size
        while left:
            data = self._exactly(min(left, CHUNK), what)
            left -= len(data)
            digest.update(data)
            if into is not None:
                into.write(data)
            if len(head) < wanted:
                head += data[: wanted - len(head)]
        if into is not None:
            into.close()
        if wanted:
            self.contents[index] = bytes(head)
        padding = self._exactly(-size % BLOCK, what)
        return digest.hexdigest(), stretch(padding) if any(padding) else None

    def _exactly(self, size: int, what: str) -> bytes:
        data = self._read(size)
        if len(data) < size:
            raise UnreadableError(f"It is cut short inside {what}.")
        return data

    def _read(self, size: int) -> bytes:
        data = self._input.read(size)
        self._at += len(data)
        return data


def _plausible(block: bytes) -> bool:
    try:
        parse_header(block)
    except UnreadableError:
        return False
    return True


def _pax_records(data: bytes) -> list[tuple[bytes, bytes, bytes]]:
    r"""Records of a pax header, "%d %s=%s\n" (POSIX.1-2017, pax, "Extended Header")."""
    records = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = data[at:space]
        if space < 0 or not _COUNT.fullmatch(length):
            raise UnreadableError("It is damaged: a pax header has a record without a length.")
        end = at + int(length)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if end > len(data) or not key or not equals or data[end - 1 : end] != b"\n" or end <= space + 1:
            raise UnreadableError("It is damaged: a pax header has a malformed record.")
        records.append((key, value, b"" if length == b"%d" % (end - at) else length))
        at = end
    return records


def _owner(header: TarHeader, records: dict[bytes, bytes]) -> tuple[int, int, bytes, bytes]:
    return (
        int(_checked(records.get(b"uid", b"%d" % header.uid.value), _NUMBER).split(b".")[0]),
        int(_checked(records.get(b"gid", b"%d" % header.gid.value), _NUMBER).split(b".")[0]),
        records.get(b"uname", header.uname.value),
        records.get(b"gname", header.gname.value),
    )


def _checked(text: bytes, pattern: re.Pattern[bytes]) -> bytes:
    if not pattern.fullmatch(text):
        raise UnreadableError(f"It is damaged: “{shown(decoded(text), 40)}” stands where a number should.")
    return text
