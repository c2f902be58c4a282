"""Bodies as they stream in."""

from __future__ import annotations

import gzip
import hashlib

import pytest

from rebuilder.errors import FetchMismatchError
from rebuilder.network.http.answer import decoded, limited, verified

URL = "https://example.org/a"


def test_a_bomb_never_grows_in_memory() -> None:
    """However much one chunk unpacks to, it comes in pieces of 64 KiB, and the limit ends it after a few."""
    chunk = gzip.compress(bytes(50 << 20))
    pieces = limited(URL, decoded(URL, [chunk], "gzip"), 200_000)
    assert [65536, 65536, 65536] == [len(next(pieces)) for _ in range(3)]
    with pytest.raises(FetchMismatchError):
        next(pieces)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_gzip_in_any_pieces(size: int) -> None:
    """Where the network cuts the stream does not matter."""
    content = b"abc" * 50_000
    packed = gzip.compress(content)
    chunks = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert content == b"".join(decoded(URL, chunks, "x-GZIP "))


def test_digest_is_checked_before_the_end() -> None:
    """Who writes the stream learns of other bytes by an error, not after having kept them."""
    assert [b"a", b"b"] == list(verified(URL, [b"a", b"b"], hashlib.sha256(b"ab").hexdigest()))
    stream = verified(URL, [b"a", b"b"], "0" * 64)
    assert [b"a", b"b"] == [next(stream), next(stream)]
    with pytest.raises(FetchMismatchError):
        next(stream)
