"""Images that somebody gives: taken in by the command, in the real sandbox; of a hostile one nothing is kept."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import listing
from rebuilder.errors import BuildEnvironmentError
from tests.fakes.clock import FixedClock
from tests.fakes.command import PROGRAM
from tests.fakes.images import SHELL, Image, Member, directory, gzipped, image, link, plain, tar, zstandard


def copied(environments_root: Path, store: Path, *names: str) -> Path:
    """A store with some of the real build environments, copied: it is written to."""
    place = store / "toolchains"
    (place / "trees").mkdir(parents=True)
    (place / "current").mkdir()
    for name in names:
        sha256 = (environments_root / "current" / name).read_text().strip()
        shutil.copytree(environments_root / "trees" / sha256, place / "trees" / sha256, symlinks=True)
        shutil.copy(environments_root / "current" / name, place / "current" / name)
    return place


@pytest.fixture
def store(tmp_path: Path, environments_root: Path) -> Path:
    """A store of the command."""
    copied(environments_root, tmp_path / "store", "trixie")
    return tmp_path / "store"


def command(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What `rebuilder environments` does."""
    done = [str(PROGRAM), "environments", *words, "--store", str(store)]
    return subprocess.run(done, capture_output=True, text=True, check=False, timeout=300)


def kept(store: Path) -> list[str]:
    """Trees of a store, what names stand for, and what is in the making."""
    places = [
        *store.glob("toolchains/trees/*"),
        *store.glob("toolchains/current/*"),
        *store.glob("toolchains/making/[!.]*"),
    ]
    return sorted(str(each.relative_to(store)) for each in places)


def packed(root: Path) -> bytes:
    """A tree as a layer."""
    done = subprocess.run(
        ["tar", "-C", str(root), "--owner=0", "--group=0", "-c", "."], capture_output=True, check=True
    )
    return done.stdout


def test_tree_of_debian(store: Path, tmp_path: Path, environments: EnvironmentStore) -> None:
    """What was made of packages comes out of an image as the same tree; more on top of it is another one."""
    trixie = environments.get("trixie")
    lower = packed(trixie.root)
    whole = image(lower, compress=gzipped)
    (tmp_path / "image.tar").write_bytes(whole.archive())
    done = command(store, "import", str(tmp_path / "image.tar"))
    assert (0, f"{trixie.sha256} is here: ") == (done.returncode, done.stdout[: len(trixie.sha256) + 10]), done.stderr
    more = image(
        lower, tar(Member("usr/bin/more", b"#!/bin/sh\n", 0o6755), Member("usr/bin/.wh.xz")), compress=zstandard
    )
    (tmp_path / "more.tar").write_bytes(more.archive())
    done = command(
        store, "import", str(tmp_path / "more.tar"), "--name", "own-builder", "--provides", "tool=7,gcc=14.2.0"
    )
    assert 0 == done.returncode, done.stderr
    assert f"with the digest {more.digest()}, which was given." in done.stderr
    sha256, _, told = done.stdout.partition(" is here: ")
    assert "own-builder, with python 3.13, tool 7, gcc 14.2.0.\n" == told
    here = environment_store(store / "toolchains", FixedClock())
    found = here.get("own-builder")
    specification = here.by_digest(sha256).specification
    assert specification is not None
    assert (sha256, "own-builder", "image") == (found.sha256, found.name, specification.method)
    assert not (found.root / "usr/bin/xz").exists()
    assert {0o755} == {(found.root / "usr/bin" / name).stat().st_mode & 0o7777 for name in ("more", "dash")}
    here.export(sha256, tmp_path / "export")
    there = EnvironmentStore(tmp_path / "there", FixedClock())
    assert listing(found.root) == listing(there.import_(tmp_path / "export").root)
    assert specification == there.record(sha256).specification
    with pytest.raises(BuildEnvironmentError, match=f"of the image with the digest {more.digest()}"):
        EnvironmentStore(tmp_path / "elsewhere", FixedClock()).get(specification)
    assert "own-builder" in command(store, "list").stdout


HOSTILE: list[tuple[str, Image, str]] = [
    ("climbing", image(tar(*SHELL, Member("../../x", b"x"))), "leads out of it"),
    ("device", image(tar(*SHELL, Member("sda", kind=b"3"))), "“sda” is a device"),
    ("through a link", image(tar(*SHELL, link("a", "/etc"), Member("a/x", b"x"))), "goes through a link"),
    ("bomb", image(tar(*SHELL, Member("a", bytes(64 << 20)))), "a bomb?"),
    ("two", image(tar(*SHELL), index={"manifests": []}), "no images for amd64"),
    ("fields", image(tar(*SHELL), config={"rootfs": {"diff_ids": ["\x1b[31m"]}}), "no SHA-256"),
    ("empty", image(tar(directory("a")), compress=plain), "no bin/sh"),
]


@pytest.mark.parametrize(("given", "words"), [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE])
def test_hostile(store: Path, tmp_path: Path, given: Image, words: str) -> None:
    """One clear sentence, exit code 2, and the store is as it was."""
    (tmp_path / "image.tar").write_bytes(given.archive())
    before = kept(store)
    done = command(store, "import", str(tmp_path / "image.tar"), "--name", "evil")
    assert 2 == done.returncode, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (before, "") == (kept(store), done.stdout)


def test_wrong_use(store: Path, tmp_path: Path) -> None:
    """Names that others have, or none; what an image provides; an export, which has both in it; a file that is not."""
    (tmp_path / "image.tar").write_bytes(image(tar(*SHELL)).archive())
    before = kept(store)
    for words, said in (
        (("--name", "bookworm"), "is that of another build environment"),
        (("--name", "../x"), "cannot name a build environment"),
        (("--provides", "python"), "is not WHAT=VERSION"),
        (("--provides", "python=3,python=4"), "is not WHAT=VERSION"),
    ):
        done = command(store, "import", str(tmp_path / "image.tar"), *words)
        assert (2, True) == (done.returncode, said in done.stderr), done.stderr
    assert 2 == command(store, "import", str(tmp_path / "nothing")).returncode
    assert 2 == command(store, "import", str(tmp_path)).returncode
    assert before == kept(store)


def test_what_begins_as_no_image(tmp_path: Path) -> None:
    """Nothing is made to look into it: not the environment that unpacks, and no directory."""
    (tmp_path / "nonsense").write_bytes(b"nonsense " * 100)
    (tmp_path / "short").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    for place, words in (
        (tmp_path / "nonsense", "no tar archive"),
        (tmp_path / "short", "no tar archive"),
        (tmp_path / "pipe", "no file that has an end"),
        (Path("/dev/zero"), "no file that has an end"),
        (tmp_path, "no file that has an end"),
    ):
        done = command(tmp_path / "store", "import", str(place))
        assert (2, True) == (done.returncode, words in done.stderr), done.stderr
    assert [] == kept(tmp_path / "store")


def test_what_a_killed_import_left(store: Path, tmp_path: Path) -> None:
    """It goes with the next one."""
    left_over = store / "toolchains" / "making" / "given@killed"
    (left_over / "root").mkdir(parents=True)
    (tmp_path / "image.tar").write_bytes(image(tar(*SHELL)).archive())
    assert 0 == command(store, "import", str(tmp_path / "image.tar")).returncode
    assert not left_over.exists()
