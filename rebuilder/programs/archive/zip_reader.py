"""Reads a ZIP file into a value, trusting nothing it says about itself."""

from __future__ import annotations

import bz2
import csv
import hashlib
import io
import lzma
import os
import struct
import zlib
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
    shown,
    stretch,
)
from rebuilder.programs.archive.zip import METHODS, ZipArchive, ZipMember, dos_seconds, member_kind
from rebuilder.programs.archive.zip_records import (
    DESCRIPTOR,
    DESCRIPTOR_FLAG,
    FULL32,
    ZIP64_EXTRA,
    CentralHeader,
    LocalHeader,
    ZipSource,
    has_signature,
    read_directory,
    read_end,
    read_local,
    split_extra,
)

_LINK_BYTES = 4096
_RECORD_BYTES = 16 << 20
_CODE_BYTES = 16
_PYTHON_2, _PYTHON_37 = 20000, 3390
"""Magic numbers of byte code: the first of Python 2, which are the largest, and of 3.7."""


class _Sizes(NamedTuple):
    csize: int
    usize: int
    offset: int


class _Placed(NamedTuple):
    """A member with its place in the file."""

    position: int
    central: CentralHeader
    extra: tuple[tuple[int, Any], ...]
    sizes: _Sizes
    odd: dict[str, Any]


def read_zip(file: BinaryIO, keep: Keep, *, raw: bool, receive: Receive | None = None) -> Reading:
    """Read a whole ZIP file; damage ends up in ``problems``, never in an exception.

    The arguments are those of :func:`~rebuilder.programs.archive.opening.read_archive`.
    """
    reader = _Reader(ZipSource(file.fileno()), keep, receive, raw=raw)
    try:
        archive = reader.archive()
    except UnreadableError as error:
        members = tuple(reader.members[index] for index in sorted(reader.members))
        partial = ZipArchive(members, None, 0, None, None, None, (), b"", None)
        problems = (str(error), *dangers(members), *reader.problems)
        return Reading("zip", partial, problems, readable=False, contents=reader.contents)
    problems = (*dangers(archive.members), *reader.problems)
    return Reading("zip", archive, problems, readable=True, contents=reader.contents)


class _Reader:
    def __init__(self, source: ZipSource, keep: Keep, receive: Receive | None, *, raw: bool) -> None:
        self._source = source
        self._budget = Budget(source.size)
        self._keep = keep
        self._receive = receive
        self._raw = raw
        self.members: dict[int, ZipMember] = {}
        self.problems: list[str] = []
        self.contents: dict[int, bytes] = {}

    def archive(self) -> ZipArchive:
        end = read_end(self._source)
        headers, tail = read_directory(self._source, end)
        directory_at = end.start - end.directory_size
        shift = directory_at - end.directory_offset
        if shift < 0:
            raise UnreadableError("It is damaged: its central directory is not where the end record says.")
        placed = [self._place(index, header, shift) for index, header in enumerate(headers)]
        at = 0
        prefix = None
        for rank, each in enumerate(sorted(placed, key=lambda each: each.sizes.offset)):
            if each.sizes.offset < at:
                raise UnreadableError(f"Members overlap at “{shown(_name(each.central))}” (a bomb?).")
            gap = self._stretch(at, each.sizes.offset)
            at = self._member(each, rank, gap if rank else None, directory_at)
            prefix = prefix if rank else gap
        if at > directory_at:
            raise UnreadableError("A member overlaps the central directory.")
        return ZipArchive(
            members=tuple(self.members[index] for index in range(len(headers))),
            prefix=prefix,
            shift=shift,
            before_directory=self._stretch(at, directory_at),
            directory_tail=stretch(tail),
            zip64_end=end.zip64,
            end_odd=end.odd,
            comment=end.comment,
            trailing=self._stretch(self._source.size - end.trailing, self._source.size),
        )

    def _place(self, index: int, central: CentralHeader, shift: int) -> _Placed:
        self._budget.member()
        extra, wide, plain = _widen(split_extra(central.extra), central)
        sizes = _Sizes(
            csize=wide.get("csize", central.csize),
            usize=wide.get("usize", central.usize),
            offset=wide.get("offset", central.offset) + shift,
        )
        odd: dict[str, Any] = {f"central {name}": FULL32 for name in wide if getattr(central, name) == FULL32}
        if not plain:
            odd["ZIP64 block"] = True
        if central.disk:
            odd["disk"] = central.disk
        return _Placed(index, central, extra, sizes, odd)

    def _member(self, placed: _Placed, rank: int, gap: Stretch | None, directory_at: int) -> int:
        """Read one member; gives the position after it."""
        central, sizes = placed.central, placed.sizes
        name = _name(central)
        what = f"the member “{shown(name)}”"
        local = read_local(self._source, sizes.offset, what)
        self._budget.header(local.length)
        data_at = sizes.offset + local.length
        if data_at + sizes.csize > directory_at:
            raise UnreadableError(f"It is damaged: {what} reaches into the central directory.")
        local_extra, wide, plain = _widen(split_extra(local.extra), local)
        kind = member_kind(central.name, central.host, central.external)
        entry = Entry(name, kind, bool(central.external >> 16 & 0o111), float(dos_seconds(central.time)), "")
        into = self._receive(entry) if self._receive is not None and kind == "file" else None
        content = self._content(placed, data_at, what, into)
        if into is not None:
            into.close()
        elif self._receive is not None:
            self._receive(entry._replace(link=os.fsdecode(content.head[:_LINK_BYTES])))
        descriptor, end = self._descriptor(central, sizes, data_at + sizes.csize, directory_at)
        odd = dict(placed.odd, **_disagreements(central, local, sizes, wide))
        if content.headers:
            odd["headers in data"] = True
        if central.flags & DESCRIPTOR_FLAG and central.method and not sizes.csize:
            odd["no data"] = True
        if not plain:
            odd["ZIP64 block"] = True
        self.members[placed.position] = ZipMember(
            name=name,
            raw_name=central.name,
            kind=kind,
            size=sizes.usize,
            sha256=content.sha256,
            link=content.head[:_LINK_BYTES].decode("utf-8", "backslashreplace") if kind == "symlink" else None,
            lines=_lines(content.head) if is_record(name) else None,
            time=central.time,
            host=central.host,
            made=central.made,
            needed=central.needed,
            flags=central.flags,
            method=central.method,
            internal=central.internal,
            external=central.external,
            extra=placed.extra,
            local_extra=local_extra,
            comment=central.comment,
            odd=tuple(sorted(odd.items())),
            descriptor=descriptor,
            raw=content.raw,
            slack=content.slack,
            gap=gap,
            rank=rank,
            stamp=_stamp(content.head) if name.endswith(".pyc") else None,
        )
        return end

    def _content(self, placed: _Placed, at: int, what: str, into: IO[bytes] | None) -> Content:
        central, sizes = placed.central, placed.sizes
        if central.flags & 1:
            raise UnreadableError(f"It cannot be read: {what} is encrypted.")
        if sizes.usize > MEMBER_BYTES:
            raise UnreadableError(f"It is too large: {what} claims {sizes.usize:,} bytes; at most {MEMBER_BYTES:,}.")
        name = _name(central)
        wanted = self._keep(placed.position, name)
        head_bytes = max(wanted, _CODE_BYTES, _RECORD_BYTES if is_record(name) else 0)
        if member_kind(central.name, central.host, central.external) == "symlink":
            head_bytes = max(head_bytes, _LINK_BYTES)
        sink = Sink(head_bytes, sizes.usize, self._budget, what, into)
        raw_digest = hashlib.sha256() if self._raw and sizes.csize else None
        stream = _decompressor(central.method, what)
        slack = hashlib.sha256()
        slack_size = 0
        left = sizes.csize
        unending = central.method == 0 and central.flags & DESCRIPTOR_FLAG
        before, headers = b"", False
        while left:
            chunk = self._source.at(at, min(left, CHUNK), what)
            if unending:
                headers = headers or has_signature(before + chunk)
                before = chunk[-3:]
            at += len(chunk)
            left -= len(chunk)
            if raw_digest:
                raw_digest.update(chunk)
            try:
                rest = stream.feed(chunk, sink)
            except FAULTS as error:
                raise UnreadableError(f"It is damaged: {what} does not decompress ({error}).") from error
            slack.update(rest)
            slack_size += len(rest)
        if not stream.finished(sizes.csize) or sink.size != sizes.usize or sink.crc != central.crc:
            raise UnreadableError(f"It is damaged: {what} does not have the size or checksum the directory gives.")
        if wanted:
            self.contents[placed.position] = bytes(sink.head[:wanted])
        return Content(
            sha256=sink.sha256.hexdigest(),
            head=bytes(sink.head),
            raw=Stretch(sizes.csize, raw_digest.hexdigest()) if raw_digest else None,
            slack=Stretch(slack_size, slack.hexdigest()) if slack_size else None,
            headers=headers,
        )

    def _descriptor(
        self, central: CentralHeader, sizes: _Sizes, at: int, limit: int
    ) -> tuple[tuple[bool, int] | None, int]:
        if not central.flags & DESCRIPTOR_FLAG:
            return None, at
        data = self._source.at(at, min(28, limit - at), "a data descriptor")
        fits: list[tuple[tuple[bool, int] | None, int]] = []
        for signature in (DESCRIPTOR, b""):
            for width, form in ((4, "<LLL"), (8, "<LQQ")):
                if width == 4 and max(sizes.csize, sizes.usize) > FULL32:
                    continue
                expected = signature + struct.pack(form, central.crc, sizes.csize, sizes.usize)
                if data.startswith(expected):
                    fits.append(((bool(signature), width), at + len(expected)))
        # The short form of an empty member is the beginning of the long one: the right one has a header behind it.
        behind = [each for each in fits if each[1] == limit or data[each[1] - at :].startswith(b"PK")]
        return (behind or fits or [(None, at)])[0]

    def _stretch(self, start: int, end: int) -> Stretch | None:
        if end <= start:
            return None
        digest = hashlib.sha256()
        for at in range(start, end, CHUNK):
            digest.update(self._source.at(at, min(CHUNK, end - at), "a gap"))
        return Stretch(end - start, digest.hexdigest())


def is_record(name: str) -> bool:
    """Whether a member is the RECORD of a wheel (PyPA "Recording installed projects")."""
    return name.count("/") == 1 and name.endswith(".dist-info/RECORD")


def _lines(content: bytes) -> str | None:
    """Digest of the sorted lines of a RECORD, if their order says nothing: each is one row, about a file of its own."""
    if len(content) >= _RECORD_BYTES:
        return None
    lines = content.split(b"\n")
    try:
        text = content.decode("utf-8")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except (UnicodeDecodeError, csv.Error):
        return None
    names = {row[0] for row in rows}
    filled = sum(bool(line.strip(b"\r")) for line in lines)
    # A byte order mark belongs to the row it stands in for some readers, and to the file for others.
    whole = "\ufeff" not in text and len(text.splitlines()) == len(rows) == len(names) == filled
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest() if whole else None


def _stamp(head: bytes) -> tuple[int, int | None] | None:
    """Time and size of the source from the head of byte code (PEP 552, PEP 3147); None where it goes by a hash."""
    magic = int.from_bytes(head[:2], "little")
    if len(head) < 8 or head[2:4] != b"\r\n":
        return None
    if magic >= _PYTHON_2:
        return int.from_bytes(head[4:8], "little"), None
    if magic < _PYTHON_37:
        return int.from_bytes(head[4:8], "little"), int.from_bytes(head[8:12], "little")
    if any(head[4:8]):
        return None
    return int.from_bytes(head[8:12], "little"), int.from_bytes(head[12:16], "little")


def _name(central: CentralHeader) -> str:
    # Without the flag the specification says code page 437, in which every byte is a character (APPNOTE 4.4.4, D.1).
    return central.name.decode("utf-8", "backslashreplace") if central.flags & 0x800 else central.name.decode("cp437")


def _widen(
    blocks: tuple[tuple[int, bytes], ...], header: CentralHeader | LocalHeader
) -> tuple[tuple[tuple[int, Any], ...], dict[str, int], bool]:
    """Take the ZIP64 block apart.

    Gives the blocks, with field names in place of its numbers; those numbers; and whether all that it holds agrees.
    """
    order = [name for name in ("usize", "csize", "offset") if hasattr(header, name)]
    fields = [name for name in order if getattr(header, name) == FULL32]
    wide: dict[str, int] = {}
    result: list[tuple[int, Any]] = []
    wides = [data for kind, data in blocks if kind == ZIP64_EXTRA]
    for kind, data in blocks:
        if kind == ZIP64_EXTRA and not wide and fields and len(data) >= 8 * len(fields):
            wide = dict(zip(fields, struct.unpack_from(f"<{len(fields)}Q", data)))  # noqa: B905 - Python 3.9
            result.append((kind, (tuple(fields), data[8 * len(fields) :])))
        else:
            result.append((kind, data))
    truth = struct.pack(f"<{len(order)}QL", *(wide.get(name, getattr(header, name)) for name in order), 0)
    plain = all(len(data) == 8 * len(fields) or truth.startswith(data) for data in wides) and len(wides) < 2
    return tuple(result), wide, plain and (bool(wides) or not fields)


def _disagreements(central: CentralHeader, local: LocalHeader, sizes: _Sizes, wide: dict[str, int]) -> dict[str, Any]:
    """Fields of the local header that do not say what the directory says."""
    odd: dict[str, Any] = {}
    for field in ("needed", "flags", "method", "time", "crc", "name"):
        if getattr(local, field) != getattr(central, field):
            odd[field] = getattr(local, field)
    for field in ("csize", "usize"):
        if getattr(local, field) != getattr(sizes, field):
            odd[field] = getattr(local, field)
        if field in wide and wide[field] != getattr(sizes, field):
            odd[f"wide {field}"] = wide[field]
    return odd


FAULTS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, struct.error)
"""What decompressors raise for damaged data."""


class Content(NamedTuple):
    """What was found in the data of a member."""

    sha256: str
    head: bytes
    raw: Stretch | None
    slack: Stretch | None
    headers: bool
    """There are signatures of ZIP structures in stored data whose end only those can show."""


class Sink:
    """Where decompressed bytes go: counted, hashed, and their beginning kept."""

    def __init__(
        self, head_bytes: int, expected: int, budget: Budget, what: str, into: IO[bytes] | None = None
    ) -> None:
        self.sha256 = hashlib.sha256()
        self.crc = 0
        self.size = 0
        self.head = bytearray()
        self._head_bytes = head_bytes
        self._expected = expected
        self._budget = budget
        self._what = what
        self._into = into

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            UnreadableError: there are more than the directory gives, or more than is read at all.
        """
        self.size += len(data)
        if self.size > self._expected:
            raise UnreadableError(f"It is damaged: {self._what} has more bytes than the directory gives (a bomb?).")
        self._budget.content(len(data))
        self.sha256.update(data)
        self.crc = zlib.crc32(data, self.crc)
        if self._into is not None:
            self._into.write(data)
        if len(self.head) < self._head_bytes:
            self.head += data[: self._head_bytes - len(self.head)]


class _Stored:
    def feed(self, chunk: bytes, sink: Sink) -> bytes:
        sink.write(chunk)
        return b""

    def finished(self, csize: int) -> bool:
        return csize >= 0


class _Deflated:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-15)

    def feed(self, chunk: bytes, sink: Sink) -> bytes:
        if self._stream.eof:
            return chunk
        while chunk and not self._stream.eof:
            sink.write(self._stream.decompress(chunk, CHUNK * 4))
            chunk = self._stream.unconsumed_tail
        while not self._stream.eof:
            more = self._stream.decompress(b"", CHUNK * 4)
            if not more:
                break
            sink.write(more)
        return self._stream.unused_data if self._stream.eof else b""

    def finished(self, csize: int) -> bool:
        return self._stream.eof or csize == 0


class _Bz2OrLzma:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def feed(self, chunk: bytes, sink: Sink) -> bytes:
        if self._stream.eof:
            return chunk
        sink.write(self._stream.decompress(chunk, CHUNK * 4))
        while not self._stream.needs_input and not self._stream.eof:
            sink.write(self._stream.decompress(b"", CHUNK * 4))
        return bytes(self._stream.unused_data) if self._stream.eof else b""

    def finished(self, csize: int) -> bool:
        return self._stream.eof or csize == 0


def _decompressor(method: int, what: str) -> Any:
    """Something with ``feed(chunk, sink)``, which gives back bytes after the stream's end, and ``finished(csize)``."""
    if method == 0:
        return _Stored()
    if method == 8:
        return _Deflated()
    if method == 12:
        return _Bz2OrLzma(bz2.BZ2Decompressor())
    raise UnreadableError(f"It cannot be read: {what} uses compression {METHODS.get(method, method)}.")
