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


class Kept(Protocol):
    """Files that can be made again at any time, by a key that says all that they depend on."""

    @property
    def blobs(self) -> Blobs:
        """Where what is made for a key is put first."""
        ...

    @property
    def largest(self) -> int:
        """Bytes that one file may have; 0: nothing is kept."""
        ...

    def get(self, key: str) -> tuple[Sha256, Path] | None:
        """Digest and place of the file of a key, or None; checked like :meth:`Blobs.path`.

        Raises:
            StoreError: it cannot be read, or was modified (then it is moved aside, and is made again next time).
        """
        ...

    def keep(self, key: str, sha256: Sha256) -> None:
        """Let one of the blobs be the file of a key; what was not used for longest makes room for it.

        Raises:
            StoreError: that cannot be noted.
        """
        ...
