"""What of a ZIP file's metadata can be recorded from one archive and written into another with the same content.

A record is ``{"format": "zip", "members": COUNT, "values": {NORMALISATION: {FIELD: [a value by member]}}}``; members
are counted as the directory of the rebuilt archive lists them. Contents, names and everything no normalisation of that
name sets aside come from the rebuilt archive.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO, NamedTuple

from rebuilder.programs.archive.deflate_search import Deflate, DeflateSearch
from rebuilder.programs.archive.reading import UnreadableError, UnwritableError
from rebuilder.programs.archive.zip import ZipArchive, ZipMember
from rebuilder.programs.archive.zip_records import (
    CENTRAL,
    DESCRIPTOR,
    END,
    FULL16,
    FULL32,
    LOCAL,
    ZipSource,
    read_directory,
    read_end,
    read_local,
)

FIELDS: dict[str, tuple[str, ...]] = {
    "zip-times": ("time",),
    "zip-host-system": ("host", "external"),
    "zip-regular-bit": ("external",),
    "zip-umask-modes": ("external",),
    "zip-versions": ("made", "needed"),
    "zip-flags": ("flags", "descriptor"),
    "zip-text-hint": ("internal",),
    "zip-compression": ("flags", "method", "deflate"),
    "zip-order": ("order", "rank"),
    "wheel-record-order": ("lines", "flags", "method", "deflate"),
}
"""By normalisation, the fields that are recorded for it. What is not here is never written."""

_WIDTHS = {
    "time": 32, "host": 8, "external": 32, "made": 8, "needed": 16, "flags": 16, "internal": 16, "method": 16
}  # fmt: skip
_STREAMED = (("crc", 0), ("csize", 0), ("usize", 0))
"""What a local header has in place of what follows in a data descriptor."""
_STORED, _DEFLATED = 0, 8


class _Data(NamedTuple):
    """Data of a member as they stand in a file."""

    raw_name: bytes
    raw: bytes
    crc: int


class _Packed(NamedTuple):
    """A member as it is to be written."""

    member: ZipMember
    raw: bytes
    crc: int


def record(published: tuple[str, ZipArchive], rebuilt: tuple[str, ZipArchive], names: list[str]) -> dict[str, Any]:
    """Record the named kinds of metadata of ``published`` for the members of ``rebuilt``.

    Raises:
        UnwritableError: something about the published archive is not of a form that is written here.
    """
    _plain(published[1])
    _plain(rebuilt[1])
    place = {each.raw_name: index for index, each in enumerate(published[1].members)}
    if len(place) != len(rebuilt[1].members) or {each.raw_name for each in rebuilt[1].members} != set(place):
        raise UnwritableError("the members have not the same names, each once")
    order = [place[each.raw_name] for each in rebuilt[1].members]
    theirs = [published[1].members[index] for index in order]
    wanted = {each.raw_name: each for each in _data(published[0])}
    goal = [wanted[each.raw_name] for each in rebuilt[1].members]
    pieces = [_Piece(each.method, found) for each, found in zip(rebuilt[1].members, _data(rebuilt[0]))]  # noqa: B905
    lines: list[list[int] | None] = [None] * len(pieces)
    if "wheel-record-order" in names:
        for index, (piece, their, data) in enumerate(zip(pieces, theirs, goal)):  # noqa: B905
            if their.lines is not None and their.sha256 != rebuilt[1].members[index].sha256:
                lines[index] = _line_order(_content(data.raw, their.method), piece.content)
                pieces[index] = piece.with_lines(lines[index])

    def column(field: str) -> list[Any]:
        if field == "order":
            return order
        if field == "descriptor":
            return [[*each.descriptor, bool(each.odd)] if each.descriptor else None for each in theirs]
        if field == "deflate":
            return _deflates(goal, theirs, pieces)
        if field == "lines":
            return lines
        return [getattr(each, field) for each in theirs]

    values = {name: {field: column(field) for field in FIELDS[name]} for name in names}
    return {"format": "zip", "members": len(theirs), "values": values}


def write(path: str, archive: ZipArchive, document: dict[str, Any], out: BinaryIO) -> None:
    """Write the rebuilt archive anew, with what was recorded.

    Raises:
        UnwritableError: the document is no such record, or not of this archive.
    """
    _plain(archive)
    members = list(archive.members)
    pieces = [_Piece(each.method, found) for each, found in zip(members, _data(path))]  # noqa: B905
    count = len(members)
    order, packing = list(range(count)), [None] * count
    for name, fields in document["values"].items():
        if name not in FIELDS or set(fields) != set(FIELDS[name]):
            raise UnwritableError(f"{name!r} is not recorded in this form")
        for field, values in fields.items():
            if not isinstance(values, list) or len(values) != count:
                raise UnwritableError(f"{name!r} does not have a value for each of {count} members")
            if field == "order":
                order = _permutation(values)
            elif field == "rank":
                members = [each._replace(rank=rank) for each, rank in zip(members, _permutation(values))]  # noqa: B905
            elif field == "deflate":
                packing = values
            elif field == "lines":
                pieces = [each.with_lines(value) for each, value in zip(pieces, values)]  # noqa: B905
            elif field == "descriptor":
                members = [_described(each, value) for each, value in zip(members, values)]  # noqa: B905
            else:
                members = [_with(each, field, value) for each, value in zip(members, values)]  # noqa: B905
    packed = [
        _Packed(each, _repacked(piece, each.method, settings), piece.data.crc)
        for each, piece, settings in zip(members, pieces, packing)  # noqa: B905
    ]
    directory = [packed[index] for _, index in sorted(zip(order, range(count)))]  # noqa: B905
    _serialise(directory, archive.comment, out)


def _plain(archive: ZipArchive) -> None:
    """Refuse what a writer of wheels never leaves: stray bytes, ZIP64 records, fields that contradict each other."""
    stray = (archive.prefix, archive.shift, archive.before_directory, archive.directory_tail, archive.zip64_end)
    if any(stray) or archive.end_odd or archive.trailing:
        raise UnwritableError("the archive has bytes that are in no member")
    for each in archive.members:
        blocks = (*each.extra, *each.local_extra)
        if (
            any(not isinstance(data, bytes) or kind < 0 for kind, data in blocks)
            or each.slack
            or each.gap
            or (each.descriptor and each.descriptor[1] != 4)
        ):
            raise UnwritableError(f"the member {each.name!r} is of a form that is not written here")
        if each.odd and (each.descriptor is None or not set(each.odd) <= set(_STREAMED)):
            raise UnwritableError(f"the headers of the member {each.name!r} contradict each other")


def _data(path: str) -> list[_Data]:
    """Data of every member, in the order of the directory."""
    with open(path, "rb") as file:
        source = ZipSource(file.fileno())
        headers, _ = read_directory(source, read_end(source))
        found = []
        for each in headers:
            local = read_local(source, each.offset, "a member")
            found.append(_Data(each.name, source.at(each.offset + local.length, each.csize, "a member"), each.crc))
        return found


def _content(raw: bytes, method: int) -> bytes:
    if method == _STORED:
        return raw
    if method == _DEFLATED:
        try:
            return zlib.decompress(raw, -15)
        except zlib.error as error:
            raise UnreadableError(f"A member does not decompress ({error}).") from error
    raise UnwritableError(f"compression method {method} is not written here")


class _Piece(NamedTuple):
    """Data of a member of the rebuilt archive, as they are to be written."""

    method: int
    data: _Data

    @property
    def content(self) -> bytes:
        return _content(self.data.raw, self.method)

    def with_lines(self, order: Any) -> _Piece:
        """The lines of the content in another order, not compressed; the same piece without one."""
        if order is None:
            return self
        lines = self.content.split(b"\n")
        if not isinstance(order, list) or len(order) != len(lines):
            raise UnwritableError("an order of lines is of another file")
        content = b"\n".join([lines[index] for index in _permutation(order)])
        return _Piece(_STORED, _Data(self.data.raw_name, content, zlib.crc32(content)))


def _line_order(published: bytes, rebuilt: bytes) -> list[int]:
    """For each line of one text its place in the other, which has the same lines."""
    places: dict[bytes, list[int]] = {}
    for index, line in reversed(list(enumerate(rebuilt.split(b"\n")))):
        places.setdefault(line, []).append(index)
    lines = published.split(b"\n")
    if sorted(lines) != sorted(rebuilt.split(b"\n")):
        raise UnwritableError("the lines of a RECORD are not the same")
    return [places[line].pop() for line in lines]


def _deflates(goal: list[_Data], theirs: list[ZipMember], pieces: list[_Piece]) -> list[list[int] | None]:
    """Settings by member; None where it is stored, or its data is the same on both sides."""
    search = DeflateSearch()
    settings: list[list[int] | None] = []
    for wanted, their, piece in zip(goal, theirs, pieces):  # noqa: B905
        if their.method == _STORED or (their.method == piece.method and wanted.raw == piece.data.raw):
            settings.append(None)
            continue
        if their.method != _DEFLATED:
            raise UnwritableError(f"{their.name!r} is compressed by method {their.method}, which is not written here")
        found = search.find(piece.content, wanted.raw)
        if found is None:
            raise UnwritableError(f"no settings of zlib give the compressed bytes of {their.name!r}")
        settings.append(list(found))
    return settings


def _repacked(piece: _Piece, method: int, settings: Any) -> bytes:
    if settings is not None:
        found = Deflate(*(_whole(each, 8) for each in settings)) if len(settings) == 3 else None
        if method != _DEFLATED or found is None or not found.valid():
            raise UnwritableError("settings of zlib are not of the set that is tried")
        return found.packed(piece.content)
    if method not in {piece.method, _STORED}:
        raise UnwritableError(f"compression method {method} is not written here")
    return piece.data.raw if method == piece.method else piece.content


def _with(member: ZipMember, field: str, value: Any) -> ZipMember:
    fields: dict[str, Any] = {field: _whole(value, _WIDTHS[field])}
    return member._replace(**fields)


def _described(member: ZipMember, value: Any) -> ZipMember:
    """The member with a data descriptor in the given form, its local header then perhaps without sizes; or none."""
    if value is None:
        return member._replace(descriptor=None, odd=())
    if not isinstance(value, list) or len(value) != 3 or value[1] != 4:
        raise UnwritableError("a data descriptor is of a form that is not written here")
    return member._replace(descriptor=(bool(value[0]), 4), odd=_STREAMED if value[2] else ())


def _permutation(values: list[Any]) -> list[int]:
    if any(type(each) is not int for each in values) or sorted(values) != list(range(len(values))):
        raise UnwritableError("an order does not name every member once")
    return values


def _whole(value: Any, width: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << width:
        raise UnwritableError(f"{value!r} is no number of {width} bits")
    return value


def _serialise(directory: list[_Packed], comment: bytes, out: BinaryIO) -> None:
    """Local headers and data by rank, then the directory (APPNOTE 4.3.7, 4.3.9, 4.3.12, 4.3.16)."""
    offsets: dict[bytes, int] = {}
    at = 0
    for member, raw, crc in sorted(directory, key=lambda each: each.member.rank):
        offsets[member.raw_name] = at
        sizes = (0, 0, 0) if member.odd else (crc, len(raw), member.size)
        extra = _blocks(member.local_extra)
        head = struct.pack("<4s5H3L2H", LOCAL, *_common(member), *sizes, len(member.raw_name), len(extra))
        tail = b""
        if member.descriptor is not None:
            signature = DESCRIPTOR if member.descriptor[0] else b""
            tail = signature + struct.pack("<LLL", crc, len(raw), member.size)
        for piece in (head, member.raw_name, extra, raw, tail):
            out.write(piece)
            at += len(piece)
    start = at
    for member, raw, crc in directory:
        extra = _blocks(member.extra)
        head = struct.pack(
            "<4sBB5H3L5H2L",
            *(CENTRAL, member.made, member.host, *_common(member), crc, len(raw), member.size),
            *(len(member.raw_name), len(extra), len(member.comment), 0, member.internal, member.external),
            offsets[member.raw_name],
        )
        for piece in (head, member.raw_name, extra, member.comment):
            out.write(piece)
            at += len(piece)
    if at >= FULL32 or len(directory) >= FULL16:
        raise UnwritableError("the archive is too large to be written here")
    count = len(directory)
    out.write(struct.pack("<4s4H2LH", END, 0, 0, count, count, at - start, start, len(comment)) + comment)


def _common(member: ZipMember) -> tuple[int, int, int, int, int]:
    return member.needed, member.flags, member.method, member.time & 0xFFFF, member.time >> 16


def _blocks(blocks: tuple[tuple[int, Any], ...]) -> bytes:
    return b"".join(struct.pack("<HH", kind, len(data)) + data for kind, data in blocks)
