"""What is counted of a verification's bytes: all that came over the network, and what is new in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rebuilder.byte_counter import MOVED
from rebuilder.model.value import sha256_hex
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.reach import Reach
from rebuilder.network.relay import Relay
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.registry import JSON, Registry

BODY = bytes(100_000)


@pytest.fixture
def registry() -> Iterator[Registry]:
    """A server with one file."""
    with Registry() as registry:
        registry.serve("/a", BODY, JSON)
        yield registry


def since(before: tuple[int, int]) -> tuple[int, int]:
    """Bytes fetched and written since then."""
    fetched, written = MOVED.moved
    return fetched - before[0], written - before[1]


def test_a_file_is_counted_once(registry: Registry, tmp_path: Path) -> None:
    """What is stored already is not fetched, and what a cache has costs nothing."""
    url, before = f"{registry.base}/a", MOVED.moved
    with HttpFetcher(DiskBlobs(tmp_path / "blobs"), HttpCache(tmp_path / "cache")) as fetcher:
        fetcher.admit(registry.base)
        for _ in range(2):
            fetcher.file(url, sha256=sha256_hex(BODY), max_bytes=len(BODY))
            assert (len(BODY), len(BODY)) == since(before)
        fetcher.document(url, accept=JSON, max_bytes=len(BODY))
        assert (2 * len(BODY), len(BODY)) == since(before)


def test_the_same_bytes_are_written_once(tmp_path: Path) -> None:
    """However they are given; a damaged copy that is mended is written again."""
    blobs, before = DiskBlobs(tmp_path / "blobs"), MOVED.moved
    digest = blobs.put(BODY)
    blobs.put(BODY)
    blobs.put_stream(iter([BODY]), max_bytes=len(BODY))
    assert (0, len(BODY)) == since(before)
    place = blobs.path(digest)
    place.chmod(0o644)
    place.write_bytes(b"damaged")
    blobs.put(BODY)
    assert (0, 2 * len(BODY)) == since(before)


def test_what_other_programs_fetch_is_counted(registry: Registry) -> None:
    """Git and uv are given a proxy of ours: with heads, as they go over the wire."""
    before = MOVED.moved
    with (
        Relay(Reach([registry.base])) as relay,
        httpx.Client(proxy=relay.environment["http_proxy"], timeout=60) as client,
    ):
        assert BODY == client.get(f"{registry.base}/a").content
    fetched, written = since(before)
    assert 0 < fetched - len(BODY) < 1000
    assert 0 == written
