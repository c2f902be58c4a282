"""Records of the ZIP format as they stand in a file (PKWARE APPNOTE.TXT 6.3.10)."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from rebuilder.programs.archive.reading import HEADER_BYTES, MEMBERS, UnreadableError

LOCAL = b"PK\3\4"
CENTRAL = b"PK\1\2"
END = b"PK\5\6"
END64 = b"PK\6\6"
LOCATOR64 = b"PK\6\7"
DESCRIPTOR = b"PK\7\x08"
DESCRIPTOR_FLAG = 1 << 3
"""Sizes and checksum follow the data, for writers that cannot go back (APPNOTE 4.4.4)."""
FULL16 = 0xFFFF
FULL32 = 0xFFFFFFFF
ZIP64_EXTRA = 1
BROKEN_EXTRA = -1
"""Stands for the bytes at the end of an extra field that are not a well-formed block."""


def has_signature(data: bytes) -> bool:
    """Whether a reader that looks for ZIP structures would find one in these bytes."""
    return b"PK" in data and any(each in data for each in (LOCAL, CENTRAL, END, END64, LOCATOR64, DESCRIPTOR))


class LocalHeader(NamedTuple):
    """What stands in front of a member's data (APPNOTE 4.3.7)."""

    needed: int
    flags: int
    method: int
    time: int
    """MS-DOS date in the upper, time in the lower 16 bits."""
    crc: int
    csize: int
    usize: int
    name: bytes
    extra: bytes

    @property
    def length(self) -> int:
        """Bytes of the header."""
        return 30 + len(self.name) + len(self.extra)


class CentralHeader(NamedTuple):
    """A member in the central directory (APPNOTE 4.3.12)."""

    made: int
    host: int
    needed: int
    flags: int
    method: int
    time: int
    crc: int
    csize: int
    usize: int
    name: bytes
    extra: bytes
    comment: bytes
    disk: int
    internal: int
    external: int
    offset: int


class End(NamedTuple):
    """The end of the central directory, with its ZIP64 form folded in (APPNOTE 4.3.14 to 4.3.16)."""

    start: int
    """Where the first of the end records begins; the central directory ends here."""
    directory_size: int
    directory_offset: int
    entries: int
    comment: bytes
    trailing: int
    """Bytes after the comment."""
    odd: tuple[tuple[str, int], ...]
    """Fields of the end record that are not what follows from the rest of the archive."""
    zip64: tuple[int, int, bytes] | None
    """Made by, needed, extensible data of the ZIP64 record."""


class ZipSource:
    """An open file, read by position."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size

    def at(self, offset: int, size: int, what: str) -> bytes:
        """Exactly ``size`` bytes at ``offset``.

        Raises:
            UnreadableError: the file ends before that.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise UnreadableError(f"It is cut short or damaged: {what} lies outside the file.")
        data = os.pread(self._descriptor, size, offset)
        while len(data) < size:
            more = os.pread(self._descriptor, size - len(data), offset + len(data))
            if not more:
                raise UnreadableError(f"It became shorter while {what} was read.")
            data += more
        return data


def read_end(source: ZipSource) -> End:
    """Find and read the end records.

    Raises:
        UnreadableError: there is no end record, or it contradicts itself.
    """
    tail_at = max(0, source.size - 22 - FULL16)
    tail = source.at(tail_at, source.size - tail_at, "the end record")
    found = tail.rfind(END)
    if found < 0 or found + 22 > len(tail):
        raise UnreadableError("It has no end record: not a ZIP file, or cut short.")
    disk, directory_disk, here, entries, size, offset, comment_size = struct.unpack_from("<4H2LH", tail, found + 4)
    comment = tail[found + 22 : found + 22 + comment_size]
    if len(comment) < comment_size:
        raise UnreadableError("It is cut short: its comment lies outside the file.")
    start = tail_at + found
    numbers = {"disk": disk, "directory disk": directory_disk, "entries here": here, "entries": entries}
    numbers.update({"directory size": size, "directory offset": offset})
    wide = _read_end64(source, start)
    truth = dict(numbers, **{"disk": 0, "directory disk": 0})
    zip64 = None
    if wide is not None:
        start, truth, zip64 = wide
        for name, value in numbers.items():
            full = FULL32 if name.startswith("directory s") or name.endswith("offset") else FULL16
            if value not in {full, truth[name]}:
                raise UnreadableError(f"Its two end records disagree about {name}.")
    if truth["entries here"] != truth["entries"] or truth["disk"] or truth["directory disk"]:
        raise UnreadableError("It is one part of an archive that spans several files.")
    odd = tuple((name, value) for name, value in sorted(numbers.items()) if value != truth[name])
    return End(
        start=start,
        directory_size=truth["directory size"],
        directory_offset=truth["directory offset"],
        entries=truth["entries"],
        comment=comment,
        trailing=len(tail) - found - 22 - comment_size,
        odd=odd,
        zip64=zip64,
    )


def _read_end64(source: ZipSource, end_at: int) -> tuple[int, dict[str, int], tuple[int, int, bytes]] | None:
    if end_at < 20:
        return None
    locator = source.at(end_at - 20, 20, "the ZIP64 locator")
    if locator[:4] != LOCATOR64:
        return None
    disk, _offset, disks = struct.unpack("<LQL", locator[4:])
    # The record ends where the locator begins; searching backwards does not trust an offset that prepended bytes shift.
    window_at = max(0, end_at - 20 - FULL16)
    window = source.at(window_at, end_at - 20 - window_at, "the ZIP64 end record")
    found = window.rfind(END64)
    if found < 0 or len(window) - found < 56 or disk or disks > 1:
        raise UnreadableError("Its ZIP64 end record is missing or damaged.")
    size, made, needed, disk, directory_disk = struct.unpack_from("<QHHLL", window, found + 4)
    here, entries, directory_size, directory_offset = struct.unpack_from("<4Q", window, found + 24)
    start = window_at + found
    shift = start - directory_size - directory_offset
    if size != len(window) - found - 12 or _offset + shift != start or disks != 1:
        raise UnreadableError("Its ZIP64 end record is missing or damaged.")
    truth = {"disk": disk, "directory disk": directory_disk, "entries here": here, "entries": entries}
    truth.update({"directory size": directory_size, "directory offset": directory_offset})
    return start, truth, (made, needed, window[found + 56 :])


def read_directory(source: ZipSource, end: End) -> tuple[list[CentralHeader], bytes]:
    """Read the central directory; also gives the bytes in it after the last header.

    Raises:
        UnreadableError: it is damaged or larger than is read.
    """
    if end.directory_size > HEADER_BYTES or end.entries > MEMBERS:
        raise UnreadableError(
            f"Its directory has {end.entries:,} members in {end.directory_size:,} bytes; "
            f"at most {MEMBERS:,} members in {HEADER_BYTES:,} bytes are read."
        )
    data = source.at(end.start - end.directory_size, end.directory_size, "the central directory")
    headers = []
    at = 0
    for index in range(end.entries):
        if data[at : at + 4] != CENTRAL or at + 46 > len(data):
            raise UnreadableError(f"Its central directory is damaged at member {index + 1} of {end.entries:,}.")
        (made, host, needed, flags, method, time, date, crc, csize, usize, name_size, extra_size, comment_size) = (
            struct.unpack_from("<BB5H3L3H", data, at + 4)
        )
        disk, internal, external, offset = struct.unpack_from("<HHLL", data, at + 34)
        name_at = at + 46
        extra_at = name_at + name_size
        comment_at = extra_at + extra_size
        at = comment_at + comment_size
        if at > len(data):
            raise UnreadableError(f"Its central directory is cut short at member {index + 1} of {end.entries:,}.")
        headers.append(
            CentralHeader(
                made=made,
                host=host,
                needed=needed,
                flags=flags,
                method=method,
                time=date << 16 | time,
                crc=crc,
                csize=csize,
                usize=usize,
                name=data[name_at:extra_at],
                extra=data[extra_at:comment_at],
                comment=data[comment_at:at],
                disk=disk,
                internal=internal,
                external=external,
                offset=offset,
            )
        )
    return headers, data[at:]


def read_local(source: ZipSource, offset: int, what: str) -> LocalHeader:
    """Read the local header at ``offset``.

    Raises:
        UnreadableError: there is none.
    """
    fixed = source.at(offset, 30, what)
    if fixed[:4] != LOCAL:
        raise UnreadableError(f"It is damaged: {what} is not where the central directory says.")
    needed, flags, method, time, date, crc, csize, usize, name_size, extra_size = struct.unpack("<5H3L2H", fixed[4:])
    rest = source.at(offset + 30, name_size + extra_size, what)
    return LocalHeader(needed, flags, method, date << 16 | time, crc, csize, usize, rest[:name_size], rest[name_size:])


def split_extra(extra: bytes) -> tuple[tuple[int, bytes], ...]:
    """An extra field as its blocks (APPNOTE 4.5.1)."""
    blocks = []
    at = 0
    while at < len(extra):
        if at + 4 > len(extra):
            break
        kind, size = struct.unpack_from("<HH", extra, at)
        if at + 4 + size > len(extra):
            break
        blocks.append((kind, extra[at + 4 : at + 4 + size]))
        at += 4 + size
    if at < len(extra):
        blocks.append((BROKEN_EXTRA, extra[at:]))
    return tuple(blocks)
