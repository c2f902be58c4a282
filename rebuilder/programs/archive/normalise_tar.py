"""Normalisations of tar archives and of their compression: each sets one kind of metadata aside and nothing else.

Every function takes an archive and gives the archive as it would be without that metadata. They are listed in
``docs/normalisations.md``; ``TAR`` names them in the order in which they are applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rebuilder.programs.archive.dangers import below_non_directories, implied_directories, plain_name
from rebuilder.programs.archive.landing import names_meet
from rebuilder.programs.archive.stream import CompressedStream, GzipHeader
from rebuilder.programs.archive.tar import FULL_RECORD, Extension, Number, TarArchive, TarHeader, TarMember, Text

UMASK_BITS = 0o066
_NO_NUMBER = Number(0, 0)
_NO_TEXT = Text(b"", b"")
_TIME_KEYS = {b"mtime", b"atime", b"ctime", b"LIBARCHIVE.creationtime"}
_OWNER_KEYS = {b"uid", b"gid", b"uname", b"gname"}


def tar_times(archive: TarArchive) -> TarArchive:
    """``tar-times``: times of each member, in its header and in pax records."""

    def member(each: TarMember) -> TarMember:
        records = tuple(pair for pair in each.records if pair[0] not in _TIME_KEYS)
        written = _written(each, lambda header: header._replace(mtime=_NO_NUMBER), _TIME_KEYS)
        return each._replace(mtime="0", records=records, written=written)

    return _members(archive, member)


def tar_owners(archive: TarArchive) -> TarArchive:
    """``tar-owners``: user and group of each member, by number and by name."""

    def header(old: TarHeader) -> TarHeader:
        return old._replace(uid=_NO_NUMBER, gid=_NO_NUMBER, uname=_NO_TEXT, gname=_NO_TEXT)

    def member(each: TarMember) -> TarMember:
        return each._replace(owner=(0, 0, b"", b""), written=_written(each, header, _OWNER_KEYS))

    return _members(archive, member)


def tar_umask_modes(archive: TarArchive) -> TarArchive:
    """``tar-umask-modes``: read and write permission of group and others; executable bits stay."""

    def header(old: TarHeader) -> TarHeader:
        return old._replace(mode=old.mode._replace(value=old.mode.value & ~UMASK_BITS))

    def member(each: TarMember) -> TarMember:
        written = (header(each.written[0]), each.written[1]) if each.written else None
        return each._replace(mode=each.mode & ~UMASK_BITS, written=written)

    return _members(archive, member)


def tar_format(archive: TarArchive) -> TarArchive:
    """``tar-format``: which tar dialect (v7, ustar, GNU, pax) writes the same fields down, and in which form."""
    return _members(archive, lambda each: each._replace(written=None))


def tar_padding(archive: TarArchive) -> TarArchive:
    """``tar-padding``: number of zero bytes after the end marker."""
    return archive._replace(end_zeros=FULL_RECORD) if archive.end_zeros >= 1024 else archive


def tar_directory_entries(archive: TarArchive) -> TarArchive:
    """``tar-directory-entries``: members for directories that hold other members and have an ordinary mode."""
    if any(index for index, _extension in archive.globals):
        return archive
    if names_meet(_places(archive)):
        return archive
    implied = implied_directories(archive.members)
    members = tuple(
        each
        for each in archive.members
        if each.kind != "directory"
        or plain_name(each.name) not in implied
        or each.mode & ~UMASK_BITS != 0o711
        or each.size
        or any(record[0] not in _TIME_KEYS for record in each.records)
    )
    return archive._replace(members=members)


def tar_order(archive: TarArchive) -> TarArchive:
    """``tar-order``: order of members, in an archive where it decides nothing.

    It decides something when names meet on some file system, a file or link lies in a path, there are hard links, or a
    global header begins in the middle.
    """
    fixed = (
        names_meet(_places(archive))
        or any(each.kind == "hardlink" for each in archive.members)
        or any(index for index, _extension in archive.globals)
        or below_non_directories(archive.members)
    )
    if fixed:
        return archive
    return archive._replace(members=tuple(sorted(archive.members, key=lambda each: each.raw_name)))


def _places(archive: TarArchive) -> tuple[tuple[str, bool], ...]:
    return tuple((plain_name(each.name), each.kind == "directory") for each in archive.members)


def gzip_header(archive: TarArchive) -> TarArchive:
    """``gzip-header``: time, file name, comment, writer's system, and the hints beside them in the gzip header."""

    def header(old: GzipHeader) -> GzipHeader:
        return old._replace(mtime=0, system=0, text=False, name=None, comment=None, checked=False)

    return _streams(archive, "gz", lambda each: each._replace(header=header(each.header) if each.header else None))


def gzip_compression(archive: TarArchive) -> TarArchive:
    """``gzip-compression``: compression level and program; what it decompresses to is compared."""

    def stream(each: CompressedStream) -> CompressedStream:
        return each._replace(header=each.header._replace(level=0) if each.header else None, raw=None)

    return _sizeless(_streams(archive, "gz", stream), "gz")


def bzip2_compression(archive: TarArchive) -> TarArchive:
    """``bzip2-compression``: compression level and program; what it decompresses to is compared."""
    return _sizeless(_streams(archive, "bz2", lambda each: each._replace(raw=None)), "bz2")


def xz_compression(archive: TarArchive) -> TarArchive:
    """``xz-compression``: compression level, filters and program; what it decompresses to is compared."""
    return _sizeless(_streams(archive, "xz", lambda each: each._replace(raw=None)), "xz")


def zstd_compression(archive: TarArchive) -> TarArchive:
    """``zstd-compression``: compression level and program; what it decompresses to is compared."""
    return _sizeless(_streams(archive, "zst", lambda each: each._replace(raw=None)), "zst")


TAR: dict[str, Callable[[TarArchive], TarArchive]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        tar_times,
        tar_owners,
        tar_umask_modes,
        tar_format,
        tar_padding,
        tar_directory_entries,
        tar_order,
        gzip_header,
        gzip_compression,
        bzip2_compression,
        xz_compression,
        zstd_compression,
    )
}


def _members(archive: TarArchive, function: Callable[[TarMember], TarMember]) -> TarArchive:
    return archive._replace(members=tuple(map(function, archive.members)))


def _written(
    member: TarMember, header: Callable[[TarHeader], TarHeader], keys: set[bytes]
) -> tuple[TarHeader, tuple[Extension, ...]] | None:
    """The headers of a member without some fields; an extension header left without records goes too."""
    if member.written is None:
        return None
    extensions = []
    for each in member.written[1]:
        records = tuple(record for record in each.records if record[0] not in keys)
        if records or not each.records:
            changed: Any = each._replace(header=header(each.header), records=records)
            extensions.append(changed)
    return header(member.written[0]), tuple(extensions)


def _streams(archive: TarArchive, kind: str, function: Callable[[CompressedStream], CompressedStream]) -> TarArchive:
    compression = archive.compression
    if compression is None or compression.kind != kind:
        return archive
    streams = tuple(map(function, compression.streams))
    return archive._replace(compression=compression._replace(streams=streams))


def _sizeless(archive: TarArchive, kind: str) -> TarArchive:
    """With one stream, its size only repeats what the members say; with several, it says where they were cut."""
    compression = archive.compression
    if compression is None or len(compression.streams) != 1:
        return archive
    return _streams(archive, kind, lambda each: each._replace(size=0))
