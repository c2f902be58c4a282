"""Compressed streams (gzip, bzip2, xz, Zstandard) as bytes to read, and as a value that accounts for every byte."""

from __future__ import annotations

import bz2
import hashlib
import lzma
import os
import struct
import zlib
from typing import Any, BinaryIO, NamedTuple

from rebuilder.programs.archive.reading import CHUNK, Budget, Stretch, UnreadableError

MAGIC = {"gz": b"\x1f\x8b", "bz2": b"BZh", "xz": b"\xfd7zXZ\0", "zst": b"\x28\xb5\x2f\xfd"}
"""How each kind of compressed stream begins."""

_FHCRC, _FEXTRA, _FNAME, _FCOMMENT = 2, 4, 8, 16
_HEADER_BYTES = 1 << 18
_XZ_MEMORY = 256 << 20
_FAULTS = (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError)


class GzipHeader(NamedTuple):
    """Header of one gzip member (RFC 1952, 2.3)."""

    mtime: int
    level: int
    """XFL: 2 for the slowest, 4 for the fastest compression."""
    system: int
    text: bool
    extra: bytes | None
    name: bytes | None
    comment: bytes | None
    checked: bool
    """Whether the header has a checksum of its own."""


class CompressedStream(NamedTuple):
    """One of the streams a compressed file is made of, mostly the only one."""

    header: GzipHeader | None
    raw: Stretch | None
    """Compressed data; None when it was not asked for."""
    size: int
    """Bytes after decompression."""


class Compression(NamedTuple):
    """Everything of a compressed file that is not in what it decompresses to."""

    kind: str
    """One of :data:`MAGIC`."""
    streams: tuple[CompressedStream, ...]
    trailing: Stretch | None
    """Bytes after the last stream."""


class Window:
    """A stretch of a file to read."""

    def __init__(self, file: BinaryIO, at: int, size: int) -> None:
        self.size = size
        self._file, self._at, self._end = file, at, at + size

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data = self.begins(size)
        self._at += len(data)
        return data

    def begins(self, size: int) -> bytes:
        """Its first bytes, which stay to be read."""
        return os.pread(self._file.fileno(), max(0, min(size, self._end - self._at)), self._at)


def compression_of(start: bytes) -> str | None:
    """The kind of a compressed file by its first bytes; None for any other file."""
    return next((kind for kind, magic in MAGIC.items() if start.startswith(magic)), None)


class PlainInput:
    """A file that is read as it is."""

    compression: Compression | None = None

    def __init__(self, file: BinaryIO | Window, budget: Budget) -> None:
        self._file = file
        self._budget = budget

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data = self._file.read(size)
        self._budget.content(len(data))
        return data


class CompressedInput:
    """A compressed file, read decompressed; afterwards :attr:`compression` describes it."""

    def __init__(self, file: BinaryIO | Window, kind: str, budget: Budget, *, raw: bool) -> None:
        self._file = file
        self._kind = kind
        self._budget = budget
        self._raw = raw
        self._input = b""
        self._ready = bytearray()
        self._streams: list[CompressedStream] = []
        self._trailing: Stretch | None = None
        self._ended = False
        self._begin()

    @property
    def compression(self) -> Compression:
        """What was found; complete once :meth:`read` has come to the end."""
        return Compression(self._kind, tuple(self._streams), self._trailing)

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end.

        Raises:
            UnreadableError: the compressed data is damaged, cut short, or a bomb.
        """
        while len(self._ready) < size and not self._ended:
            try:
                self._step()
            except _FAULTS as error:
                raise UnreadableError(f"It is damaged: its compressed data cannot be read ({error}).") from error
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def _begin(self) -> None:
        self._header = self._gzip_header() if self._kind == "gz" else None
        self._digest = hashlib.sha256() if self._raw else None
        self._raw_size = self._size = self._crc = 0
        if self._kind == "gz":
            self._stream: Any = zlib.decompressobj(-15)
        elif self._kind == "bz2":
            self._stream = bz2.BZ2Decompressor()
        elif self._kind == "zst":
            from rebuilder.programs.archive.zstd import ZstdDecompressor

            self._stream = ZstdDecompressor()
        else:
            self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)

    def _step(self) -> None:
        """Decompress a little more, or go over to the next stream."""
        hungry = getattr(self._stream, "needs_input", True)
        if hungry and not self._input and not self._stream.eof:
            self._input = self._file.read(CHUNK)
            if not self._input:
                raise UnreadableError("It is cut short: its compressed data ends too early.")
        before = self._input
        data = self._stream.decompress(before, CHUNK * 4)
        if self._stream.eof:
            self._input = bytes(self._stream.unused_data)
        else:
            self._input = self._stream.unconsumed_tail if self._kind == "gz" else b""
        used = len(before) - len(self._input)
        if self._digest:
            self._digest.update(before[:used])
        self._raw_size += used
        self._size += len(data)
        self._budget.content(len(data))
        if self._kind == "gz":
            self._crc = zlib.crc32(data, self._crc)
        self._ready += data
        if self._stream.eof:
            self._finish()

    def _finish(self) -> None:
        if self._kind == "gz" and struct.unpack("<LL", self._exactly(8)) != (self._crc, self._size & 0xFFFFFFFF):
            raise UnreadableError("It is damaged: the checksum of its compressed data is wrong.")
        raw = Stretch(self._raw_size, self._digest.hexdigest()) if self._digest else None
        self._streams.append(CompressedStream(self._header, raw, self._size))
        magic = MAGIC[self._kind]
        self._fill(len(magic))
        if self._input.startswith(magic):
            self._budget.member()
            self._begin()
            return
        self._ended = True
        self._consume_trailing()

    def _consume_trailing(self) -> None:
        digest, size = hashlib.sha256(), 0
        while self._input:
            digest.update(self._input)
            size += len(self._input)
            self._input = self._file.read(CHUNK)
        if size:
            self._trailing = Stretch(size, digest.hexdigest())

    def _gzip_header(self) -> GzipHeader:
        fixed = self._exactly(10)
        magic, method, flags, mtime, level, system = struct.unpack("<2sBBLBB", fixed)
        if magic != b"\x1f\x8b" or method != 8 or flags > 31:
            raise UnreadableError("It is damaged: its gzip header is not one.")
        taken = fixed
        extra = name = comment = None
        if flags & _FEXTRA:
            size = self._exactly(2)
            extra = self._exactly(struct.unpack("<H", size)[0])
            taken += size + extra
        if flags & _FNAME:
            name = self._text()
            taken += name + b"\0"
        if flags & _FCOMMENT:
            comment = self._text()
            taken += comment + b"\0"
        if flags & _FHCRC and struct.unpack("<H", self._exactly(2))[0] != zlib.crc32(taken) & 0xFFFF:
            raise UnreadableError("It is damaged: the checksum of its gzip header is wrong.")
        self._budget.header(len(taken))
        return GzipHeader(mtime, level, system, bool(flags & 1), extra, name, comment, bool(flags & _FHCRC))

    def _fill(self, size: int) -> None:
        while len(self._input) < size:
            more = self._file.read(CHUNK)
            if not more:
                return
            self._input += more

    def _exactly(self, size: int) -> bytes:
        self._fill(size)
        if len(self._input) < size:
            raise UnreadableError("It is cut short: its compressed data ends too early.")
        data, self._input = self._input[:size], self._input[size:]
        return data

    def _text(self) -> bytes:
        self._fill(_HEADER_BYTES)
        end = self._input.find(b"\0", 0, _HEADER_BYTES)
        if end < 0:
            raise UnreadableError("It is damaged: a text in its gzip header does not end.")
        text, self._input = self._input[:end], self._input[end + 1 :]
        return text
