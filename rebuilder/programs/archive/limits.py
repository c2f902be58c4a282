"""Bounds on reading an untrusted archive: what it may cost, whatever it claims about itself."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

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
