"""Blobs in memory; files are written only when a path is asked for."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterable
from pathlib import Path

from rebuilder.atomic_file import write_whole
from rebuilder.errors import FetchMismatchError, StoreError
from rebuilder.model.value import Sha256, sha256_hex


class MemoryBlobs:
    """Implements :class:`rebuilder.store.protocol.Blobs` with a dictionary."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self._directory: Path | None = None
        self._lock = threading.Lock()

    def put(self, data: bytes) -> Sha256:
        """Store bytes."""
        digest = sha256_hex(data)
        self.content[digest] = bytes(data)
        return digest

    def put_stream(self, chunks: Iterable[bytes], *, max_bytes: int) -> tuple[Sha256, int]:
        """Store a stream."""
        data = bytearray()
        for chunk in chunks:
            data += chunk
            if len(data) > max_bytes:
                raise FetchMismatchError(f"More than {max_bytes:,} bytes came; the rest was not read.")
        return self.put(bytes(data)), len(data)

    def has(self, sha256: str) -> bool:
        """Whether these bytes are stored."""
        return sha256 in self.content

    def read(self, sha256: str) -> bytes:
        """The bytes."""
        if sha256 not in self.content:
            raise StoreError(f"Blob {sha256} is not in the store.")
        if sha256_hex(self.content[sha256]) != sha256:
            del self.content[sha256]
            raise StoreError(f"Blob {sha256} is damaged. It was moved aside.")
        return self.content[sha256]

    def path(self, sha256: str) -> Path:
        """A file with the bytes, gone when this object is."""
        data = self.read(sha256)
        with self._lock:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="blobs-"))
                weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
            file = self._directory / sha256
            if not file.exists():
                write_whole(file, data, mode=0o444)
        return file
