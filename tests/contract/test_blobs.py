"""What every store of blobs does: on disk, in an S3 store behind a disk, and the fake one in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from rebuilder.errors import FetchMismatchError, StoreError, UnavailableError
from rebuilder.model.value import sha256_hex
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.protocol import Blobs
from rebuilder.store.remote_blobs import SHARED, RemoteBlobs, key_of
from tests.fakes.blobs import MemoryBlobs

Damage = Callable[[str], None]


@pytest.fixture(params=["disk", "memory", "remote"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Blobs, Damage]:
    """A store, and a way to change what is stored behind its back."""
    if request.param == "memory":
        memory = MemoryBlobs()
        return memory, lambda sha256: memory.content.update({sha256: b"other"})
    disk = DiskBlobs(tmp_path / "blobs")
    storage = ObjectStorage(MemoryStore(), "memory")

    def damage(sha256: str) -> None:
        file = tmp_path / "blobs" / sha256[:2] / sha256
        file.chmod(0o644)
        file.write_bytes(b"other")
        storage.delete(key_of(SHARED, sha256))  # what is sound elsewhere would be fetched again

    return (RemoteBlobs(disk, storage, most_bytes=1 << 20), damage) if request.param == "remote" else (disk, damage)


@pytest.fixture
def blobs(pair: tuple[Blobs, Damage]) -> Blobs:
    """The store alone."""
    return pair[0]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000], ids=["empty", "one byte", "1.2 MB"])
def test_reads_what_was_put(blobs: Blobs, data: bytes) -> None:
    """Bytes come back as they were, by both ways of reading."""
    digest = blobs.put(data)
    assert sha256_hex(data) == digest
    assert blobs.has(digest)
    assert data == blobs.read(digest)
    assert data == blobs.path(digest).read_bytes()


def test_same_bytes_twice_are_one_blob(blobs: Blobs) -> None:
    """Storing again is nothing."""
    assert blobs.put(b"twice") == blobs.put(b"twice")
    assert blobs.read(sha256_hex(b"twice")) == b"twice"


def test_stream_gives_digest_and_size(blobs: Blobs) -> None:
    """A stream is stored as its chunks joined; exactly the limit is allowed."""
    assert (sha256_hex(b"abcdef"), 6) == blobs.put_stream(iter([b"abc", b"", b"def"]), max_bytes=6)
    assert blobs.read(sha256_hex(b"abcdef")) == b"abcdef"


def test_stream_over_its_limit_keeps_nothing(blobs: Blobs) -> None:
    """One byte too many ends the stream at once; the rest is not read."""
    read = []

    def chunks() -> Iterator[bytes]:
        for _ in range(100):
            read.append(1)
            yield b"abc"

    with pytest.raises(FetchMismatchError, match="More than 5 bytes"):
        blobs.put_stream(chunks(), max_bytes=5)
    assert len(read) == 2
    assert not blobs.has(sha256_hex(b"abcabc"))
    assert not blobs.has(sha256_hex(b"abc"))


def test_error_of_the_stream_passes_through(blobs: Blobs) -> None:
    """A connection that breaks is the network's trouble, not the store's, even as an OSError."""

    def chunks(error: Exception) -> Iterator[bytes]:
        yield b"abc"
        raise error

    for error in (ConnectionResetError(104, "reset"), UnavailableError("The index went away.")):
        with pytest.raises(type(error)) as raised:
            blobs.put_stream(chunks(error), max_bytes=100)
        assert error is raised.value
    assert not blobs.has(sha256_hex(b"abc"))


def test_missing_blob_is_named(blobs: Blobs) -> None:
    """A blob that is not there is a sentence with its digest."""
    absent = sha256_hex(b"absent")
    assert not blobs.has(absent)
    for use in (blobs.read, blobs.path):
        with pytest.raises(StoreError, match=absent):
            use(absent)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "/etc/passwd"])
def test_only_digests_are_names(blobs: Blobs, name: str) -> None:
    """Nothing but 64 lower-case hexadecimal digits can name a blob."""
    assert not blobs.has(name)
    for use in (blobs.read, blobs.path):
        with pytest.raises(StoreError):
            use(name)


@pytest.mark.parametrize("use", ["read", "path"])
def test_damaged_blob_is_named_and_makes_room(pair: tuple[Blobs, Damage], use: str) -> None:
    """Other bytes than the digest says are never given out, and can be stored anew."""
    blobs, damage = pair
    digest = blobs.put(b"sound")
    damage(digest)
    with pytest.raises(StoreError, match=f"{digest} is damaged"):
        getattr(blobs, use)(digest)
    assert not blobs.has(digest)
    blobs.put(b"sound")
    assert blobs.path(digest).read_bytes() == b"sound"


def test_putting_mends_a_damaged_blob(pair: tuple[Blobs, Damage]) -> None:
    """Storing the right bytes again replaces a damaged copy that nobody had noticed."""
    blobs, damage = pair
    by_value: Callable[[], str] = lambda: blobs.put(b"sound")  # noqa: E731
    by_stream: Callable[[], str] = lambda: blobs.put_stream([b"sound"], max_bytes=5)[0]  # noqa: E731
    for store in (by_value, by_stream):
        digest = store()
        damage(digest)
        store()
        assert blobs.read(digest) == b"sound"


def test_files_cannot_be_written(blobs: Blobs) -> None:
    """A path is for reading: everybody may read, nobody may write or run it."""
    assert blobs.path(blobs.put(b"x")).stat().st_mode == 0o100444
