"""Bodies of answers as they stream in: counted, decoded and checked, never trusted."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator

from rebuilder.errors import FetchMismatchError, UnavailableError
from rebuilder.storage.http_address import shown
from rebuilder.storage.http_retry import TransientError

_PIECE = 64 << 10
_ASK_OPERATOR = "Check the index or mirror in the settings of pip, uv or npm, and ask whoever runs it."


def limited(url: str, chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    """The same chunks, but no more than ``max_bytes`` in all.

    Raises:
        FetchMismatchError: there is more.
    """
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise too_large(url, max_bytes)
        yield chunk


def decoded(url: str, chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """Undo the one Content-Encoding that was offered, in small pieces, so that a bomb cannot grow in memory.

    Raises:
        TransientError: the compressed stream is cut short.
        UnavailableError: it is not gzip, or another encoding.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from chunks
        return
    if encoding not in {"gzip", "x-gzip"}:
        raise UnavailableError(f"{shown(url)} came in an encoding that was not asked for.", hint=_ASK_OPERATOR)
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        for chunk in chunks:
            waiting = chunk
            while waiting and not stream.eof:
                yield stream.decompress(waiting, _PIECE)
                waiting = stream.unconsumed_tail
    except zlib.error:
        raise UnavailableError(f"{shown(url)} came with broken compression.", hint=_ASK_OPERATOR) from None
    if not stream.eof:
        raise TransientError(cut_short(url))


def verified(url: str, chunks: Iterable[bytes], expected: str, algorithm: str = "sha256") -> Iterator[bytes]:
    """The same chunks, with an error instead of an end when all of them together have another digest.

    Raises:
        FetchMismatchError: other bytes than promised.
    """
    digest = hashlib.new(algorithm)
    for chunk in chunks:
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != expected:
        found = digest.hexdigest()
        message = f"{shown(url)} has the {algorithm} {found}, but {expected} was promised; nothing of it is kept."
        hint = (
            "If it happens again, the published bytes or a cache on the way were changed: tell whoever runs the index."
        )
        raise FetchMismatchError(message, hint=hint)


def too_large(url: str, max_bytes: int) -> FetchMismatchError:
    """More came, or was announced, than allowed."""
    return FetchMismatchError(
        f"{shown(url)} is larger than the {max_bytes:,} bytes allowed for it.", hint=_ASK_OPERATOR
    )


def cut_short(url: str) -> FetchMismatchError:
    """The connection ended before the body did."""
    message = f"The connection ended before all of {shown(url)} had arrived."
    return FetchMismatchError(message, hint="Try again; if it stays so, check the connection and any proxy.")
