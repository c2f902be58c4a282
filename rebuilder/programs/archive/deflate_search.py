"""With which settings of zlib a compressed stream was made: found by trying, out of a closed set.

Only what Python's own writers and the usual tools around them choose is tried. A stream of another compressor is not
found, and then its bytes are nobody's to write.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from rebuilder.programs.archive.reading import UnwritableError

_MOST_BYTES = 256 << 20
_STEP = 1 << 16
_MEMORY_LEVELS = (8, 9)
_LEVELS = (6, 9, 1, 2, 3, 4, 5, 7, 8)


class Deflate(NamedTuple):
    """Settings of zlib for a raw stream."""

    level: int
    memory_level: int
    strategy: int

    def valid(self) -> bool:
        """Whether they are of the closed set."""
        return self.level in _LEVELS and self.memory_level in _MEMORY_LEVELS and self.strategy in _STRATEGIES

    def packed(self, content: bytes) -> bytes:
        """The stream that these settings give."""
        return b"".join(self._pieces(content))

    def makes(self, content: bytes, stream: bytes) -> bool:
        """Whether these settings give the stream; says no at the first byte that is another."""
        at = 0
        for piece in self._pieces(content):
            if stream[at : at + len(piece)] != piece:
                return False
            at += len(piece)
        return at == len(stream)

    def _pieces(self, content: bytes) -> Iterator[bytes]:
        stream = zlib.compressobj(self.level, zlib.DEFLATED, -15, self.memory_level, self.strategy)
        for at in range(0, len(content), _STEP):
            yield stream.compress(content[at : at + _STEP])
        yield stream.flush()


_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_HUFFMAN_ONLY)
CANDIDATES = tuple(
    Deflate(level, memory, strategy) for strategy in _STRATEGIES for memory in _MEMORY_LEVELS for level in _LEVELS
)


class DeflateSearch:
    """Looks for the settings of one stream after the other; what was right before is tried first."""

    def __init__(self) -> None:
        self._order: list[Deflate] = list(CANDIDATES)

    def find(self, content: bytes, stream: bytes) -> Deflate | None:
        """The settings that make ``stream`` of ``content``; None when no candidate does."""
        for number, each in enumerate(self._order):
            if each.makes(content, stream):
                self._order.insert(0, self._order.pop(number))
                return each
        return None


def gzip_content(path: str) -> bytes:
    """What a gzip file of one stream decompresses to.

    Raises:
        UnwritableError: it is more than is held in memory.
    """
    with gzip.open(path) as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise UnwritableError("the archive is too large to be written here")
    return data


def gzip_stream(path: str) -> bytes:
    """The compressed data of a gzip file of one stream, in whose header is at most a name."""
    with open(path, "rb") as file:
        data = file.read(_MOST_BYTES)
    start = 10
    if data[3] & 8:
        start = data.index(b"\0", start) + 1
    return data[start:-8]
