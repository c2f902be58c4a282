"""The result of reading one untrusted archive, and what that may cost, whatever the archive claims about itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple, Optional

MEMBERS = 200_000
MEMBER_BYTES = 1 << 30
TOTAL_BYTES = 4 << 30
HEADER_BYTES = 64 << 20
"""All headers and names together; they are held in memory."""
RATIO = 200
"""Whole archive decompressed against its size on disk; counted only above ``RATIO_FLOOR``."""
RATIO_FLOOR = 16 << 20
CHUNK = 1 << 18


class UnreadableError(Exception):
    """The archive cannot be read any further; ``str()`` is the sentence for a person."""


class UnwritableError(Exception):
    """Recorded values cannot be written into an archive, or into this one; ``str()`` is the end of a sentence."""


class Stretch(NamedTuple):
    """A run of bytes, known by its length and SHA-256."""

    size: int
    sha256: str


def stretch(data: bytes) -> Stretch | None:
    """The stretch for some bytes; None for no bytes."""
    return Stretch(len(data), hashlib.sha256(data).hexdigest()) if data else None


class Budget:
    """Counts what has been read of one archive and stops reading that costs too much."""

    def __init__(self, archive_bytes: int) -> None:
        self._decompressed = 0
        self._headers = 0
        self._members = 0
        self._decompressed_limit = min(TOTAL_BYTES, max(RATIO_FLOOR, archive_bytes * RATIO))

    def member(self) -> None:
        """One more member.

        Raises:
            UnreadableError: there are too many.
        """
        self._members += 1
        if self._members > MEMBERS:
            raise UnreadableError(f"It has more than {MEMBERS:,} members; reading stopped there.")

    def header(self, size: int) -> None:
        """``size`` more bytes of headers.

        Raises:
            UnreadableError: there are too many.
        """
        self._headers += size
        if self._headers > HEADER_BYTES:
            raise UnreadableError(f"Its headers are larger than {HEADER_BYTES:,} bytes; reading stopped there.")

    def content(self, size: int) -> None:
        """``size`` more bytes after decompression.

        Raises:
            UnreadableError: there are too many, or too many for the size of the archive.
        """
        self._decompressed += size
        if self._decompressed > self._decompressed_limit:
            raise UnreadableError(
                f"It decompresses to more than {self._decompressed_limit:,} bytes, "
                f"which is out of proportion to its size or over what is read at most (a bomb?); reading stopped there."
            )


Keep = Callable[[int, str], int]
"""Number of bytes to keep of the content of a member, by its index and name; 0 for none."""


def keep_nothing(_index: int, _name: str) -> int:
    """A :data:`Keep` that keeps no content."""
    return 0


class Entry(NamedTuple):
    """What of a member matters to whoever unpacks it, the same for tar and ZIP."""

    name: str
    """As it is to stand in the file system."""
    kind: str
    executable: bool
    seconds: float
    """Since 1970."""
    link: str


Receive = Callable[[Entry], Optional[IO[bytes]]]
"""Told of each member in the order in which it stands in the file; what a file's content is written to, and closed."""


class Reading(NamedTuple):
    """What was read, and what was wrong with it."""

    format: str
    """``zip``, ``tar``, ``tar.gz``, ``tar.bz2``, ``tar.xz``, ``tar.zst``, ``deb``, or ``unknown``."""
    archive: Any
    """A ``ZipArchive``, ``TarArchive`` or ``DebArchive``.

    When ``readable`` is false, it holds the members up to the fault; None when there is nothing to hold.
    """
    problems: tuple[str, ...]
    readable: bool
    contents: dict[int, bytes]
    """First bytes of the members a :data:`Keep` asked for, by index."""


def shown(name: str, width: int = 120) -> str:
    """Text of an archive as it may stand in a sentence: one line, nothing invisible, cut to ``width``."""
    text = name
    if not name.isprintable():
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name)
    return text if len(text) <= width else text[: width - 1] + "…"


def decoded(raw: bytes) -> str:
    r"""Bytes of a name as text; what is not UTF-8 becomes ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def examples(names: Sequence[str], most: int = 3) -> str:
    """The first few names, quoted, and how many more there are."""
    text = ", ".join(f"“{shown(name)}”" for name in names[:most])
    return f"{text} and {len(names) - most:,} more" if len(names) > most else text
