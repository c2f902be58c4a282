"""The tree of a project as a stranger has it."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from rebuilder.ecosystems.registry import ECOSYSTEMS
from rebuilder.errors import UsageError
from rebuilder.model.project import ProjectTree
from rebuilder.network.git.work_tree import read_work_tree
from rebuilder.programs.source import checkout
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


def described(place: Path, blobs: MemoryBlobs, tree: ProjectTree) -> str:
    """What git says of the commit that a build is given of a tree, once the sandbox program has checked it out."""
    assert tree.checkout is not None
    assert tree.checkout.history is not None
    commit = tree.checkout.commit
    place.mkdir()
    documents = {"tar": tree.archive_sha256, "commit": commit.object_sha256}
    documents |= {"objects": tree.checkout.history.objects_sha256, "tags": tree.checkout.history.tags_sha256}
    documents |= {f"tag-{each.name}": each.object_sha256 for each in commit.tags if each.object_sha256 is not None}
    for name, digest in documents.items():
        (place / name).write_bytes(blobs.read(digest))
    tags = [
        f"--tag-object={each.name}={place}/tag-{each.name}" if each.object_sha256 else f"--tag={each.name}"
        for each in commit.tags
    ]
    into = place / "into"
    arguments = ["--archive", f"{place}/tar", "--commit", commit.sha, "--commit-object", f"{place}/commit"]
    arguments += [f"--history={place}/objects", f"--history-tags={place}/tags", "--into", str(into), *tags]
    assert 0 == checkout.main(arguments)
    asked = ["git", "describe", "--dirty", "--tags", "--long"]
    return subprocess.run(asked, cwd=into, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_of_a_tree_is_described_as_git_does(project: Path, tmp_path: Path) -> None:
    """An annotated tag on an earlier commit and a plain one on this are there, and nothing is changed."""
    git(project, "tag", "-a", "-m", "first", "v1.0")
    git(project, "commit", "-q", "--allow-empty", "-m", "second")
    blobs = MemoryBlobs()
    tree = read_work_tree(project, blobs)
    assert tree.checkout is not None
    assert tree.commit == tree.checkout.commit.sha
    assert f"v1.0-1-g{tree.commit[:7]}" == described(tmp_path / "1", blobs, tree)
    git(project, "tag", "v1.1")
    assert f"v1.1-0-g{tree.commit[:7]}" == described(tmp_path / "2", blobs, read_work_tree(project, blobs))


def test_what_is_not_committed_is_a_commit_after_it(project: Path, tmp_path: Path) -> None:
    """A backend that asks git gets a version after the tag, the same in each build."""
    git(project, "tag", "v1.0")
    (project / "a.py").write_text("changed\n")
    blobs = MemoryBlobs()
    tree = read_work_tree(project, blobs)
    assert tree.checkout is not None
    assert (tree.commit,) == tree.checkout.commit.parents
    assert f"v1.0-1-g{tree.checkout.commit.sha[:7]}" == described(tmp_path / "1", blobs, tree)


def test_a_project_below_the_top_of_its_repository_is_where_it_was(project: Path, tmp_path: Path) -> None:
    """Its files lie in the same directory, and the tag of the commit is that of the files alone."""
    (project / "inner").mkdir()
    (project / "inner" / "c.py").write_text("c\n")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "second")
    git(project, "tag", "-a", "-m", "one", "v1.0")
    blobs = MemoryBlobs()
    tree = read_work_tree(project / "inner", blobs)
    assert ("inner", ("c.py",)) == (tree.top, tree.files)
    assert {"inner/c.py"} == members(blobs, tree).keys()
    assert tree.checkout is not None
    assert f"v1.0-0-g{tree.checkout.commit.sha[:7]}" == described(tmp_path / "1", blobs, tree)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": "[build-system]\nrequires = []\n"}, {"pypi"}),
        ({"pyproject.toml": "[tool.ruff]\n", "package.json": '{"name": "own", "version": "1.0.0"}'}, {"npm"}),
        ({"setup.py": "", "package.json": '{"private": true}'}, {"pypi"}),
        ({"setup.py": "", "debian/changelog": ""}, {"pypi", "deb"}),
        ({"README": ""}, set()),
    ],
)
def test_whose_project_it_is(tmp_path: Path, files: dict[str, str], expected: set[str]) -> None:
    """Settings of tools are no project, and what is private is not published."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert expected == {name for name, each in ECOSYSTEMS.items() if each.is_project(tmp_path)}
