"""Listing, digest and fingerprint of a tree."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from rebuilder.environments.settle import level, retime, settle
from rebuilder.environments.tree import TIME, changes, fingerprint, listing, own_times
from rebuilder.errors import BuildEnvironmentError
from tests.fakes.environments import plant
from tests.fakes.files import change_unseen

EMPTY = hashlib.sha256(b"").hexdigest()


def small(root: Path) -> Path:
    """A tree whose listing fits a test."""
    (root / "a b").mkdir(parents=True)
    (root / "a b" / "ü\n%").touch()
    (root / "a b" / "ü\n%").chmod(0o640)
    (root / "a b").chmod(0o755)
    (root / "a-").symlink_to("a b/x")
    root.chmod(0o700)
    return root


def test_listing_is_as_documented(tmp_path: Path) -> None:
    """One line per entry, sorted by the bytes of the path, nothing in a name can break a line."""
    expected = f"d 0700 .\nd 0755 a%20b\nf 0640 0 {EMPTY} a%20b/%C3%BC%0A%25\nl a%20b/x a-\n"
    assert expected == listing(small(tmp_path / "tree")).decode()


def test_listing_ignores_what_differs_between_machines(tmp_path: Path) -> None:
    """Times, owners, inode numbers, hard links and the order of making are not part of it."""
    one, other = small(tmp_path / "one"), tmp_path / "other"
    other.mkdir()
    (other / "a-").symlink_to("a b/x")
    small_directory = other / "a b"
    small_directory.mkdir()
    (tmp_path / "linked").touch(0o640)
    (small_directory / "ü\n%").hardlink_to(tmp_path / "linked")
    os.utime(small_directory / "ü\n%", (1, 1))
    (tmp_path / "linked").chmod(0o640)
    small_directory.chmod(0o755)
    other.chmod(0o700)
    assert listing(one) == listing(other)


def test_times_of_packages_are_part_of_it(tmp_path: Path) -> None:
    """A time of its own stands beside the type of a file or a link, and no other; a link to ``@1`` is no time."""
    root = small(tmp_path / "tree")
    (root / "b").symlink_to("@1")
    level(root)
    plain = listing(root)
    assert plain == listing(root, times=True)
    for name, seconds in (("a b/ü\n%", 1_000_000_000), ("a-", 5)):
        os.utime(root / name, (seconds, seconds), follow_symlinks=False)
    found = listing(root, times=True)
    file, link = f"f@1000000000 0644 0 {EMPTY} a%20b/%C3%BC%0A%25", "l@5 a%20b/x a-"
    assert ["d 0755 .", "d 0755 a%20b", file, link, "l @1 b"] == found.decode().splitlines()
    assert {"a b/ü\n%".encode(): 1_000_000_000, b"a-": 5} == own_times(found)
    assert ["a%20b/%C3%BC%0A%25 was given another time", "a- was given another time"] == changes(plain, found)
    assert plain == listing(root)
    level(root)
    retime(root, own_times(found))
    assert found == listing(root, times=True)


def test_which_times_are_those_of_packages(tmp_path: Path) -> None:
    """Neither those since the installation began, nor those of directories, nor what some file system cannot keep."""
    root = small(tmp_path)
    began = int(time.time()) - 60
    given = {"old": 1_000_000_000, "soon": began + 86400 * 365, "first": 1, "last": (1 << 31) - 2, "before": began - 1}
    others = {"zero": 0, "negative": -5, "late": (1 << 31) - 1, "later": 1 << 33, "made": began, "now": began + 60}
    for name, seconds in (given | others).items():
        (root / name).touch()
        os.utime(root / name, ns=(0, seconds * 1_000_000_000 + 7))
    (root / "hard").hardlink_to(root / "old")
    (root / "soft").symlink_to("none")
    os.utime(root / "soft", (77, 77), follow_symlinks=False)
    os.utime(root / "a b", (77, 77))
    level(root, began)
    expected = {os.fsencode(name): seconds for name, seconds in given.items()} | {b"hard": 1_000_000_000, b"soft": 77}
    assert expected == own_times(listing(root, times=True))
    assert {0} == {each.lstat().st_mtime_ns % 1_000_000_000 for each in root.rglob("*")}
    assert TIME == (root / "a b").stat().st_mtime
    before = listing(root, times=True)
    level(root, began)
    assert before == listing(root, times=True)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are listed and told apart."""
    for name in (b"\xff", b"\xfe"):
        (tmp_path / os.fsdecode(name)).touch()
    lines = listing(tmp_path).decode().splitlines()
    assert ["%FE", "%FF"] == [line.split()[-1] for line in lines[1:]]


def test_devices_are_refused(tmp_path: Path) -> None:
    """Anything that is neither file, directory nor link is named."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BuildEnvironmentError, match="pipe is neither"):
        listing(tmp_path)


def test_fingerprint_sees_every_touch(tmp_path: Path) -> None:
    """Content of the same size with the old time put back is still noticed: nobody can set the change time."""
    root = small(tmp_path / "tree")
    file = root / "a b" / "ü\n%"
    file.write_text("one")
    before = fingerprint(root)
    assert before == fingerprint(root)
    change_unseen(file, b"two")
    assert before != fingerprint(root)


def test_fingerprint_sees_times_before_1970(tmp_path: Path) -> None:
    """No time is too odd."""
    before = fingerprint(small(tmp_path / "tree"))
    os.utime(tmp_path / "tree" / "a b", (-5, -5))
    assert before != fingerprint(tmp_path / "tree")


def test_changes_are_named(tmp_path: Path) -> None:
    """Each kind of change has its own words."""
    root = tmp_path / "tree"
    plant(root)
    for name in ("added-later", "mode", "kind"):
        (root / name).write_text(name)
    before = listing(root)
    (root / "added-later").rename(root / "new")
    (root / "mode").chmod(0o600)
    (root / "kind").unlink()
    (root / "kind").mkdir()
    (root / "etc/passwd").write_text("other")
    (root / "usr/bin/python3").unlink()
    (root / "usr/bin/python3").symlink_to("elsewhere")
    assert [
        "added-later was removed",
        "etc/passwd was changed",
        "kind was replaced by another kind of file",
        "mode was given another mode",
        "new was added",
        "usr/bin/python3 was pointed elsewhere",
    ] == changes(before, listing(root))
    assert changes(before, before) == []


def test_settle_gives_the_one_form(tmp_path: Path) -> None:
    """Leftovers go, special bits go, fixed files come, every entry has the one time; twice is the same as once."""
    root = tmp_path / "tree"
    plant(root)
    (root / "var/cache/apt").mkdir(parents=True)
    (root / "usr/share/doc/x").mkdir(parents=True)
    (root / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    (root / "etc/hostname").write_text("this-machine\n")
    (root / "usr/bin/su").touch()
    (root / "usr/bin/su").chmod(0o6711)
    (root / "usr/bin/awk").symlink_to("somewhere")
    (root / "etc/shadow").touch(0o600)
    (root / "usr/share").chmod(0o2700)
    settle(root, {"usr/bin/awk": "mawk", "usr/bin/which": "which.debianutils"})
    assert not (root / "var/cache").exists()
    assert not (root / "usr/share/doc").exists()
    assert not (root / "etc/resolv.conf").exists()
    assert not (root / "etc/hostname").exists()
    assert (root / "proc").is_dir()
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o755
    assert "build:x:1000:1000:build:/build:/bin/sh" in (root / "etc/passwd").read_text()
    assert Path("somewhere") == (root / "usr/bin/awk").readlink()
    assert Path("which.debianutils") == (root / "usr/bin/which").readlink()
    assert (root / "usr/bin/su").stat().st_mode & 0o7777 == 0o755
    assert (root / "etc/shadow").stat().st_mode & 0o7777 == 0o644
    assert (root / "usr/share").stat().st_mode & 0o7777 == 0o755
    assert {TIME} == {int(each.lstat().st_mtime) for each in (root, *root.rglob("*"))}
    before = listing(root)
    settle(root, {"usr/bin/awk": "mawk"})
    assert before == listing(root)


def test_settle_removes_what_the_catalog_names(tmp_path: Path) -> None:
    """Patterns for files and whole directories; one that fits nothing is no error."""
    root = tmp_path / "tree"
    plant(root)
    (root / "usr/share/perl5/Debian").mkdir(parents=True)
    (root / "usr/bin/perl5").touch()
    (root / "usr/bin/peril").touch()
    settle(root, {}, ["usr/share/perl*", "usr/bin/perl*", "usr/none/*"])
    assert not (root / "usr/share/perl5").exists()
    assert not (root / "usr/bin/perl5").exists()
    assert (root / "usr/bin/peril").exists()
