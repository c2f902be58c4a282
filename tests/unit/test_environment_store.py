"""The store of build environments: made once, kept by digest, checked, and mended only when nothing is lost by it."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.environments.catalog import find
from rebuilder.environments.settle import level
from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import TIME, fingerprint
from rebuilder.errors import BuildEnvironmentError, CorruptEnvironmentError
from rebuilder.model.environment import Image, Made, Manifest, Release
from rebuilder.model.value import Sha256
from tests.fakes.clock import FixedClock
from tests.fakes.environments import PACKAGE, TinyMaker, plant
from tests.fakes.files import change_unseen


def store(root: Path, maker: Callable[[Manifest, Path], Made], told: list[str] | None = None) -> EnvironmentStore:
    """A store as a new process would open it."""
    return EnvironmentStore(root, FixedClock(), maker=maker, report=None if told is None else told.append)


def test_made_once(tmp_path: Path) -> None:
    """The second process finds what the first one made, and is not told that anything takes long."""
    maker, told = TinyMaker(), list[str]()
    first = store(tmp_path, maker).get("trixie")
    assert first == store(tmp_path, maker, told).get("trixie")
    assert ["trixie"] == maker.made
    assert told == []


def test_record_says_what_it_was_made_from(tmp_path: Path) -> None:
    """Packages with digests, the specification and the time are kept beside the tree."""
    environments = store(tmp_path, TinyMaker())
    record = environments.record(environments.get("trixie").sha256)
    assert ("trixie", "3.13", "a test") == (record.spec.suite, record.spec.provides["python"], record.made.tool)
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


def times_kept(root: Path) -> tuple[EnvironmentStore, Path]:
    """A store, and the tree of an environment in it that keeps times of packages; ``etc/text`` and a link have one."""

    def make(spec: Manifest, tree: Path) -> Made:
        plant(tree)
        for name in ("etc/passwd", "usr/bin/python3"):
            os.utime(tree / name, (1_000_000_000, 1_000_000_000), follow_symlinks=False)
        level(tree, int(root.stat().st_mtime) if spec.package_times else None)
        return Made(packages=(PACKAGE,), tool="a test")

    root.mkdir(exist_ok=True)
    spec = Manifest(name="own", suite="trixie", packages=("x",), configured=True, package_times=True)
    found = EnvironmentStore(root, FixedClock(), maker=make, specs=lambda _: spec)
    return found, found.get("own").root


def test_times_of_packages_are_kept_and_bound(tmp_path: Path) -> None:
    """They are in the digest and the specification; touched ones are put right by the listing, if that is the one."""
    environments, root = times_kept(tmp_path / "store")
    environment = environments.get("own")
    assert environment.specification is not None
    plain = environment.specification.replace(package_times=None)
    assert (True, False) == (environment.specification.package_times, environment.specification.same_content(plain))
    assert "package_times" not in plain.document()
    assert b"\nl@1000000000 python3.13 usr/bin/python3\n" in (root.parent / "listing").read_bytes()
    for name in ("etc", "etc/passwd", "usr/bin/python3", "usr/bin/python3.13"):
        os.utime(root / name, ns=(5, 5), follow_symlinks=False)
    assert environment == times_kept(tmp_path / "store")[0].by_digest(environment.sha256)
    found = [int((root / name).lstat().st_mtime) for name in ("etc", "etc/passwd", "usr/bin/python3")]
    assert [TIME, 1_000_000_000, 1_000_000_000] == found
    (root.parent / "listing").write_text("other")
    with pytest.raises(CorruptEnvironmentError, match="and its listing were modified"):
        times_kept(tmp_path / "store")
    assert 1_000_000_000 == (root / "etc/passwd").stat().st_mtime


def test_a_record_that_says_otherwise_of_times(tmp_path: Path) -> None:
    """A tree whose times were in its digest is another one without them."""
    environments, root = times_kept(tmp_path / "store")
    record = root.parent / "record.json"
    record.write_text(record.read_text().replace('"package_times":true,', ""))
    with pytest.raises(CorruptEnvironmentError, match="etc/passwd was given another time"):
        EnvironmentStore(tmp_path / "store", FixedClock()).by_digest(root.parent.name)
    assert environments.kept_trees()[0].record.spec.package_times is None


def test_only_what_is_installed_keeps_times() -> None:
    """Where no package is installed, nothing tells a time of a package from another."""
    with pytest.raises(ValueError, match="only installed packages"):
        Manifest(name="own", suite="trixie", packages=("x",), package_times=True)


def test_change_is_named_and_stays(tmp_path: Path) -> None:
    """The sentence names the first changed files; nothing is made again behind the user's back."""
    maker = TinyMaker()
    root = store(tmp_path, maker).get("trixie").root
    for name in "abcde":
        (root / "etc" / name).touch()
    with pytest.raises(
        BuildEnvironmentError, match="etc/a was added, etc/b was added, etc/c was added, and 2 more"
    ) as caught:
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
    with pytest.raises(BuildEnvironmentError, match="and its listing were modified"):
        store(tmp_path, TinyMaker()).get("trixie")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff", b"[]", None], ids=repr)
def test_broken_record(tmp_path: Path, content: bytes | None) -> None:
    """A record that is no record is named with the directory to remove."""
    environment = store(tmp_path, TinyMaker()).get("trixie")
    record = environment.root.parent / "record.json"
    record.unlink()
    if content is not None:
        record.write_bytes(content)
    with pytest.raises(BuildEnvironmentError, match=r"its record.json is missing or malformed") as caught:
        store(tmp_path, TinyMaker()).get("trixie")
    assert str(record.parent) in str(caught.value)


def test_record_of_another_tree(tmp_path: Path) -> None:
    """A record must be about the directory it lies in."""
    environment = store(tmp_path, TinyMaker()).get("trixie")
    record = environment.root.parent / "record.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"sha256": "0" * 64}))
    with pytest.raises(BuildEnvironmentError, match="malformed"):
        store(tmp_path, TinyMaker()).get("trixie")


@pytest.mark.parametrize("pointer", ["", "../..", "0" * 64, "x" * 64, "é"])
def test_broken_pointer(tmp_path: Path, pointer: str) -> None:
    """A pointer to nothing is as good as none: the build environment is made, and comes out the same."""
    first = store(tmp_path, TinyMaker()).get("trixie")
    (tmp_path / "current/trixie").write_text(pointer)
    assert first == store(tmp_path, TinyMaker()).get("trixie")


@pytest.mark.parametrize("mark", ["of the tree", "another", None], ids=str)
def test_a_fingerprint_is_not_believed(tmp_path: Path, mark: str | None) -> None:
    """Whoever changes a tree can change the fingerprint beside it: each process reads the tree itself."""
    root = store(tmp_path, TinyMaker()).get("trixie").root
    file = root / "usr/bin/python3.13"
    change_unseen(file, b"AN interpreter\n")
    (root.parent / "fingerprint").unlink()
    if mark is not None:
        (root.parent / "fingerprint").write_text(fingerprint(root) if mark == "of the tree" else mark)
    with pytest.raises(CorruptEnvironmentError, match=r"usr/bin/python3\.13 was changed"):
        store(tmp_path, TinyMaker()).get("trixie")


def test_a_change_while_it_is_in_use(tmp_path: Path) -> None:
    """A process that has read the tree notices what is changed afterwards, times put back and all."""
    environments = store(tmp_path, TinyMaker())
    root = environments.get("trixie").root
    file = root / "etc/passwd"
    change_unseen(file, b"r00t:x:0:0:root:/root:/bin/sh\n")
    (root.parent / "fingerprint").write_text(fingerprint(root))
    with pytest.raises(CorruptEnvironmentError, match="etc/passwd was changed"):
        environments.get("trixie")
    with pytest.raises(CorruptEnvironmentError, match="etc/passwd was changed"):
        environments.by_digest(root.parent.name)


def test_a_tree_that_is_being_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is never the same at the beginning and at the end of reading it is not used."""
    store(tmp_path, TinyMaker()).get("trixie")
    numbers = iter(range(100))
    monkeypatch.setattr("rebuilder.environments.record.whole_fingerprint", lambda _: str(next(numbers)))
    with pytest.raises(CorruptEnvironmentError, match="was changed while it was read"):
        store(tmp_path, TinyMaker()).get("trixie")


def test_a_name_that_stands_for_another_tree(tmp_path: Path) -> None:
    """A name is not led to what was made under another one, though that is what it says it is."""
    maker = TinyMaker()
    environments = store(tmp_path, maker)
    environments.get("trixie")
    maker.text = "of bookworm\n"
    other = environments.get("bookworm")
    (tmp_path / "current/trixie").write_text(other.sha256)
    with pytest.raises(CorruptEnvironmentError, match="made as 'bookworm'") as caught:
        store(tmp_path, maker).get("trixie")
    assert str(tmp_path / "current/trixie") in str(caught.value.hint)
    (tmp_path / "current/trixie").unlink()
    assert store(tmp_path, maker).get("trixie").name == "trixie"


def test_two_names_for_one_tree(tmp_path: Path) -> None:
    """The same tree under two names is kept once, and made again for neither of them."""
    maker = TinyMaker()
    environments = store(tmp_path, maker)
    found = [environments.get(name) for name in ("trixie", "bookworm", "trixie", "bookworm")]
    assert ["trixie", "bookworm"] == maker.made
    assert ["trixie", "bookworm", "trixie", "bookworm"] == [each.name for each in found]
    assert 1 == len({each.sha256 for each in found})
    assert found[0] == store(tmp_path, maker).by_digest(found[1].sha256)


def changed(name: str) -> Manifest:
    """The specification of a later version of this program."""
    spec = find(name)
    return spec.replace(packages=(*spec.packages, "zip"))


@pytest.mark.parametrize("same_tree", [True, False])
def test_another_specification(tmp_path: Path, same_tree: bool) -> None:
    """A tree that was made to another specification is made again, once; the one before stays by its digest."""
    maker, told = TinyMaker(), list[str]()
    old = store(tmp_path, maker).get("trixie")
    maker.text += "" if same_tree else "and zip\n"
    later = EnvironmentStore(tmp_path, FixedClock(), maker=maker, specs=changed, report=told.append)
    assert later.kept("trixie") is None
    new = later.get("trixie")
    assert (["trixie", "trixie"], ["making trixie from the Debian archive"]) == (maker.made, told)
    assert same_tree == (old.sha256 == new.sha256)
    again = EnvironmentStore(tmp_path, FixedClock(), maker=maker, specs=changed)
    assert new == again.get("trixie") == again.kept("trixie")
    assert ["trixie", "trixie"] == maker.made
    assert old.sha256 == again.by_digest(old.sha256).sha256


def test_another_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this program makes other trees of the same packages, those that are there are made again."""
    maker = TinyMaker()
    store(tmp_path, maker).get("trixie")
    monkeypatch.setattr("rebuilder.environments.store.RECIPE", 99)
    store(tmp_path, maker).get("trixie")
    store(tmp_path, maker).get("trixie")
    assert ["trixie", "trixie"] == maker.made


def test_a_record_from_before(tmp_path: Path) -> None:
    """The version before wrote which Python a tree has in a field of its own; such a tree is used, not made again."""
    maker = TinyMaker()
    made = store(tmp_path, maker).get("trixie")
    record = made.root.parent / "record.json"
    document = json.loads(record.read_text())
    document["spec"]["python"] = document["spec"].pop("provides")["python"]
    record.write_text(json.dumps(document))
    assert made == store(tmp_path, maker).get("trixie")
    assert ["trixie"] == maker.made


NO_MIRROR = "The mirror lacks a file."


def no_mirror(_: Manifest, root: Path) -> Made:
    """A mirror that has dropped a file."""
    root.mkdir()
    raise BuildEnvironmentError(NO_MIRROR, hint="Wait.")


def test_one_that_cannot_be_made_again(tmp_path: Path) -> None:
    """The one that is there is used, and reports say so; the mirror is not asked again and again."""
    old = store(tmp_path, TinyMaker()).get("trixie")
    told: list[str] = []
    later = EnvironmentStore(tmp_path, FixedClock(), maker=no_mirror, specs=changed, report=told.append)
    used = [later.get("trixie"), later.get("trixie")]
    assert {old.sha256} == {each.sha256 for each in used}
    ((note,), again) = (each.summary.notes for each in used)
    assert (note,) == again
    assert all(words in note for words in ("trixie", "has changed", "2026-11-01"))
    assert (note,) == later.by_digest(old.sha256).summary.notes
    reason = f"{NO_MIRROR} Wait."
    assert ["making trixie from the Debian archive", f"{note} {reason}"] == told


def test_another_python_is_not_replaced(tmp_path: Path) -> None:
    """One with another Python does not stand in for the one that was asked for."""
    store(tmp_path, TinyMaker()).get("trixie")
    newer = find("trixie").replace(provides={"python": "3.14"})
    other = EnvironmentStore(tmp_path, FixedClock(), maker=no_mirror, specs=lambda _: newer)
    with pytest.raises(BuildEnvironmentError, match=NO_MIRROR):
        other.get("trixie")


def test_lost_tree(tmp_path: Path) -> None:
    """A record without a tree is not used."""
    root = store(tmp_path, TinyMaker()).get("trixie").root
    root.rename(tmp_path / "elsewhere")
    with pytest.raises(BuildEnvironmentError, match="its root is missing"):
        store(tmp_path, TinyMaker()).get("trixie")


def test_killed_while_making(tmp_path: Path) -> None:
    """What a killed process left half made is cleaned up, and its lock is free."""

    def die(_: Manifest, root: Path) -> Made:
        (root / "usr").mkdir(parents=True)
        os._exit(9)

    child = os.fork()
    if child == 0:
        store(tmp_path, die).get("trixie")
    os.waitpid(child, 0)
    assert len(list((tmp_path / "making").glob("trixie@*"))) == 1
    store(tmp_path, TinyMaker()).get("trixie")
    assert list((tmp_path / "making").glob("trixie@*")) == []


def test_interrupted_while_making(tmp_path: Path) -> None:
    """Ctrl-C leaves nothing behind."""

    def interrupted(_: Manifest, root: Path) -> Made:
        root.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(tmp_path, interrupted).get("trixie")
    assert list((tmp_path / "making").glob("trixie@*")) == []
    assert not (tmp_path / "current").exists()


def test_two_at_once_make_one(tmp_path: Path) -> None:
    """Whoever comes second waits, says so, and takes what the first one made."""
    maker, started, go, waiting = TinyMaker(), threading.Event(), threading.Event(), threading.Event()

    def slow(spec: Manifest, root: Path) -> Made:
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
            EnvironmentStore(tmp_path, FixedClock(), maker=slow, report=listen).get("trixie").sha256
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
    environments = store(tmp_path, maker)
    old = environments.get("trixie")
    maker.text = "another state of the archive\n"
    new = environments.remake("trixie")
    assert old.sha256 != new.sha256
    assert new == store(tmp_path, maker).get("trixie")
    assert old == store(tmp_path, maker).by_digest(old.sha256)


def test_remake_of_the_same(tmp_path: Path) -> None:
    """When the archive has not changed, neither has anything else."""
    environments = store(tmp_path, TinyMaker())
    assert environments.get("trixie") == environments.remake("trixie")
    assert len(list((tmp_path / "trees").iterdir())) == 1


@pytest.mark.parametrize("digest", ["0" * 64, "", "../current", "A" * 64])
def test_unknown_digest(tmp_path: Path, digest: str) -> None:
    """A digest nobody made here is a sentence; it never becomes a path out of the store."""
    environments = store(tmp_path, TinyMaker())
    environments.get("trixie")
    with pytest.raises(BuildEnvironmentError, match="has no build environment with"):
        environments.by_digest(digest)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_disk_errors_are_sentences(tmp_path: Path, number: int) -> None:
    """A full or read-only disk is told as such, with the place."""

    def failing(_: Manifest, root: Path) -> Made:
        raise OSError(number, os.strerror(number), str(root))

    with pytest.raises(BuildEnvironmentError, match=os.strerror(number)) as caught:
        store(tmp_path, failing).get("trixie")
    assert str(tmp_path) in str(caught.value)


def test_by_its_specification(tmp_path: Path) -> None:
    """What is here to the digest of each package is found, whichever index promised the packages; nothing is made."""
    maker = TinyMaker()
    environments = store(tmp_path, maker)
    made = environments.get("trixie")
    assert made.specification is not None
    index = Release(suite="trixie", date="Sun, 02 Nov 2026 00:00:00 UTC", sha256=Sha256("ef" * 32))
    assert (
        made == environments.get(made.specification) == environments.get(made.specification.replace(releases=(index,)))
    )
    assert ["trixie"] == maker.made


def test_made_to_a_specification(tmp_path: Path) -> None:
    """Where the archive still has every package of it, it is made: those versions are asked for and come out."""
    asked: list[Manifest] = []

    def listening(spec: Manifest, root: Path) -> Made:
        asked.append(spec)
        return TinyMaker()(spec, root)

    there = store(tmp_path / "there", TinyMaker()).get("trixie")
    assert there.specification is not None
    here = store(tmp_path / "here", listening)
    assert there.sha256 == here.get(there.specification).sha256 == here.get(there.specification).sha256
    assert [(f"{PACKAGE.name}={PACKAGE.version}",)] == [each.packages for each in asked]
    assert not (tmp_path / "here/current/trixie").exists()


def test_the_archive_has_moved_on(tmp_path: Path) -> None:
    """Other packages than the specification names are not taken for it, and nothing of them is kept."""
    there = store(tmp_path / "there", TinyMaker()).get("trixie")
    assert there.specification is not None
    other = PACKAGE.replace(sha256="cd" * 32)
    wanted = there.specification.replace(packages=(other,))
    here = store(tmp_path / "here", TinyMaker())
    with pytest.raises(BuildEnvironmentError, match=f"no longer has what the specification {wanted.digest} names"):
        here.get(wanted)
    assert () == here.kept_trees()
    given = there.specification.replace(method="image", image=Image(sha256=Sha256("ab" * 32)))
    with pytest.raises(BuildEnvironmentError, match=f"the image with the digest {'ab' * 32}") as caught:
        here.get(given)
    assert "rebuilder environments" in (caught.value.hint or "")


def test_an_environment_of_no_catalog(tmp_path: Path) -> None:
    """Whoever needs another one says what it is to be, and gets it under its own name."""
    environments = store(tmp_path, TinyMaker())
    manifest = Manifest(name="node", suite="trixie", packages=("nodejs",), provides={"node": "20"})
    found = environments.get(manifest)
    assert ("node", {"node": "20"}) == (found.name, found.provides)
    assert found == store(tmp_path, TinyMaker()).get(manifest)
    assert ["node"] == [name for each in environments.kept_trees() for name in each.names]
