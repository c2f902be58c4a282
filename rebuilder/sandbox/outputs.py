"""Takes what a run left in ``/out``, and its log, into the blobs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator

from rebuilder.model.attempt import Output
from rebuilder.model.value import Sha256
from rebuilder.ports import Blobs
from rebuilder.sandbox.residue import Listing

_CHUNK = 1 << 20


def store_outputs(directory: int, listing: Listing, blobs: Blobs) -> tuple[Output, ...]:
    """Store the files of a listing as blobs.

    Raises:
        StoreError: they cannot be stored.
    """
    outputs = []
    for name, expected in listing.files:
        digest, size = blobs.put_stream(_chunks(directory, name), max_bytes=expected)
        outputs.append(Output(filename=name, sha256=digest, size=size))
    return tuple(outputs)


def _chunks(directory: int, name: str) -> Iterator[bytes]:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=directory), "rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def store_log(chunks: Iterable[bytes], size: int, listing: Listing, blobs: Blobs) -> Sha256:
    """Store what a run wrote, at most ``size`` bytes, and what is to be said about its outputs.

    Raises:
        StoreError: it cannot be stored.
    """
    remarks = "".join(f"rebuilder: {remark}\n" for remark in listing.remarks).encode()
    digest, _ = blobs.put_stream(itertools.chain(chunks, [remarks]), max_bytes=size + len(remarks))
    return digest
