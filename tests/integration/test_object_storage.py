"""Blobs in S3: a real server, and one that ignores conditions and gives out other bytes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.errors import CorruptStoreError, StoreError, UsageError
from rebuilder.model.value import sha256_hex
from rebuilder.store.blobs import DiskBlobs, trim
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import SHARED, RemoteBlobs, key_of, outputs_of
from tests.fakes.s3_server import BUCKET, CarelessS3, careless, credentials, seaweed


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A real server."""
    with seaweed() as address:
        yield address


@pytest.fixture
def storage(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStorage:
    """A prefix of its own there."""
    for name, value in credentials(endpoint).items():
        monkeypatch.setenv(name, value)
    return ObjectStorage.open(f"s3://{BUCKET}/{secrets.token_hex(4)}")


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CarelessS3, ObjectStorage]]:
    """A server that keeps no promise."""
    with careless() as server:
        for name, value in credentials(server.endpoint).items():
            monkeypatch.setenv(name, value)
        yield server, ObjectStorage.open(f"s3://{BUCKET}/x")


def remote(storage: ObjectStorage, near: Path, writes: str = SHARED) -> RemoteBlobs:
    """What one machine sees."""
    return RemoteBlobs(DiskBlobs(near), storage, writes=writes, most_bytes=64 << 20)


def test_objects(storage: ObjectStorage) -> None:
    """Written, listed, written once, read up to a limit, removed."""
    assert storage.listed("a/b") is None
    storage.put("a/b", b"one")
    storage.put("a/b", b"two", once=True)
    assert b"one" == storage.read("a/b", 3)
    assert storage.read("a/b", 2) is None
    before = storage.below("a", 10)["b"]
    storage.put("a/b", b"two")
    assert before != storage.below("a", 10)["b"]
    storage.put("a/c", b"")
    assert {"b", "c"} == set(storage.below("a", 10))
    assert 1 == len(storage.below("a", 1))
    for _ in range(2):
        storage.delete("a/b")
    with pytest.raises(StoreError, match="a/b"):
        storage.read("a/b", 9)


def test_blobs_go_from_one_machine_to_another(storage: ObjectStorage, tmp_path: Path) -> None:
    """Small ones, and large ones in parts; what a runner wrote lies below its own prefix."""
    here, there = remote(storage, tmp_path / "here"), remote(storage, tmp_path / "there", outputs_of("ab" * 32))
    large = secrets.token_bytes(20 << 20)
    for data in (b"", b"small", large):
        digest = here.put(data)
        assert there.has(digest)
        assert data == there.path(digest).read_bytes()
        here.send(digest)
    made, size = there.put_stream([b"made ", b"there"], max_bytes=10)
    assert (10, b"made there") == (size, (there.read(made)))
    assert not remote(storage, tmp_path / "third").has(made)
    assert 10 == here.fetch(outputs_of("ab" * 32), made, max_bytes=10)
    assert here.read(made) == b"made there"


def test_the_cache_keeps_to_its_limit(storage: ObjectStorage, tmp_path: Path) -> None:
    """What was not used for longest goes first, and is fetched again when it is wanted."""
    blobs = remote(storage, tmp_path)
    digests = [blobs.put(bytes([number]) * 1000) for number in range(5)]
    assert (0, 3) == (trim(tmp_path, 5000), trim(tmp_path, 2500))
    assert 2 == sum(DiskBlobs(tmp_path).has(each) for each in digests)
    assert [bytes([number]) * 1000 for number in range(5)] == [blobs.read(each) for each in digests]


def test_conditions_need_not_be_kept(bad: tuple[CarelessS3, ObjectStorage], tmp_path: Path) -> None:
    """A server without conditions, and with a wrong clock, gives the same bytes: the name is their digest."""
    server, storage = bad
    blobs = remote(storage, tmp_path)
    digest = blobs.put(b"twice")
    blobs.put(b"twice")
    assert (1, 2) == (server.conditions, len(server.written))
    assert remote(storage, tmp_path / "other").read(digest) == b"twice"


@pytest.mark.parametrize("other", [b"", b"EVIL!", b"sound" * 100_000], ids=["nothing", "as long", "longer"])
def test_other_bytes_are_never_given_out(bad: tuple[CarelessS3, ObjectStorage], tmp_path: Path, other: bytes) -> None:
    """Whatever the server says about them."""
    server, storage = bad
    digest = remote(storage, tmp_path / "here").put(b"sound")
    server.changed[digest] = other
    there = remote(storage, tmp_path / "there")
    for use in (there.read, there.path):
        with pytest.raises(CorruptStoreError, match=digest):
            use(digest)
    with pytest.raises(CorruptStoreError, match=digest):
        there.fetch(SHARED, digest, max_bytes=5)
    assert not DiskBlobs(tmp_path / "there").has(digest)
    server.changed.clear()
    assert there.read(digest) == b"sound"


def test_a_server_that_is_away_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a traceback of another library."""
    for name, value in credentials("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    storage = ObjectStorage.open(f"s3://{BUCKET}/x", seconds=0.5)
    with pytest.raises(StoreError, match=f"s3://{BUCKET}/x"):
        storage.listed("a")


@pytest.mark.parametrize("address", ["", "bucket", "https://example.org/bucket", "s3://", "s3:///x"])
def test_addresses(address: str) -> None:
    """Only an S3 address is one."""
    with pytest.raises(UsageError):
        ObjectStorage.open(address)


def test_names_of_blobs() -> None:
    """A folder for each beginning, as on disk."""
    digest = sha256_hex(b"x")
    assert f"blobs/{digest[:2]}/{digest}" == key_of(SHARED, digest)
