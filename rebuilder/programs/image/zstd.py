"""Zstandard (RFC 8878) as a stream to read, with the library of the system: Python has none of its own before 3.14."""

from __future__ import annotations

import ctypes
from typing import Any

from rebuilder.programs.archive.limits import CHUNK, Budget, UnreadableError
from rebuilder.programs.image.refusal import Refused

MAGIC = b"\x28\xb5\x2f\xfd"
_LARGEST_WINDOW = 27
"""Bits: 128 MiB, what the library and every reader of images take unless told otherwise."""
_WINDOW_PARAMETER = 100
"""``ZSTD_d_windowLogMax`` of zstd.h."""


class _Buffer(ctypes.Structure):
    """``ZSTD_inBuffer`` and ``ZSTD_outBuffer``."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


class ZstdInput:
    """A file compressed with Zstandard, read decompressed; frames follow each other as members of gzip do."""

    def __init__(self, file: Any, budget: Budget) -> None:
        """Read a file from where it stands.

        Raises:
            Refused: the library is not there.
        """
        self._file = file
        self._budget = budget
        self._library = _library()
        self._stream = self._library.ZSTD_createDStream()
        self._library.ZSTD_DCtx_setParameter(self._stream, _WINDOW_PARAMETER, _LARGEST_WINDOW)
        self._output = ctypes.create_string_buffer(CHUNK)
        self._input = ctypes.create_string_buffer(CHUNK)
        self._held = _Buffer(ctypes.addressof(self._input), 0, 0)
        self._wanted = 1
        """What the library says of the frame: 0 when it is whole."""
        self._ready = bytearray()
        self._ended = False

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end.

        Raises:
            UnreadableError: the compressed data is damaged, cut short, or a bomb.
        """
        while len(self._ready) < size and not self._ended:
            self._step()
        data = bytes(self._ready[:size])
        del self._ready[:size]
        return data

    def _step(self) -> None:
        if self._held.position == self._held.size:
            data = self._file.read(CHUNK)
            ctypes.memmove(self._input, data, len(data))
            self._held = _Buffer(ctypes.addressof(self._input), len(data), 0)
            if not data and self._wanted == 0:
                self._ended = True
                self._library.ZSTD_freeDStream(self._stream)
                return
        out = _Buffer(ctypes.addressof(self._output), CHUNK, 0)
        before = self._held.position
        wanted = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(out), ctypes.byref(self._held))
        if self._library.ZSTD_isError(wanted):
            said = self._library.ZSTD_getErrorName(wanted).decode("ascii", "replace")
            raise UnreadableError(f"It is damaged: its compressed data cannot be read ({said}).")
        if not out.position and self._held.position == before:
            raise UnreadableError("It is cut short: its compressed data ends too early.")
        self._wanted = wanted
        self._budget.content(out.position)
        self._ready += self._output.raw[: out.position]


def _library() -> Any:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        raise Refused(
            "it is compressed with Zstandard, and the build environment it is read in cannot read that"
        ) from None
    size, pointer = ctypes.c_size_t, ctypes.c_void_p
    for name, result, arguments in (
        ("ZSTD_createDStream", pointer, []),
        ("ZSTD_freeDStream", size, [pointer]),
        ("ZSTD_DCtx_setParameter", size, [pointer, ctypes.c_int, ctypes.c_int]),
        ("ZSTD_decompressStream", size, [pointer, pointer, pointer]),
        ("ZSTD_isError", ctypes.c_uint, [size]),
        ("ZSTD_getErrorName", ctypes.c_char_p, [size]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
