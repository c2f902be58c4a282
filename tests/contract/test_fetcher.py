"""What every fetcher does: the real one against a server on loopback, and the fake one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rebuilder.errors import FetchMismatchError, UnavailableError
from rebuilder.model.value import sha256_hex
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.network.protocol import Fetcher
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.registry import JSON, Registry

CONTENT = b'{"files": []}'


@dataclass(frozen=True)
class World:
    """A fetcher, its blobs, and a network that can be given content."""

    fetcher: Fetcher
    blobs: MemoryBlobs
    serve: Callable[[str, bytes], str]
    """Path and content to address."""
    asked: Callable[[], int]
    """How many requests the network saw."""
    base: str


@pytest.fixture(params=["http", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Each fetcher in turn."""
    blobs = MemoryBlobs()
    if request.param == "fake":
        fake = FakeFetcher(blobs)
        base = "https://example.org"
        yield World(fake, blobs, lambda path, data: fake.serve(base + path, data), lambda: len(fake.asked), base)
        return
    cache = HttpCache(tmp_path / "cache")
    with Registry() as registry, HttpFetcher(blobs, cache, wait=lambda _: None) as fetcher:
        fetcher.admit(registry.base)
        yield World(fetcher, blobs, lambda path, data: registry.serve(path, data, JSON), registry.count, registry.base)


def test_document_is_given_and_kept(world: World) -> None:
    """The bytes come with their digest and media type, and are a blob afterwards."""
    url = world.serve("/simple/idna/", CONTENT)
    document = world.fetcher.document(url, accept=JSON, max_bytes=1000)
    assert document is not None
    assert (url, CONTENT, JSON) == (document.url, document.content, document.media_type)
    assert CONTENT == world.blobs.read(document.sha256)


def test_document_that_does_not_exist_is_none(world: World) -> None:
    """An unknown project is an answer, not a failure."""
    assert world.fetcher.document(f"{world.base}/simple/nope/", accept=JSON, max_bytes=1000) is None


def test_document_over_the_limit_is_refused(world: World) -> None:
    """The limit is exact."""
    url = world.serve("/simple/idna/", CONTENT)
    assert world.fetcher.document(url, accept=JSON, max_bytes=len(CONTENT)) is not None
    with pytest.raises(FetchMismatchError, match="larger"):
        world.fetcher.document(url, accept=JSON, max_bytes=len(CONTENT) - 1)


def test_file_is_kept_under_its_digest(world: World) -> None:
    """A file ends up among the blobs."""
    url = world.serve("/files/a.whl", b"wheel")
    assert sha256_hex(b"wheel") == world.fetcher.file(url, sha256=sha256_hex(b"wheel"), max_bytes=5)
    assert world.blobs.has(sha256_hex(b"wheel"))


def test_stored_file_is_not_asked_for(world: World) -> None:
    """What is there costs no request."""
    digest = world.blobs.put(b"wheel")
    assert digest == world.fetcher.file(f"{world.base}/files/a.whl", sha256=digest, max_bytes=5)
    assert 0 == world.asked()


def test_file_with_other_bytes_is_refused_and_not_kept(world: World) -> None:
    """Other bytes than promised never become a blob."""
    url = world.serve("/files/a.whl", b"other")
    with pytest.raises(FetchMismatchError, match="sha256"):
        world.fetcher.file(url, sha256=sha256_hex(b"wheel"), max_bytes=100)
    assert {} == world.blobs.content


def test_file_over_the_limit_is_refused_and_not_kept(world: World) -> None:
    """Size is bounded even when the digest would be right."""
    url = world.serve("/files/a.whl", b"wheel")
    with pytest.raises(FetchMismatchError, match="larger"):
        world.fetcher.file(url, sha256=sha256_hex(b"wheel"), max_bytes=4)
    assert {} == world.blobs.content


def test_file_known_by_another_digest(world: World) -> None:
    """Where only SHA-512 is known it is what binds the bytes, and the SHA-256 comes back."""
    url = world.serve("/files/a.tgz", b"tarball")
    digest = hashlib.sha512(b"tarball").hexdigest()
    found = world.fetcher.file_by_digest(url, algorithm="sha512", digest=digest, max_bytes=7)
    assert sha256_hex(b"tarball") == found
    assert b"tarball" == world.blobs.read(found)


def test_file_with_another_digest_is_refused_and_not_kept(world: World) -> None:
    """Other bytes than the SHA-512 promises never become a blob."""
    url = world.serve("/files/a.tgz", b"other")
    with pytest.raises(FetchMismatchError, match="sha512"):
        world.fetcher.file_by_digest(
            url, algorithm="sha512", digest=hashlib.sha512(b"tarball").hexdigest(), max_bytes=100
        )
    with pytest.raises(FetchMismatchError, match="larger"):
        world.fetcher.file_by_digest(url, algorithm="sha512", digest=hashlib.sha512(b"other").hexdigest(), max_bytes=4)
    assert {} == world.blobs.content


def test_file_that_is_gone_is_unavailable(world: World) -> None:
    """A listed file that is missing is a failure with its address in the sentence."""
    with pytest.raises(UnavailableError, match=r"/files/a\.whl is no longer there"):
        world.fetcher.file(f"{world.base}/files/a.whl", sha256=sha256_hex(b"wheel"), max_bytes=100)


def test_digest_is_that_of_the_bytes_there_now(world: World) -> None:
    """What is stored does not count: a file that was changed has another digest, and nothing of it is kept."""
    url = world.serve("/files/a.whl", b"wheel")
    world.fetcher.file(url, sha256=sha256_hex(b"wheel"), max_bytes=100)
    assert sha256_hex(b"wheel") == world.fetcher.digest(url, max_bytes=100)
    world.serve("/files/a.whl", b"other")
    assert sha256_hex(b"other") == world.fetcher.digest(url, max_bytes=100)
    assert not world.blobs.has(sha256_hex(b"other"))


def test_digest_of_a_file_that_is_gone_is_none(world: World) -> None:
    """A file that was taken back is an answer, not a failure."""
    assert world.fetcher.digest(f"{world.base}/files/a.whl", max_bytes=100) is None


def test_digest_of_a_file_over_the_limit_is_refused(world: World) -> None:
    """Size is bounded here too."""
    url = world.serve("/files/a.whl", b"wheel")
    with pytest.raises(FetchMismatchError, match="larger"):
        world.fetcher.digest(url, max_bytes=4)
