"""Interpreters of the user's own, made from the build environments there are: one Python laid over another Debian."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from uv import find_uv_bin

from rebuilder.environments.from_settings import environment_store
from rebuilder.environments.store import EnvironmentStore
from rebuilder.environments.tree import listing
from rebuilder.errors import BuildEnvironmentError, UsageError
from rebuilder.model.environment import Made, Manifest
from rebuilder.model.settings import InterpreterSettings
from tests.fakes.clock import FixedClock

USE = (
    "import ctypes, json, sqlite3, sys, zlib; print('%d.%d' % sys.version_info[:2], sys.prefix, json.__file__, "
    "json.__cached__.rpartition('/')[2])"
)


class Machine:
    """A store of its own, with the real build environments behind it, and relocatable Pythons on its disk."""

    def __init__(self, place: Path, environments: EnvironmentStore) -> None:
        self.place = place
        self.environments = environments

    def store(self, name: str = "mine", **fields: str) -> EnvironmentStore:
        """The build environments of settings with one interpreter."""
        given = {name: InterpreterSettings.model_validate(fields)}
        return environment_store(
            self.place / "store", FixedClock(datetime(2026, 1, 2, tzinfo=UTC)), interpreters=given, maker=self._copied
        )

    def _copied(self, spec: Manifest, root: Path) -> Made:
        environment = self.environments.get(spec.name)
        shutil.copytree(environment.root, root, symlinks=True)
        return self.environments.record(environment.sha256).made

    def relocatable(self, name: str = "python") -> Path:
        """Debian's Python 3.11 in a directory of its own, as relocatable ones come: ``bin`` and ``lib``."""
        usr, python = self.environments.get("bookworm").root / "usr", self.place / name
        (python / "bin").mkdir(parents=True)
        shutil.copy(usr / "bin/python3.11", python / "bin/python3.11")
        shutil.copytree(usr / "lib/python3.11", python / "lib/python3.11", symlinks=True)
        return python

    def archive(self) -> Path:
        """The same in an archive, below one directory."""
        file = self.place / "python.tar.gz"
        with tarfile.open(file, "w:gz", compresslevel=1) as archive:
            archive.add(self.relocatable("packed"), "python")
        return file


@pytest.fixture
def machine(tmp_path: Path, environments: EnvironmentStore) -> Machine:
    """A machine."""
    return Machine(tmp_path, environments)


def run(root: Path, *command: str) -> str:
    """What a command says on a build environment."""
    mounts = ["--ro-bind", str(root), "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--tmpfs", "/build"]
    mounts += ["--tmpfs", "/tools", "--ro-bind", find_uv_bin(), "/tools/uv"]
    environment = ["--clearenv", "--setenv", "PATH", "/usr/bin:/bin", "--setenv", "HOME", "/tmp"]
    done = subprocess.run(
        ["bwrap", "--unshare-all", *mounts, *environment, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


def test_relocatable_python_over_another_debian(machine: Machine) -> None:
    """It is the only Python there, compiled ahead, works in virtual environments, and the report says whose it is."""
    directory = machine.relocatable()
    build_environment = machine.store(version="3.11", path=str(directory), base="trixie").get("mine")
    expected = "3.11 /usr /usr/lib/python3.11/json/__init__.py __init__.cpython-311.pyc"
    assert expected == run(build_environment.root, "python3", "-c", USE)
    assert not list((build_environment.root / "usr/lib").glob("python3.13"))
    environment = "/tools/uv venv -q --offline --no-config --python /usr/bin/python3 /build/v && "
    asked = "/build/v/bin/python -c 'import sys, json; print(sys.version_info[1], sys.prefix, sys.base_prefix)'"
    assert "11 /build/v /usr" == run(build_environment.root, "sh", "-c", environment + asked)
    trixie = machine.environments.get("trixie")
    assert trixie.summary.packages == build_environment.summary.packages
    assert ("mine", "3.11", 1) == (
        build_environment.name,
        build_environment.provides["python"],
        len(build_environment.summary.notes),
    )
    note = build_environment.summary.notes[0]
    assert "Python 3.11 is not Debian's" in note
    assert f"laid over trixie ({trixie.sha256})" in note
    assert str(machine.place) not in note, "where it is on this machine is nobody's business"


def test_archive_with_its_digest(machine: Machine) -> None:
    """The same from an archive; the digest of the tree is the same, whatever the interpreter came in."""
    archive = machine.archive()
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    store = machine.store(version="3.11", archive=str(archive), sha256=sha256)
    environment = store.get("mine")
    assert sha256 in environment.summary.notes[0]
    assert (environment.root.parent / "listing").read_bytes() == listing(environment.root)
    again = machine.store(version="3.11", path=str(machine.place / "packed"))
    assert environment.sha256 == again.remake("mine").sha256


def test_it_is_verified_at_each_use(machine: Machine) -> None:
    """A changed file in it is found like in any build environment."""
    store = machine.store(version="3.11", path=str(machine.relocatable()))
    root = store.get("mine").root
    (root / "usr/lib/python3.11/json/__init__.py").write_text("evil = True\n")
    with pytest.raises(BuildEnvironmentError, match=r"mine was modified.*json/__init__\.py was changed"):
        store.get("mine")


def test_other_settings_make_another_one(machine: Machine) -> None:
    """Another directory under the same name is not passed over; the earlier tree stays available by its digest."""
    first = machine.store(version="3.11", path=str(machine.relocatable())).get("mine")
    other = machine.relocatable("other")
    (other / "lib/python3.11/extra.py").write_text("extra = 1\n")
    store = machine.store(version="3.11", path=str(other))
    second = store.get("mine")
    assert first.sha256 != second.sha256
    assert second.sha256 == store.get("mine").sha256
    assert first.sha256 == store.by_digest(first.sha256).sha256


def test_root_file_system(machine: Machine) -> None:
    """A root file system with its Python in /usr/local is used as it is, under the name python3 too."""
    root = machine.place / "rootfs"
    shutil.copytree(machine.environments.get("bullseye").root, root, symlinks=True)
    (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
    (root / "usr/local/lib").mkdir(exist_ok=True)
    (root / "usr/bin/python3.9").rename(root / "usr/local/bin/python3.9")
    (root / "usr/lib/python3.9").rename(root / "usr/local/lib/python3.9")
    build_environment = machine.store(version="3.9", path=str(root)).get("mine")
    expected = "3.9 /usr/local /usr/local/lib/python3.9/json/__init__.py __init__.cpython-39.pyc"
    assert expected == run(build_environment.root, "python3", "-c", USE)
    environment = "/tools/uv venv -q --offline --no-config --python /usr/bin/python3 /build/v && "
    assert "9" == run(
        build_environment.root,
        "sh",
        "-c",
        f"{environment} /build/v/bin/python -c 'import sys, json; print(sys.version_info[1])'",
    )
    assert () == build_environment.summary.packages
    assert "root file system" in build_environment.summary.notes[0]


def test_with_git(machine: Machine) -> None:
    """An interpreter is there with git as well, for builds that ask it for their version."""
    root = machine.store(version="3.11", path=str(machine.relocatable())).get("mine-git").root
    assert run(root, "git", "--version").startswith("git version ")
    assert run(root, "python3", "-V").startswith("Python 3.11.")


def test_what_is_no_interpreter(machine: Machine) -> None:
    """Each mistake is one sentence, and nothing is left behind."""
    directory = machine.relocatable()
    archive = machine.archive()
    (machine.place / "text").write_text("not an archive")
    digest = hashlib.sha256(b"not an archive").hexdigest()
    cases = [
        ({"version": "3.12", "path": str(directory)}, "neither bin/python3.12 with lib/python3.12"),
        ({"version": "3.11", "path": f"{machine.place}/none"}, "none is not a directory"),
        ({"version": "3.11", "path": str(machine.place)}, "the build environments themselves lie below"),
        ({"version": "3.11", "archive": str(archive), "sha256": "0" * 64}, "has not the SHA-256"),
        ({"version": "3.11", "archive": f"{machine.place}/none", "sha256": "0" * 64}, "No such file"),
        ({"version": "3.11", "archive": f"{machine.place}/text", "sha256": digest}, "cannot be unpacked"),
    ]
    for fields, words in cases:
        with pytest.raises(BuildEnvironmentError) as caught:
            machine.store(**fields).get("mine")
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not list((machine.place / "store" / "making").glob("mine@*"))


def test_does_not_run_here(machine: Machine) -> None:
    """An interpreter for another machine is told as that."""
    directory = machine.relocatable()
    (directory / "bin/python3.11").write_bytes(b"\x7fELF for something else")
    with pytest.raises(BuildEnvironmentError, match=r"Python 3\.11 of the build environment"):
        machine.store(version="3.11", path=str(directory)).get("mine")


@pytest.mark.parametrize(
    ("name", "base", "words"),
    [
        ("trixie", "trixie", "'interpreters.trixie' is wrong: a build environment has"),
        ("mine", "diffoscope", "'diffoscope' is none of bookworm, bullseye, forky, trixie"),
        ("mine", "trixie-git", "'trixie-git' is none of"),
    ],
)
def test_names_that_cannot_be(machine: Machine, name: str, base: str, words: str) -> None:
    """Settings that the catalog contradicts are refused before anything is made."""
    with pytest.raises(UsageError, match=words):
        machine.store(name, version="3.12", path="/somewhere", base=base)
