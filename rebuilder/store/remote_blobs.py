"""Blobs that machines share: objects by digest in an S3 store, and the disk of each machine in front of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from rebuilder.errors import CorruptStoreError, FetchMismatchError
from rebuilder.model.value import Sha256, is_sha256
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.object_storage import ObjectStorage

SHARED = "blobs"
"""Prefix of what coordinators write and runners read."""

STAYS = timedelta(days=3)
"""What was shared longer ago is written again by whoever needs it: what is older still is tidied away."""


def outputs_of(runner_id: str) -> str:
    """Prefix of what one runner writes: its credentials need not allow anything else."""
    return f"outputs/{runner_id}"


def key_of(prefix: str, sha256: str) -> str:
    """The name of a blob's object."""
    return f"{prefix}/{sha256[:2]}/{sha256}"


class RemoteBlobs:
    """Implements :class:`rebuilder.store.protocol.Blobs`: what is put goes to both, what is read is fetched once.

    Bytes that come from the server are hashed on their way in, before anybody sees them.

    Args:
        near: On this machine.
        storage: Shared.
        writes: Prefix for what is put.
        most_bytes: Largest blob that is fetched.
    """

    def __init__(self, near: DiskBlobs, storage: ObjectStorage, *, writes: str = SHARED, most_bytes: int) -> None:
        self._near = near
        self._storage = storage
        self._writes = writes
        self._most = most_bytes

    def put(self, data: bytes) -> Sha256:
        """Store bytes here and there.

        Raises:
            StoreError: one of them cannot be written.
        """
        digest = self._near.put(data)
        self.send(digest)
        return digest

    def put_stream(self, chunks: Iterable[bytes], *, max_bytes: int) -> tuple[Sha256, int]:
        """Store a stream here and there; see :meth:`rebuilder.store.protocol.Blobs.put_stream`.

        Raises:
            FetchMismatchError: more than ``max_bytes`` came; nothing is kept.
            StoreError: one of them cannot be written.
        """
        digest, size = self._near.put_stream(chunks, max_bytes=max_bytes)
        self.send(digest)
        return digest, size

    def has(self, sha256: str) -> bool:
        """Whether these bytes are here or there."""
        return self._near.has(sha256) or self._found(sha256) is not None

    def read(self, sha256: str) -> bytes:
        """The bytes, hashed again on every call.

        Raises:
            StoreError: they are nowhere, or what is stored has another digest.
        """
        self._fetched(sha256)
        return self._near.read(sha256)

    def path(self, sha256: str) -> Path:
        """A read-only file with the bytes; checked like :meth:`read`."""
        self._fetched(sha256)
        return self._near.path(sha256)

    def send(self, sha256: str) -> None:
        """Make sure that what is here is there, too, for :data:`STAYS` at least.

        Raises:
            StoreError: it is not here, or cannot be sent.
        """
        self._storage.put(key_of(self._writes, sha256), self._near.path(sha256), once=True, again_after=STAYS)

    def fetch(self, prefix: str, sha256: str, *, max_bytes: int) -> int:
        """Bring a blob of a prefix here, unless it is here already; give its size.

        Raises:
            StoreError: it is not there.
            CorruptStoreError: what is there has another digest, or more than ``max_bytes``.
        """
        if not self._near.has(sha256):
            key = key_of(prefix, sha256)
            try:
                digest, _ = self._near.put_stream(self._storage.stream(key), max_bytes=max_bytes)
            except FetchMismatchError:
                raise CorruptStoreError(f"The object {key} is larger than {max_bytes:,} bytes.") from None
            if digest != sha256:
                raise CorruptStoreError(f"The object {key} has other bytes than its digest says ({digest}).")
        return self._near.path(sha256).stat().st_size

    def _fetched(self, sha256: str) -> None:
        if self._near.has(sha256) or (prefix := self._found(sha256)) is None:
            return  # what is nowhere is told by whoever has the disk
        self.fetch(prefix, sha256, max_bytes=self._most)

    def _found(self, sha256: str) -> str | None:
        """The prefix that a blob is stored below."""
        if not is_sha256(sha256):
            return None
        prefixes = dict.fromkeys((SHARED, self._writes))
        return next((each for each in prefixes if self._storage.listed(key_of(each, sha256)) is not None), None)
