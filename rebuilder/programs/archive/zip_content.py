"""Decompresses the data of one ZIP member, bounded and counted."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import struct
import zlib
from typing import IO, Any, NamedTuple

from rebuilder.programs.archive.limits import CHUNK, Budget, Stretch, UnreadableError
from rebuilder.programs.archive.zip import METHODS

FAULTS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError, struct.error)
"""What decompressors raise for damaged data."""


class Content(NamedTuple):
    """What was found in the data of a member."""

    sha256: str
    head: bytes
    raw: Stretch | None
    slack: Stretch | None
    headers: bool
    """There are signatures of ZIP structures in stored data whose end only those can show."""


class Sink:
    """Where decompressed bytes go: counted, hashed, and their beginning kept."""

    def __init__(
        self, head_bytes: int, expected: int, budget: Budget, what: str, into: IO[bytes] | None = None
    ) -> None:
        self.sha256 = hashlib.sha256()
        self.crc = 0
        self.size = 0
        self.head = bytearray()
        self._head_bytes = head_bytes
        self._expected = expected
        self._budget = budget
        self._what = what
        self._into = into

    def write(self, data: bytes) -> None:
        """Take the next bytes.

        Raises:
            UnreadableError: there are more than the directory gives, or more than is read at all.
        """
        self.size += len(data)
        if self.size > self._expected:
            raise UnreadableError(f"It is damaged: {self._what} has more bytes than the directory gives (a bomb?).")
        self._budget.content(len(data))
        self.sha256.update(data)
        self.crc = zlib.crc32(data, self.crc)
        if self._into is not None:
            self._into.write(data)
        if len(self.head) < self._head_bytes:
            self.head += data[: self._head_bytes - len(self.head)]


class _Stored:
    def feed(self, chunk: bytes, sink: Sink) -> bytes:
        sink.write(chunk)
        return b""

    def finished(self, csize: int) -> bool:
        return csize >= 0


class _Deflated:
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-15)

    def feed(self, chunk: bytes, sink: Sink) -> bytes:
        if self._stream.eof:
            return chunk
        while chunk and not self._stream.eof:
            sink.write(self._stream.decompress(chunk, CHUNK * 4))
            chunk = self._stream.unconsumed_tail
        while not self._stream.eof:
            more = self._stream.decompress(b"", CHUNK * 4)
            if not more:
                break
            sink.write(more)
        return self._stream.unused_data if self._stream.eof else b""

    def finished(self, csize: int) -> bool:
        return self._stream.eof or csize == 0


class _Bz2OrLzma:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def feed(self, chunk: bytes, sink: Sink) -> bytes:
        if self._stream.eof:
            return chunk
        sink.write(self._stream.decompress(chunk, CHUNK * 4))
        while not self._stream.needs_input and not self._stream.eof:
            sink.write(self._stream.decompress(b"", CHUNK * 4))
        return bytes(self._stream.unused_data) if self._stream.eof else b""

    def finished(self, csize: int) -> bool:
        return self._stream.eof or csize == 0


def decompressor(method: int, what: str) -> Any:
    """Something with ``feed(chunk, sink)``, which gives back bytes after the stream's end, and ``finished(csize)``.

    Raises:
        UnreadableError: this compression cannot be read.
    """
    if method == 0:
        return _Stored()
    if method == 8:
        return _Deflated()
    if method == 12:
        return _Bz2OrLzma(bz2.BZ2Decompressor())
    raise UnreadableError(f"It cannot be read: {what} uses compression {METHODS.get(method, method)}.")
