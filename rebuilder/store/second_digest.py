"""The SHA-512 of stored bytes, worked out from the bytes that have the SHA-256 they are known by."""

from __future__ import annotations

import hashlib

from rebuilder.errors import CorruptStoreError
from rebuilder.model.value import Sha256, Sha512
from rebuilder.store.protocol import Blobs

_CHUNK = 1 << 20


def sha512_of(blobs: Blobs, sha256: Sha256) -> Sha512 | None:
    """SHA-512 of a blob; None: it is not stored. One reading gives both digests, so they are of the same bytes.

    Raises:
        StoreError: what is stored has another SHA-256, or cannot be read.
    """
    if not blobs.has(sha256):
        return None
    first, second = hashlib.sha256(), hashlib.sha512()
    with blobs.path(sha256).open("rb") as file:
        while chunk := file.read(_CHUNK):
            first.update(chunk)
            second.update(chunk)
    if first.hexdigest() != sha256:
        raise CorruptStoreError(f"Blob {sha256} was changed while it was read: its bytes have another SHA-256 now.")
    return Sha512(second.hexdigest())
