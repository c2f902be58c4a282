"""Finds out what kind of archive a file is and reads it."""

from __future__ import annotations

from rebuilder.programs.archive.deb import AR, read_deb
from rebuilder.programs.archive.reading import Keep, Reading, Receive, UnreadableError, keep_nothing
from rebuilder.programs.archive.stream import compression_of
from rebuilder.programs.archive.tar import is_tar_header, read_tar
from rebuilder.programs.archive.zip_reader import read_zip
from rebuilder.programs.archive.zip_records import END, LOCAL, ZipSource, read_end


def read_archive(path: str, keep: Keep = keep_nothing, *, raw: bool = True, receive: Receive | None = None) -> Reading:
    """Read an archive; what is wrong with it is in the result, never an exception.

    Args:
        path: The file. Its name does not matter: the format is recognised by content.
        keep: Which contents to hand back, and how much of them.
        raw: Whether to take digests of compressed data too, which only a comparison needs.
        receive: Unpacks what is read.

    Raises:
        OSError: the file cannot be opened: our fault, not the archive's.
        Exception: whatever ``receive`` raises.
    """
    with open(path, "rb") as file:
        start = file.read(512)
        file.seek(0)
        if start.startswith(AR):
            return read_deb(file, keep, raw=raw, receive=receive)
        compression = compression_of(start)
        if compression is not None:
            return read_tar(file, compression, keep, raw=raw, receive=receive)
        if start.startswith((LOCAL, END)):
            return read_zip(file, keep, raw=raw, receive=receive)
        if is_tar_header(start):
            return read_tar(file, None, keep, raw=raw, receive=receive)
        try:
            read_end(ZipSource(file.fileno()))
        except UnreadableError:
            problem = "It is neither a ZIP nor a tar archive nor a Debian package."
            return Reading("unknown", None, (problem,), readable=False, contents={})
        return read_zip(file, keep, raw=raw, receive=receive)
