"""Normalisations of the compression around a tar archive.

Every function takes an archive and gives the archive as it would be without that metadata. They are listed in
``docs/normalisations.md``.
"""

from __future__ import annotations

from collections.abc import Callable

from rebuilder.programs.archive.stream import CompressedStream, GzipHeader
from rebuilder.programs.archive.tar import TarArchive


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
