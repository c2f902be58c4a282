"""Finds out what kind of archive a file is and reads it."""

from __future__ import annotations

from rebuilder.programs.archive.limits import UnreadableError
from rebuilder.programs.archive.reading import Keep, Reading, Receive, keep_nothing
from rebuilder.programs.archive.tar import is_tar_header
from rebuilder.programs.archive.tar_reader import read_tar
from rebuilder.programs.archive.zip_reader import read_zip
from rebuilder.programs.archive.zip_records import END, LOCAL, ZipSource, read_end

_COMPRESSED = ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ\0", "xz"))


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
        for magic, name in _COMPRESSED:
            if start.startswith(magic):
                return read_tar(file, name, keep, raw=raw, receive=receive)
        if start.startswith((LOCAL, END)):
            return read_zip(file, keep, raw=raw, receive=receive)
        if is_tar_header(start):
            return read_tar(file, None, keep, raw=raw, receive=receive)
        try:
            read_end(ZipSource(file.fileno()))
        except UnreadableError:
            return Reading("unknown", None, ("It is neither a ZIP nor a tar archive.",), readable=False, contents={})
        return read_zip(file, keep, raw=raw, receive=receive)
