"""What of a tar.gz file's metadata can be recorded from one archive and written into another with the same content.

A record is ``{"format": "tar.gz", "members": COUNT, "values": {NORMALISATION: {FIELD: value}}}``; values by member are
counted as the rebuilt archive lists them. The rebuilt archive is changed in place, header by header: contents, names
and everything no normalisation of that name sets aside stay as they are.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import Any, BinaryIO, NamedTuple

from rebuilder.programs.archive.deflate_search import Deflate, DeflateSearch, gzip_content, gzip_stream
from rebuilder.programs.archive.reading import UnwritableError
from rebuilder.programs.archive.stream import GzipHeader
from rebuilder.programs.archive.tar import (
    BLOCK,
    FULL_RECORD,
    RECORD,
    Number,
    TarArchive,
    TarHeader,
    TarMember,
    parse_header,
    written_number,
)

FIELDS: dict[str, tuple[str, ...]] = {
    "tar-times": ("mtime", "pax"),
    "tar-owners": ("uid", "gid", "uname", "gname"),
    "tar-umask-modes": ("mode",),
    "tar-order": ("order",),
    "tar-padding": ("zeros",),
    "gzip-header": ("mtime", "system", "text", "name"),
    "gzip-compression": ("level", "deflate"),
}
"""By normalisation, the fields that are recorded for it. What is not here is never written."""

_PLACES = {"mode": (100, 8), "uid": (108, 8), "gid": (116, 8), "mtime": (136, 12)}
_NAMES = {"uname": 265, "gname": 297}
_TIME = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,9})?")
_NUMBER_STYLES = range(10)


class _Chunk(NamedTuple):
    """A member of the rebuilt archive: its headers and data."""

    lead: bytes
    """Headers of GNU tar with a long name."""
    pax: bytes | None
    """The block of its pax header."""
    records: tuple[tuple[bytes, bytes], ...]
    header: bytes
    data: bytes


def record(published: tuple[str, TarArchive], rebuilt: tuple[str, TarArchive], names: list[str]) -> dict[str, Any]:
    """Record the named kinds of metadata of ``published`` for the members of ``rebuilt``; see ``replay_zip.record``.

    Raises:
        UnwritableError: something about the published archive is not of a form that is written here.
    """
    _plain(published[1])
    _plain(rebuilt[1])
    place = {(each.raw_name, each.kind): index for index, each in enumerate(published[1].members)}
    keys = [(each.raw_name, each.kind) for each in rebuilt[1].members]
    if len(place) != len(keys) or set(keys) != set(place):
        raise UnwritableError("the members have not the same names, each once")
    order = [place[key] for key in keys]
    theirs = [published[1].members[index] for index in order]
    values: dict[str, dict[str, Any]] = {}
    for name in names:
        if name == "tar-order":
            values[name] = {"order": order}
        elif name == "tar-padding":
            values[name] = {"zeros": published[1].end_zeros}
        elif name == "gzip-header":
            header = _gzip_header(published[1])
            values[name] = {
                **{field: getattr(header, field) for field in ("mtime", "system", "text")},
                "name": None if header.name is None else header.name.hex(),
            }
        elif name == "gzip-compression":
            values[name] = {"level": _gzip_header(published[1]).level, "deflate": _deflate(published[0])}
        else:
            values[name] = {field: [_value(each, field) for each in theirs] for field in FIELDS[name]}
    return {"format": "tar.gz", "members": len(theirs), "values": values}


def write(path: str, archive: TarArchive, document: dict[str, Any], out: BinaryIO) -> None:
    """Write the rebuilt archive anew, with what was recorded; see ``replay_zip.write``.

    Raises:
        UnwritableError: the document is no such record, or not of this archive.
    """
    _plain(archive)
    chunks, count = _chunks(gzip_content(path)), len(archive.members)
    if len(chunks) != count:
        raise UnwritableError("the members cannot be told apart")
    order, zeros = list(range(count)), archive.end_zeros
    gzip_header, deflate = _gzip_header(archive), None
    for name, fields in document["values"].items():
        if name not in FIELDS or set(fields) != set(FIELDS[name]):
            raise UnwritableError(f"{name!r} is not recorded in this form")
        if name == "tar-order":
            order = _by_member(fields["order"], count)
            if any(type(each) is not int for each in order) or sorted(order) != list(range(count)):
                raise UnwritableError("an order does not name every member once")
        elif name == "tar-padding":
            zeros = fields["zeros"]
        elif name == "gzip-header":
            gzip_header = _header(gzip_header, fields)
        elif name == "gzip-compression":
            gzip_header = gzip_header._replace(level=_byte(fields["level"]))
            deflate = fields["deflate"]
        else:
            columns = [_by_member(fields[field], count) for field in FIELDS[name]]
            chunks = [_changed(each, name, row) for each, row in zip(chunks, zip(*columns))]  # noqa: B905
    tar = b"".join(_bytes(chunks[index]) for _, index in sorted(zip(order, range(count))))  # noqa: B905
    tar += bytes(_zeros(zeros, len(tar)))
    settings = Deflate(*map(_byte, deflate)) if isinstance(deflate, list) and len(deflate) == 3 else None
    if settings is None or not settings.valid():
        if "gzip-compression" in document["values"]:
            raise UnwritableError("settings of zlib are not of the set that is tried")
        stream = gzip_stream(path)
    else:
        stream = settings.packed(tar)
    out.write(_gzip(gzip_header) + stream + struct.pack("<LL", zlib.crc32(tar), len(tar) & 0xFFFFFFFF))


def _plain(archive: TarArchive) -> None:
    compression = archive.compression
    if compression is None or compression.kind != "gz" or len(compression.streams) != 1:
        raise UnwritableError("the archive is not one gzip stream")
    header = _gzip_header(archive)
    if compression.trailing or archive.trailing or archive.globals:
        raise UnwritableError("the archive has bytes that are in no member")
    if header.extra is not None or header.comment is not None or header.checked or header.text:
        raise UnwritableError("the gzip header is of a form that is not written here")
    for each in archive.members:
        if each.padding or each.written is None or len(each.written[1]) > 1:
            raise UnwritableError(f"the member {each.name!r} is of a form that is not written here")


def _gzip_header(archive: TarArchive) -> GzipHeader:
    header = archive.compression.streams[0].header if archive.compression else None
    if header is None:
        raise UnwritableError("the archive is not one gzip stream")
    return header


def _value(member: TarMember, field: str) -> Any:
    header, extensions = _written(member)
    if field == "pax":
        times = [value for each in extensions for key, value, _ in each.records if key == b"mtime"]
        return times[0].decode("ascii", "replace") if times else None
    found = getattr(header, field)
    if isinstance(found, Number):
        if type(found.style) is not int:
            raise UnwritableError(f"a number of the member {member.name!r} is of a form that is not written here")
        return [found.value & 0o666, found.style] if field == "mode" else list(found)
    if found.rest:
        raise UnwritableError(f"a name in the headers of {member.name!r} is of a form that is not written here")
    return found.value.hex()


def _written(member: TarMember) -> tuple[TarHeader, Any]:
    if member.written is None:
        raise UnwritableError(f"the member {member.name!r} is of a form that is not written here")
    return member.written


def _changed(chunk: _Chunk, name: str, row: tuple[Any, ...]) -> _Chunk:
    block = bytearray(chunk.header)
    records, pax = chunk.records, chunk.pax
    for field, value in zip(FIELDS[name], row):  # noqa: B905
        if field == "pax":
            records = tuple(each for each in records if each[0] != b"mtime")
            if value is not None:
                if not isinstance(value, str) or not _TIME.fullmatch(value):
                    raise UnwritableError("a time is no number of seconds")
                records = (*records, (b"mtime", value.encode("ascii")))
        elif field in _NAMES:
            text = bytes.fromhex(value)
            if len(text) > 31 or b"\0" in text:
                raise UnwritableError("the name of a user is too long")
            block[_NAMES[field] : _NAMES[field] + 32] = text.ljust(32, b"\0")
        else:
            at, width = _PLACES[field]
            number, style = value
            if type(number) is not int or style not in _NUMBER_STYLES or not 0 <= number < 1 << 63:
                raise UnwritableError(f"{value!r} is no number of a tar header")
            if field == "mode":  # who may run a file, and what kind it is, is the rebuilt archive's
                number |= parse_header(bytes(block)).mode.value & ~0o666
            block[at : at + width] = _field(Number(number, style), width)
    return chunk._replace(header=_summed(block), records=records, pax=pax if records else None)


def _field(number: Number, width: int) -> bytes:
    field = written_number(number, width)
    if len(field) != width:
        raise UnwritableError(f"{number.value} does not fit into a tar header")
    return field


def _summed(block: bytearray) -> bytes:
    style = _sum_style(bytes(block[148:156]))
    block[148:156] = b" " * 8
    block[148:156] = _field(Number(sum(block), style), 8)
    return bytes(block)


def _sum_style(field: bytes) -> int:
    """Index of the way in which a checksum is written.

    Raises:
        UnwritableError: it is none of the known ones.
    """
    digits = field.split(b"\0", 1)[0].strip(b" ")
    value = int(digits, 8) if digits and not digits.strip(b"01234567") else -1
    for style in _NUMBER_STYLES:
        if value >= 0 and written_number(Number(value, style), 8) == field:
            return style
    raise UnwritableError("a checksum is of a form that is not written here")


def _bytes(chunk: _Chunk) -> bytes:
    if not chunk.records:
        return chunk.lead + chunk.header + chunk.data
    data = b"".join(_pax_record(key, value) for key, value in chunk.records)
    if chunk.pax is None:  # as Python's tarfile writes it
        block = bytearray(BLOCK)
        block[0:18] = b"././@PaxHeader\0\0\0\0"
        for at, width in _PLACES.values():
            block[at : at + width] = b"%0*o\0" % (width - 1, 0)
        block[148:156] = b"%06o\0 " % 0
        block[156:157] = b"x"
        block[257:265] = chunk.header[257:265]
        block[329:345] = chunk.header[329:345]
    else:
        block = bytearray(chunk.pax)
    style = _sum_style(bytes(block[148:156]))
    block[124:136] = b"%011o\0" % len(data)
    block[148:156] = b" " * 8
    block[148:156] = _field(Number(sum(block), style), 8)
    return bytes(block) + data + bytes(-len(data) % BLOCK) + chunk.lead + chunk.header + chunk.data


def _pax_record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    length = size + len(str(size))
    if len(str(length)) > len(str(size)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)


def _chunks(tar: bytes) -> list[_Chunk]:
    """The members of a tar archive whose headers were found plain."""
    found, at, lead = [], 0, b""
    pax: bytes | None = None
    records: tuple[tuple[bytes, bytes], ...] = ()
    while any(block := tar[at : at + BLOCK]):
        header = parse_header(block)
        at += BLOCK
        if header.type == b"x" and pax is None:
            records = _pax_records(tar[at : at + header.size.value])
            pax, at = block, at + header.size.value + -header.size.value % BLOCK
            continue
        if header.type in {b"L", b"K"}:
            end = at + header.size.value + -header.size.value % BLOCK
            lead, at = lead + block + tar[at:end], end
            continue
        if header.type not in {b"0", b"\0", b"1", b"2", b"5"} or any(key == b"size" for key, _ in records):
            raise UnwritableError("a member is of a form that is not written here")
        size = header.size.value if header.type in {b"0", b"\0"} else 0
        end = at + size + -size % BLOCK
        found.append(_Chunk(lead, pax, records, block, tar[at:end]))
        at, lead, pax, records = end, b"", None, ()
    return found


def _pax_records(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    found, at = [], 0
    while at < len(data):
        length = int(data[at : data.index(b" ", at)])
        key, _, value = data[data.index(b" ", at) + 1 : at + length - 1].partition(b"=")
        if data[at : at + length] != _pax_record(key, value):
            raise UnwritableError("a pax header is of a form that is not written here")
        found.append((key, value))
        at += length
    return tuple(found)


def _zeros(zeros: Any, size: int) -> int:
    if zeros == FULL_RECORD:
        return 2 * BLOCK + -(size + 2 * BLOCK) % RECORD
    if type(zeros) is not int or not 0 <= zeros <= 1 << 20:
        raise UnwritableError("the padding at the end is out of proportion")
    return zeros


def _header(before: GzipHeader, fields: dict[str, Any]) -> GzipHeader:
    mtime, name = fields["mtime"], fields["name"]
    if type(mtime) is not int or not 0 <= mtime < 1 << 32 or fields["text"] is not False:
        raise UnwritableError("the gzip header is of a form that is not written here")
    raw = None if name is None else bytes.fromhex(name)
    if raw is not None and (len(raw) > 255 or b"\0" in raw):
        raise UnwritableError("the file name in the gzip header is too long")
    return before._replace(mtime=mtime, system=_byte(fields["system"]), name=raw)


def _gzip(header: GzipHeader) -> bytes:
    name = b"" if header.name is None else header.name + b"\0"
    return struct.pack("<2sBBLBB", b"\x1f\x8b", 8, 8 if name else 0, header.mtime, header.level, header.system) + name


def _byte(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 256:
        raise UnwritableError(f"{value!r} is no byte")
    return value


def _by_member(values: Any, count: int) -> list[Any]:
    if not isinstance(values, list) or len(values) != count:
        raise UnwritableError(f"there is not a value for each of {count} members")
    return values


def _deflate(path: str) -> list[int]:
    found = DeflateSearch().find(gzip_content(path), gzip_stream(path))
    if found is None:
        raise UnwritableError("no settings of zlib give its compressed bytes")
    return list(found)
