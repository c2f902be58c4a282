"""The blob store on disks that are full, read-only or left in the middle of a write."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

import pytest

from rebuilder.errors import StoreError
from rebuilder.model.value import sha256_hex
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.files import change_unseen
from tests.fakes.mounts import run_on_own_disk

FILL_THE_DISK = """
import os, sys
from pathlib import Path
from rebuilder.errors import StoreError
from rebuilder.store.blobs import DiskBlobs
root = Path(sys.argv[1], "blobs")
blobs = DiskBlobs(root)
small = blobs.put(b"small")
for store in (lambda: blobs.put(os.urandom(1 << 20)),
              lambda: blobs.put_stream((os.urandom(1 << 12) for _ in range(256)), max_bytes=1 << 30)):
    try:
        store()
    except StoreError as error:
        print(error, "|", error.hint)
print("left:", sorted(path.name for path in root.rglob("*") if path.is_file() and path.name != small))
print(blobs.read(small), blobs.put(b"fits") in os.listdir(root / blobs.put(b"fits")[:2]))
"""

WRITE_AND_READ = """
import sys
from pathlib import Path
from rebuilder.errors import StoreError
from rebuilder.store.blobs import DiskBlobs
digest, damaged = (root := Path(sys.argv[1])).joinpath("digests").read_text().split()
blobs = DiskBlobs(root / "blobs")
print(blobs.read(digest), blobs.path(digest).name == digest, blobs.put(b"kept") == digest)
for use in (lambda: blobs.put(b"new"), lambda: blobs.path(damaged), lambda: DiskBlobs(root / "other").put(b"new")):
    try:
        use()
    except StoreError as error:
        print(error, "|", error.hint)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the blobs are."""
    return tmp_path / "blobs"


def bytes_read() -> int:
    """How much this process has read through system calls so far (proc(5), ``rchar``)."""
    found = re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())
    assert found
    return int(found[1])


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    """What was stored stays readable, what did not fit leaves no trace, and small things still fit."""
    lines = run_on_own_disk(tmp_path, FILL_THE_DISK, size="256k").splitlines()
    sentence = f"The disk that holds the store {tmp_path}/blobs is full. | Make room"
    assert [line.startswith(sentence) for line in lines[:2]] == [True, True], lines
    assert lines[2:] == ["left: []", "b'small' True"]


def test_a_read_only_store_can_be_read(tmp_path: Path) -> None:
    """Reading works; writing says what is wrong with which directory; damage is still found."""
    blobs = DiskBlobs(tmp_path / "blobs")
    digest, damaged = blobs.put(b"kept"), blobs.put(b"damaged")
    path = blobs.path(damaged)
    path.chmod(0o644)
    path.write_bytes(b"DAMAGED")
    (tmp_path / "digests").write_text(f"{digest} {damaged}")
    lines = run_on_own_disk(tmp_path, WRITE_AND_READ).splitlines()
    assert lines[0] == "b'kept' True True"
    assert lines[1].startswith(f"The store {tmp_path}/blobs cannot be written: Read-only file system.")
    assert lines[2].startswith(f"Blob {damaged} is damaged")
    assert "cannot be moved aside (Read-only file system)" in lines[2]
    assert lines[3].startswith(f"The store {tmp_path}/other cannot be written: Read-only file system.")


def test_a_store_below_a_file_is_a_sentence(tmp_path: Path) -> None:
    """A path that cannot be a directory is our user's mistake, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Not a directory"):
        DiskBlobs(tmp_path / "file" / "blobs").put(b"x")
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="taken cannot be used"):
        DiskBlobs(tmp_path / "taken").put(b"x")


def test_what_a_killed_writer_left_is_cleaned_up(root: Path) -> None:
    """Files in the middle of a write go when nobody holds them, and stay when somebody does."""
    DiskBlobs(root).put(b"x")
    abandoned, living = root / "incoming" / "abandoned", root / "incoming" / "living"
    abandoned.write_bytes(b"half")
    with living.open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        DiskBlobs(root).put(b"y")
        assert [each.name for each in (root / "incoming").iterdir()] == ["living"]


def test_everybody_may_read_whatever_the_umask(root: Path) -> None:
    """A build runs as another user: directories 0755, files 0444."""
    before = os.umask(0o077)
    try:
        path = DiskBlobs(root).path(DiskBlobs(root).put(b"x"))
    finally:
        os.umask(before)
    assert path.stat().st_mode == 0o100444
    assert {each.stat().st_mode for each in (root, path.parent)} == {0o40755}


def test_a_changed_file_is_hashed_again(root: Path) -> None:
    """Bytes changed behind our back are found although size, inode and modification time are the same."""
    blobs = DiskBlobs(root)
    digest = blobs.put(b"sound")
    path = blobs.path(digest)
    change_unseen(path, b"found")
    with pytest.raises(StoreError, match=f"{digest} is damaged"):
        blobs.path(digest)
    assert [each.read_bytes() for each in (root / "damaged").iterdir()] == [b"found"]


def test_an_unchanged_file_is_read_once_in_a_process(root: Path) -> None:
    """Handing out a large file is cheap from the second time on; after storing it, from the first."""
    large = os.urandom(8 << 20)
    fresh = DiskBlobs(root)
    digest = fresh.put(large)
    blobs = DiskBlobs(root)
    costs = []
    for hand_out in (fresh.path, blobs.path, blobs.path):
        before = bytes_read()
        hand_out(digest)
        costs.append(bytes_read() - before >= len(large))
    assert costs == [False, True, False]


@pytest.mark.parametrize("kind", ["directory", "link", "fifo"])
def test_only_regular_files_are_blobs(root: Path, kind: str) -> None:
    """A link out of the store, a pipe or a directory under a blob's name is damage; nothing waits for a pipe."""
    digest = sha256_hex(b"x")
    place = root / digest[:2] / digest
    place.parent.mkdir(parents=True)
    if kind == "directory":
        place.mkdir()
    elif kind == "link":
        (root / "x").write_bytes(b"x")
        place.symlink_to(root / "x")
    else:
        os.mkfifo(place)
    blobs = DiskBlobs(root)
    assert not blobs.has(digest)
    with pytest.raises(StoreError, match=f"{digest} is not a regular file"):
        blobs.read(digest)
    blobs.put(b"x")
    assert blobs.read(digest) == b"x"
