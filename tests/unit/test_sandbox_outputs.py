"""What is taken from a directory a hostile build has filled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.sandbox.collected import store_outputs
from rebuilder.sandbox.leftovers import Leftovers, holds_file_of, list_outputs
from tests.fakes.blobs import MemoryBlobs


@pytest.fixture
def out(tmp_path: Path) -> Iterator[int]:
    """Descriptor of an empty directory."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_takes_plain_files(out: int, tmp_path: Path) -> None:
    """By name, with size and digest."""
    (tmp_path / "b-1.0-py3-none-any.whl").write_bytes(b"bb")
    (tmp_path / "A").write_bytes(b"a")
    listing = list_outputs(out)
    assert Leftovers(files=(("A", 1), ("b-1.0-py3-none-any.whl", 2)), remarks=(), bytes=3) == listing
    blobs = MemoryBlobs()
    outputs = store_outputs(out, listing, blobs)
    assert [b"a", b"bb"] == [blobs.read(each.sha256) for each in outputs]


def test_leaves_everything_else(out: int, tmp_path: Path) -> None:
    """Links, pipes, directories, and names that could mean something elsewhere."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("-x", ".x", "a b", "a\nb", "a\x1b[2J", "ü", "<b>"):
        (tmp_path / name).write_bytes(b"x")
    os.close(os.open(b"\xff", os.O_CREAT | os.O_WRONLY, dir_fd=out))
    os.mknod("socket", 0o140644, dir_fd=out)
    listing = list_outputs(out)
    assert listing.files == ()
    assert len(listing.remarks) == 12
    assert all(remark.isascii() and remark.isprintable() for remark in listing.remarks)


def test_remarks_are_few(out: int, tmp_path: Path) -> None:
    """A thousand odd names do not make a log of a thousand lines."""
    for number in range(1000):
        (tmp_path / f"-{number}").touch()
    remarks = list_outputs(out).remarks
    assert len(remarks) == 21
    assert remarks[-1] == "980 more entries in /out are ignored."


def test_finds_a_file_that_was_cut_off(out: int, tmp_path: Path) -> None:
    """However deep, but not without end, and not through links."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "big").write_bytes(b"x" * 100)
    assert holds_file_of([out], 100)
    assert not holds_file_of([out], 101)
    (tmp_path / "link").symlink_to(__file__)
    assert not holds_file_of([out], 101)


def test_endless_nesting_ends(out: int, tmp_path: Path) -> None:
    """Directories nested deeper than any path can be do not harm."""
    inner = os.dup(out)
    for _ in range(3000):
        os.mkdir("d", dir_fd=inner)
        step = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=inner)
        os.close(inner)
        inner = step
    os.close(inner)
    assert not holds_file_of([out], 1)
    _unnest(tmp_path)


def _unnest(place: Path) -> None:
    """Remove the nest from its outer end: pytest could not."""
    spare = place / "spare"
    while (place / "d").is_dir():
        inner = place / "d" / "d"
        if inner.is_dir():
            inner.rename(spare)
        (place / "d").rmdir()
        if spare.is_dir():
            spare.rename(place / "d")
