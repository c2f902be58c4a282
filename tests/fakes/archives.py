"""Small ZIP and tar archives, made field by field so that tests can change one thing at a time."""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple


class Entry(NamedTuple):
    """One ZIP member; every field that a writer can choose."""

    name: str | bytes = "pkg/module.py"
    content: bytes = b"print('hello')\n"
    time: int = (44 << 9 | 1 << 5 | 2) << 16 | (3 << 11 | 4 << 5 | 3)
    """2024-01-02 03:04:06 as MS-DOS date and time."""
    mode: int = 0o100644
    attributes: int = 0
    host: int = 3
    made: int = 20
    needed: int = 20
    flags: int = 0
    method: int = 8
    level: int = 6
    internal: int = 0
    extra: bytes = b""
    local_extra: bytes = b""
    comment: bytes = b""
    descriptor: bool = False
    zip64: bool = False
    gap: bytes = b""
    slack: bytes = b""
    local: dict[str, Any] = {}
    """Fields whose local copy says something else."""


def zip_bytes(
    *entries: Entry,
    prefix: bytes = b"",
    comment: bytes = b"",
    trailing: bytes = b"",
    before_directory: bytes = b"",
    physical: list[int] | None = None,
) -> bytes:
    """A ZIP file; ``physical`` gives the order of the local headers, when it is not the directory's."""
    out = io.BytesIO()
    out.write(prefix)
    offsets: dict[int, int] = {}
    for index in physical if physical is not None else range(len(entries)):
        each = entries[index]
        out.write(each.gap)
        offsets[index] = out.tell()
        out.write(_local(each))
    out.write(before_directory)
    start = out.tell()
    for index, each in enumerate(entries):
        out.write(_central(each, offsets[index]))
    size = out.tell() - start
    out.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(entries), len(entries), size, start, len(comment)))
    return out.getvalue() + comment + trailing


def _raw_name(each: Entry) -> bytes:
    return each.name.encode() if isinstance(each.name, str) else each.name


def _data(each: Entry) -> bytes:
    if each.method == 0:
        return each.content + each.slack
    stream = zlib.compressobj(each.level, zlib.DEFLATED, -15)
    return stream.compress(each.content) + stream.flush() + each.slack


def _flags(each: Entry) -> int:
    return each.flags | (8 if each.descriptor else 0)


def _local(each: Entry) -> bytes:
    data = _data(each)
    fields: dict[str, Any] = {
        "needed": each.needed,
        "flags": _flags(each),
        "method": each.method,
        "time": each.time,
        "crc": 0 if each.descriptor else zlib.crc32(each.content),
        "csize": 0 if each.descriptor else len(data),
        "usize": 0 if each.descriptor else len(each.content),
        "name": _raw_name(each),
    }
    extra = each.local_extra
    if each.zip64:
        extra = struct.pack("<HHQQ", 1, 16, fields["usize"], fields["csize"]) + extra
        fields["usize"] = fields["csize"] = 0xFFFFFFFF
    fields.update(each.local)
    header = struct.pack(
        "<4s5H3L2H",
        b"PK\3\4",
        fields["needed"],
        fields["flags"],
        fields["method"],
        fields["time"] & 0xFFFF,
        fields["time"] >> 16,
        fields["crc"],
        fields["csize"],
        fields["usize"],
        len(fields["name"]),
        len(extra),
    )
    form = "<4sLQQ" if each.zip64 else "<4sLLL"
    descriptor = struct.pack(form, b"PK\7\x08", zlib.crc32(each.content), len(data), len(each.content))
    return header + bytes(fields["name"]) + extra + data + (descriptor if each.descriptor else b"")


def _central(each: Entry, offset: int) -> bytes:
    name, data, extra = _raw_name(each), _data(each), each.extra
    sizes = (len(data), len(each.content))
    if each.zip64:
        extra = struct.pack("<HHQQ", 1, 16, sizes[1], sizes[0]) + extra
        sizes = (0xFFFFFFFF, 0xFFFFFFFF)
    return (
        struct.pack(
            "<4sBB5H3L5H2L",
            b"PK\1\2",
            each.made,
            each.host,
            each.needed,
            _flags(each),
            each.method,
            each.time & 0xFFFF,
            each.time >> 16,
            zlib.crc32(each.content),
            *sizes,
            len(name),
            len(extra),
            len(each.comment),
            0,
            each.internal,
            each.mode << 16 | each.attributes,
            offset,
        )
        + name
        + extra
        + each.comment
    )


def tar_bytes(*members: tarfile.TarInfo | tuple[tarfile.TarInfo, bytes], tar_format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar archive of members made by :func:`tar_member`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as archive:
        for each in members:
            info, content = each if isinstance(each, tuple) else (each, b"")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar_member(name: str, **fields: Any) -> tarfile.TarInfo:
    """A header with ordinary fields; ``fields`` are attributes of :class:`tarfile.TarInfo`."""
    info = tarfile.TarInfo(name)
    for key, value in ({"mtime": 1_700_000_000, "mode": 0o644} | fields).items():
        setattr(info, key, value)
    return info


def gzip_bytes(
    content: bytes,
    *,
    mtime: int = 0,
    name: bytes | None = None,
    level: int = 6,
    system: int = 255,
    trailing: bytes = b"",
) -> bytes:
    """One gzip stream (RFC 1952)."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    header = struct.pack("<2sBBLBB", b"\x1f\x8b", 8, 0 if name is None else 8, mtime, 0, system)
    body = stream.compress(content) + stream.flush()
    ending = struct.pack("<LL", zlib.crc32(content), len(content))
    return header + (b"" if name is None else name + b"\0") + body + ending + trailing


def pair(directory: Path, published: bytes, rebuilt: bytes) -> tuple[str, str]:
    """Two files to compare."""
    paths = directory / "published", directory / "rebuilt"
    paths[0].write_bytes(published)
    paths[1].write_bytes(rebuilt)
    return str(paths[0]), str(paths[1])
