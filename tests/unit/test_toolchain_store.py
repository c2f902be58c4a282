"""The store of toolchains: made once, kept by digest, checked, and mended only when nothing is lost by it."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.errors import ToolchainError
from rebuilder.toolchains.catalog import Spec
from rebuilder.toolchains.debootstrap import Made
from rebuilder.toolchains.settle import TIME
from rebuilder.toolchains.store import DebianToolchains
from tests.fakes.clock import FixedClock
from tests.fakes.toolchains import TinyMaker


def store(root: Path, maker: Callable[[Spec, Path], Made], told: list[str] | None = None) -> DebianToolchains:
    """A store as a new process would open it."""
    return DebianToolchains(root, FixedClock(), maker=maker, report=None if told is None else told.append)


def test_made_once(tmp_path: Path) -> None:
    """The second process finds what the first one made, and is not told that anything takes long."""
    maker, told = TinyMaker(), list[str]()
    first = store(tmp_path, maker).get("trixie")
    assert first == store(tmp_path, maker, told).get("trixie")
    assert ["trixie"] == maker.made
    assert told == []


def test_record_says_what_it_was_made_from(tmp_path: Path) -> None:
    """Packages with digests, the specification and the time are kept beside the tree."""
    toolchains = store(tmp_path, TinyMaker())
    record = toolchains.record(toolchains.get("trixie").sha256)
    assert ("trixie", "3.13", "a test") == (record.spec.suite, record.spec.python, record.made.tool)
    assert "ab" * 32 == record.made.packages[0].sha256
    assert FixedClock().now() == record.made_at


def test_every_user_can_pass(tmp_path: Path) -> None:
    """Builds run as another user: all directories down to the tree are open, whatever the umask."""
    before = os.umask(0o077)
    try:
        root = store(tmp_path / "toolchains", TinyMaker()).get("trixie").root
    finally:
        os.umask(before)
    for place in (root, root.parent, root.parent.parent, tmp_path / "toolchains"):
        assert place.stat().st_mode & 0o777 == 0o755, place


def test_touch_is_healed(tmp_path: Path) -> None:
    """A touched file has the same content: it is read again, gets its time back, and later runs are quick again."""
    root = store(tmp_path, TinyMaker()).get("trixie").root
    (root / "etc/passwd").touch()
    told: list[str] = []
    store(tmp_path, TinyMaker(), told).get("trixie")
    assert ["reading trixie again, because something touched it"] == told
    assert TIME == (root / "etc/passwd").stat().st_mtime
    told.clear()
    store(tmp_path, TinyMaker(), told).get("trixie")
    assert told == []


def test_change_is_named_and_stays(tmp_path: Path) -> None:
    """The sentence names the first changed files; nothing is made again behind the user's back."""
    maker = TinyMaker()
    root = store(tmp_path, maker).get("trixie").root
    for name in "abcde":
        (root / "etc" / name).touch()
    with pytest.raises(ToolchainError, match="etc/a was added, etc/b was added, etc/c was added, and 2 more") as caught:
        store(tmp_path, maker).get("trixie")
    assert str(root.parent) in (caught.value.hint or "")
    assert ["trixie"] == maker.made


def test_removing_as_the_hint_says(tmp_path: Path) -> None:
    """What the hint tells to do helps."""
    maker = TinyMaker()
    root = store(tmp_path, maker).get("trixie").root
    (root / "etc/passwd").unlink()
    root.parent.rename(tmp_path / "evidence")
    assert root == store(tmp_path, maker).get("trixie").root
    assert (root / "etc/passwd").is_file()


def test_listing_modified_too(tmp_path: Path) -> None:
    """A listing that does not have the digest is not believed about what changed."""
    root = store(tmp_path, TinyMaker()).get("trixie").root
    (root / "etc/passwd").write_text("other")
    (root.parent / "listing").write_text("other")
    with pytest.raises(ToolchainError, match="and its listing were modified"):
        store(tmp_path, TinyMaker()).get("trixie")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff", b"[]", None], ids=repr)
def test_broken_record(tmp_path: Path, content: bytes | None) -> None:
    """A record that is no record is named with the directory to remove."""
    toolchain = store(tmp_path, TinyMaker()).get("trixie")
    record = toolchain.root.parent / "record.json"
    record.unlink()
    if content is not None:
        record.write_bytes(content)
    with pytest.raises(ToolchainError, match=r"its record.json is missing or malformed") as caught:
        store(tmp_path, TinyMaker()).get("trixie")
    assert str(record.parent) in str(caught.value)


def test_record_of_another_tree(tmp_path: Path) -> None:
    """A record must be about the directory it lies in."""
    toolchain = store(tmp_path, TinyMaker()).get("trixie")
    record = toolchain.root.parent / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "0" * 64}))
    with pytest.raises(ToolchainError, match="malformed"):
        store(tmp_path, TinyMaker()).get("trixie")


@pytest.mark.parametrize("pointer", ["", "../..", "0" * 64, "x" * 64, "é"])
def test_broken_pointer(tmp_path: Path, pointer: str) -> None:
    """A pointer to nothing is as good as none: the toolchain is made, and comes out the same."""
    first = store(tmp_path, TinyMaker()).get("trixie")
    (tmp_path / "current/trixie").write_text(pointer)
    assert first == store(tmp_path, TinyMaker()).get("trixie")


def test_lost_fingerprint(tmp_path: Path) -> None:
    """Without it the tree is read as a whole, once."""
    root = store(tmp_path, TinyMaker()).get("trixie").root
    (root.parent / "fingerprint").unlink()
    store(tmp_path, TinyMaker()).get("trixie")
    assert (root.parent / "fingerprint").is_file()


def test_lost_tree(tmp_path: Path) -> None:
    """A record without a tree is not used."""
    root = store(tmp_path, TinyMaker()).get("trixie").root
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(ToolchainError, match="its root is missing"):
        store(tmp_path, TinyMaker()).get("trixie")


def test_killed_while_making(tmp_path: Path) -> None:
    """What a killed process left half made is cleaned up, and its lock is free."""

    def die(_: Spec, root: Path) -> Made:
        (root / "usr").mkdir(parents=True)
        os._exit(9)

    child = os.fork()
    if child == 0:
        store(tmp_path, die).get("trixie")
    os.waitpid(child, 0)
    assert len(list((tmp_path / "making").glob("trixie-*"))) == 1
    store(tmp_path, TinyMaker()).get("trixie")
    assert list((tmp_path / "making").glob("trixie-*")) == []


def test_interrupted_while_making(tmp_path: Path) -> None:
    """Ctrl-C leaves nothing behind."""

    def interrupted(_: Spec, root: Path) -> Made:
        root.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(tmp_path, interrupted).get("trixie")
    assert list((tmp_path / "making").glob("trixie-*")) == []
    assert not (tmp_path / "current").exists()


def test_two_at_once_make_one(tmp_path: Path) -> None:
    """Whoever comes second waits, says so, and takes what the first one made."""
    maker, started, go, waiting = TinyMaker(), threading.Event(), threading.Event(), threading.Event()

    def slow(spec: Spec, root: Path) -> Made:
        started.set()
        assert go.wait(30)
        return maker(spec, root)

    def listen(words: str) -> None:
        if words == "waiting for another process that makes trixie":
            waiting.set()

    got: list[str] = []
    first = threading.Thread(target=lambda: got.append(store(tmp_path, slow).get("trixie").sha256))
    second = threading.Thread(
        target=lambda: got.append(
            DebianToolchains(tmp_path, FixedClock(), maker=slow, report=listen).get("trixie").sha256
        )
    )
    first.start()
    assert started.wait(30)
    second.start()
    assert waiting.wait(30)
    go.set()
    first.join()
    second.join()
    assert ["trixie"] == maker.made
    assert len(got) == 2
    assert len(set(got)) == 1


def test_remake_keeps_the_old_one(tmp_path: Path) -> None:
    """A new archive state gives a new tree; the old one can still be had by its digest, for replays."""
    maker = TinyMaker()
    toolchains = store(tmp_path, maker)
    old = toolchains.get("trixie")
    maker.text = "another state of the archive\n"
    new = toolchains.remake("trixie")
    assert old.sha256 != new.sha256
    assert new == store(tmp_path, maker).get("trixie")
    assert old == store(tmp_path, maker).by_digest(old.sha256)


def test_remake_of_the_same(tmp_path: Path) -> None:
    """When the archive has not changed, neither has anything else."""
    toolchains = store(tmp_path, TinyMaker())
    assert toolchains.get("trixie") == toolchains.remake("trixie")
    assert len(list((tmp_path / "trees").iterdir())) == 1


@pytest.mark.parametrize("digest", ["0" * 64, "", "../current", "A" * 64])
def test_unknown_digest(tmp_path: Path, digest: str) -> None:
    """A digest nobody made here is a sentence; it never becomes a path out of the store."""
    toolchains = store(tmp_path, TinyMaker())
    toolchains.get("trixie")
    with pytest.raises(ToolchainError, match="This machine has no toolchain with the digest"):
        toolchains.by_digest(digest)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_errors_are_sentences(tmp_path: Path, number: int) -> None:
    """A full or read-only disk is told as such, with the place."""

    def failing(_: Spec, root: Path) -> Made:
        raise OSError(number, os.strerror(number), str(root))

    with pytest.raises(ToolchainError, match=os.strerror(number)) as caught:
        store(tmp_path, failing).get("trixie")
    assert str(tmp_path) in str(caught.value)
