"""Takes what a run left in ``/out``, and its log, into the blobs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from rebuilder.model.attempt import Limit, Outcome, Output
from rebuilder.model.text import compose_log
from rebuilder.model.value import Sha256
from rebuilder.sandbox.leftovers import Leftovers
from rebuilder.store.protocol import Blobs

_CHUNK = 1 << 20


def store_outputs(directory: int, listing: Leftovers, blobs: Blobs) -> tuple[Output, ...]:
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


def outcome(limit: Limit | None, exit_code: int | None) -> Outcome:
    """How a run ended, as one word."""
    if limit is not None:
        return Outcome.TIMED_OUT
    return Outcome.COMPLETED if exit_code == 0 else Outcome.BUILD_FAILED


def ending(limit: Limit | None, exit_code: int | None) -> str:
    """How a run ended, as the last sentence of its log."""
    if limit is not None:
        return f"It was ended: it reached its limit on {limit.value}."
    if exit_code is None:
        return "It ended the sandbox it ran in, from inside."
    return f"It ended with exit code {exit_code}."


def store_log(chunks: Iterable[bytes], listing: Leftovers, blobs: Blobs, *, ending: str) -> Sha256:
    """Store what a run wrote, what is to be said about its outputs, and how it ended.

    Raises:
        StoreError: it cannot be stored.
    """
    return blobs.put(compose_log(b"".join(chunks), (*listing.remarks, ending)))
