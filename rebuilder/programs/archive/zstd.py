"""Zstandard (RFC 8878), with the library of the system: Python has none of its own before 3.14."""

from __future__ import annotations

import ctypes
from typing import Any

from rebuilder.programs.archive.reading import CHUNK, UnreadableError

_LARGEST_WINDOW = 27
"""Bits: 128 MiB, what the library and every reader of images and packages take unless told otherwise."""
_WINDOW_PARAMETER = 100
"""``ZSTD_d_windowLogMax`` of zstd.h."""


class _Buffer(ctypes.Structure):
    """``ZSTD_inBuffer`` and ``ZSTD_outBuffer``."""

    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("position", ctypes.c_size_t))


class ZstdDecompressor:
    """One frame, read as :class:`lzma.LZMADecompressor` reads one stream."""

    def __init__(self) -> None:
        """Nothing is read yet.

        Raises:
            UnreadableError: the library is not there.
        """
        self.eof = False
        """Whether the frame is whole."""
        self.needs_input = True
        """Whether more has to be given before anything comes out."""
        self.unused_data = b""
        """What was given and stands behind the frame."""
        self._held = b""
        self._library = _library()
        self._stream = self._library.ZSTD_createDStream()
        self._library.ZSTD_DCtx_setParameter(self._stream, _WINDOW_PARAMETER, _LARGEST_WINDOW)
        self._output = ctypes.create_string_buffer(CHUNK)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """What comes out of some more bytes; at most ``max_length``, which may be all that is handed out now.

        Raises:
            ValueError: the frame is damaged.
        """
        held = self._held + data
        given = _Buffer(ctypes.cast(ctypes.c_char_p(held), ctypes.c_void_p), len(held), 0)
        out = _Buffer(ctypes.addressof(self._output), min(CHUNK, max_length), 0)
        left = self._library.ZSTD_decompressStream(self._stream, ctypes.byref(out), ctypes.byref(given))
        if self._library.ZSTD_isError(left):
            raise ValueError(self._library.ZSTD_getErrorName(left).decode("ascii", "replace"))
        self._held = held[given.position :]
        if left == 0:
            self.eof, self.unused_data, self._held = True, self._held, b""
            self._library.ZSTD_freeDStream(self._stream)
        self.needs_input = not self._held and out.position < out.size
        return self._output.raw[: out.position]


def _library() -> Any:
    try:
        library = ctypes.CDLL("libzstd.so.1")
    except OSError:
        raise UnreadableError(
            "It is compressed with Zstandard, and the build environment it is read in cannot read that."
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
