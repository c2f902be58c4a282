"""The tree of a project as a stranger has it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from rebuilder.errors import UsageError
from rebuilder.model.project import ProjectTree
from rebuilder.network.git.work_tree import read_work_tree
from tests.fakes.blobs import MemoryBlobs

MOMENT = 1_700_000_000


def git(place: Path, *arguments: str) -> None:
    """Run git as somebody with a name."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(place),
        **{f"GIT_{who}_{what}": "Ann" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **{f"GIT_{who}_DATE": f"{MOMENT} +0000" for who in ("AUTHOR", "COMMITTER")},
    }
    subprocess.run(["git", "-c", "init.defaultBranch=main", *arguments], cwd=place, env=environment, check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A committed project with something ignored."""
    place = tmp_path / "loom"
    place.mkdir()
    for name, text in {"a.py": "a\n", "b.py": "b\n", ".gitignore": "*.log\n", "x.log": "noise\n"}.items():
        (place / name).write_text(text)
    (place / "b.py").chmod(0o755)
    git(place, "init", "-q", ".")
    git(place, "add", "-A")
    git(place, "commit", "-qm", "first")
    return place


def members(blobs: MemoryBlobs, tree: ProjectTree) -> dict[str, tuple[bytes, int, int]]:
    """What the archive holds: content, mode and time by name."""
    with tarfile.open(fileobj=io.BytesIO(blobs.read(tree.archive_sha256))) as archive:
        return {
            each.name: ((found.read() if (found := archive.extractfile(each)) else b""), each.mode, int(each.mtime))
            for each in archive.getmembers()
        }


def test_it_is_what_git_has(project: Path) -> None:
    """Ignored files are left out; modes are those of a checkout, and every time is the commit's."""
    blobs = MemoryBlobs()
    tree = read_work_tree(project, blobs)
    found = members(blobs, tree)
    assert {".gitignore", "a.py", "b.py"} == found.keys()
    assert (b"b\n", 0o755, MOMENT) == found["b.py"]
    assert MOMENT == tree.seconds
    assert tree.commit is not None
    assert () == tree.changed + tree.untracked


def test_what_is_not_committed_is_named(project: Path) -> None:
    """A changed file is taken as it is now; one that git does not know is left out; both are told."""
    (project / "a.py").write_text("changed\n")
    (project / "new.py").write_text("new\n")
    blobs = MemoryBlobs()
    tree = read_work_tree(project, blobs)
    assert (b"changed\n", 0o644, MOMENT) == members(blobs, tree)["a.py"]
    assert ("a.py",) == tree.changed
    assert ("new.py",) == tree.untracked


def test_nothing_that_the_repository_names_is_run(project: Path) -> None:
    """A hook for a file system monitor in the settings of the repository is not asked."""
    ran = project.parent / "ran"
    monitor = project.parent / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {ran}\n")
    monitor.chmod(0o755)
    git(project, "config", "core.fsmonitor", str(monitor))
    read_work_tree(project, MemoryBlobs())
    assert not ran.exists()


def test_without_git_it_is_everything_but_leftovers(tmp_path: Path) -> None:
    """Directories that builds and tools leave behind are not the project."""
    for name in ("a.py", "dist/old.whl", "build/lib/a.py", "x.egg-info/PKG-INFO", "own/pyvenv.cfg", "own/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x\n")
    blobs = MemoryBlobs()
    tree = read_work_tree(tmp_path, blobs)
    assert {"a.py"} == members(blobs, tree).keys()
    assert tree.commit is None


def test_no_directory_is_one_sentence(tmp_path: Path) -> None:
    """What is no directory is wrong use."""
    with pytest.raises(UsageError, match="no directory"):
        read_work_tree(tmp_path / "nowhere", MemoryBlobs())
