"""What keeps bytes by digest, and documents that stay true."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from rebuilder.model.value import Sha256


class Blobs(Protocol):
    """Bytes by SHA-256; written whole or not at all, checked when read."""

    def put(self, data: bytes) -> Sha256:
        """Store bytes; storing the same bytes again is nothing."""
        ...

    def put_stream(self, chunks: Iterable[bytes], *, max_bytes: int) -> tuple[Sha256, int]:
        """Store a stream, give its digest and its size in bytes.

        Raises:
            FetchMismatchError: more than ``max_bytes`` came; nothing is kept.
        """
        ...

    def has(self, sha256: str) -> bool:
        """Whether these bytes are stored."""
        ...

    def read(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            StoreError: they are not stored, or what is stored has another digest.
        """
        ...

    def path(self, sha256: str) -> Path:
        """A read-only file with the bytes, for a sandbox to bind; checked like :meth:`read`."""
        ...


class Memo(Protocol):
    """JSON documents that stay true for ever, by key: what was once worked out need not be worked out again."""

    def get(self, key: str) -> Any | None:
        """The document, or None."""
        ...

    def put(self, key: str, document: Any) -> None:
        """Keep a document of plain JSON types."""
        ...
