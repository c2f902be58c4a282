"""Tar archives whose every byte is known before it is read: what writes and reads the form of our own exports.

Whoever wrote such a file is a stranger, so reading one parses nothing but a size: the header that has to come is made
here, and must be there to the byte. Any tar reader reads what is written.
"""

from __future__ import annotations

import tarfile
from typing import BinaryIO

BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * BLOCK)
_TYPES = {"d": tarfile.DIRTYPE, "f": tarfile.REGTYPE, "l": tarfile.SYMTYPE}


class NotAsWrittenError(Exception):
    """How a file departs from the form, as the end of a sentence."""


def header(name: bytes, kind: str, mode: int, size: int = 0, target: bytes = b"", *, time: int = 0) -> bytes:
    """The header of a member, of several blocks where its name is long.

    Args:
        name: Path in the archive.
        kind: ``d`` directory, ``f`` file, ``l`` symbolic link.
        mode: Permissions; those of a link are always the same.
        size: Of a file, in bytes.
        target: Of a link.
        time: When it was changed, in seconds since 1970.
    """
    member = tarfile.TarInfo(name.decode("utf-8", "surrogateescape"))
    member.type, member.mode, member.size, member.mtime = _TYPES[kind], 0o777 if kind == "l" else mode, size, time
    member.linkname = target.decode("utf-8", "surrogateescape")
    return member.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What fills the last block of a file of so many bytes."""
    return bytes(-size % BLOCK)


def _size_in(block: bytes) -> int:
    """The size that the header of a file says."""
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape").size
    except tarfile.TarError:
        raise NotAsWrittenError("it is not one") from None


def take(source: BinaryIO, size: int) -> bytes:
    """So many bytes.

    Raises:
        NotAsWrittenError: there are fewer.
    """
    data = source.read(size)
    if len(data) != size:
        raise NotAsWrittenError("it is cut short")
    return data


def expect(source: BinaryIO, data: bytes) -> None:
    """Go on behind these bytes.

    Raises:
        NotAsWrittenError: there are others.
    """
    if take(source, len(data)) != data:
        raise NotAsWrittenError("it has something where nothing may be")


def document(source: BinaryIO, name: str, most: int, *, time: int = 0) -> bytes:
    """A small file that has to come next, whole.

    Raises:
        NotAsWrittenError: something else comes, or it has more than ``most`` bytes.
    """
    first = take(source, BLOCK)
    size = _size_in(first)
    if not 0 <= size <= most:
        raise NotAsWrittenError(f"its {name} is too large")
    if first != header(name.encode(), "f", 0o644, size, time=time):
        raise NotAsWrittenError(f"it does not have {name} where that has to be")
    data = take(source, size)
    expect(source, padding(size))
    return data
