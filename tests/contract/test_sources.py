"""What every source of commits does: git on local repositories, and the fake one."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import pytest

from rebuilder.model.git import BlobSearch, CommitFiles, SourceProblem, SourceTree, Trouble
from rebuilder.network.git.sources import GitSources
from rebuilder.network.protocol import Sources
from rebuilder.programs.source.git_store import object_name
from rebuilder.store.protocol import Blobs
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.repositories import TIME, make_repository
from tests.fakes.sources import FakeSources

URL = "https://example.org/group/project"


class SetTag(Protocol):
    """Lets a tag point at a commit."""

    def __call__(self, name: str, sha: str, *, annotated: bool = False) -> None:
        """Set it, moving it if it is there."""
        ...


@dataclass(frozen=True)
class World:
    """Sources, and a repository at ``URL`` with two commits behind them."""

    sources: Sources
    blobs: Blobs
    first: str
    second: str
    tag: SetTag
    break_off: Callable[[], None]
    """From now on the repository is not there."""

    def tree(self, sha: str, hint: str | None = None, url: str = URL) -> SourceTree:
        """Ask; fails the test when there is a problem."""
        answer = self.sources.commit(url, sha, hint)
        assert isinstance(answer, SourceTree), answer
        return answer

    def trouble(self, sha: str, url: str = URL) -> Trouble:
        """Ask; fails the test when there is none."""
        answer = self.sources.commit(url, sha, None)
        assert isinstance(answer, SourceProblem), answer
        assert answer.sentence.endswith(".")
        return answer.trouble


FIRST, SECOND = {"a.txt": b"one\n"}, {"a.txt": b"two\n", "b/c.txt": b"three\n"}


@pytest.fixture(params=["git", "fake"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Each kind of sources in turn."""
    blobs = MemoryBlobs()
    if request.param == "fake":
        fake = FakeSources(blobs)
        first, second = fake.add(URL, FIRST, moment=TIME), fake.add(URL, SECOND, moment=TIME + 60)

        def set_fake(name: str, sha: str, *, annotated: bool = False) -> None:
            fake.tag(URL, name, sha, annotated=annotated)

        return World(fake, blobs, first, second, set_fake, lambda: fake.forget(URL))
    repository = make_repository(tmp_path / "project", dict(FIRST))
    first = repository.git("rev-parse", "HEAD")
    second = repository.commit(dict(SECOND), moment=TIME + 60)

    def set_tag(name: str, sha: str, *, annotated: bool = False) -> None:
        repository.tag(name, annotated=annotated, commit=sha)

    sources = GitSources(blobs, tmp_path / "cache", {"https://example.org/group": str(tmp_path)})

    def move() -> None:
        repository.path.rename(tmp_path / "elsewhere")

    return World(sources, blobs, first, second, set_tag, move)


def test_a_commit_is_an_archive_of_its_files(world: World) -> None:
    """Those of that commit, not of a later one, with its time."""
    tree = world.tree(world.first)
    with tarfile.open(fileobj=io.BytesIO(world.blobs.read(tree.archive_sha256))) as archive:
        assert [("a.txt", TIME)] == [(each.name, each.mtime) for each in archive]
    assert (1, 4) == (tree.files, tree.size)
    assert 2 == world.tree(world.second).files


def test_the_commit_object_has_the_name_asked_for(world: World) -> None:
    """Anybody can check it from the blob."""
    commit = world.tree(world.second).commit
    raw = world.blobs.read(commit.object_sha256)
    assert world.second == commit.sha == hashlib.sha1(b"commit %d\0" % len(raw) + raw).hexdigest()  # noqa: S324
    assert raw.startswith(f"tree {commit.tree}\n".encode())
    assert datetime.fromtimestamp(TIME + 60, UTC) == commit.committed_at
    assert URL == commit.repository


def test_tags_that_point_at_it(world: World) -> None:
    """In order; an annotated one with its object."""
    world.tag("v2", world.second)
    world.tag("v1", world.first)
    world.tag("alpha", world.second, annotated=True)
    alpha, v2 = world.tree(world.second).commit.tags
    assert ("alpha", "v2", None) == (alpha.name, v2.name, v2.object_sha256)
    assert alpha.object_sha256 is not None
    assert world.blobs.read(alpha.object_sha256).startswith(f"object {world.second}\ntype commit\ntag alpha\n".encode())
    assert {"alpha": world.second, "v1": world.first, "v2": world.second} == world.sources.tags(URL)


@pytest.mark.parametrize("prefix", ["", "refs/tags/"])
def test_expected_tag_elsewhere_is_a_finding(world: World, prefix: str) -> None:
    """The commit counts, whatever a tag does now."""
    world.tag("v1", world.first, annotated=True)
    assert () == world.tree(world.first, f"{prefix}v1").findings
    world.tag("v1", world.second)
    (finding,) = world.tree(world.first, f"{prefix}v1").findings
    assert "v1" in finding
    assert () == world.tree(world.first).commit.tags
    assert 1 == len(world.tree(world.first, f"{prefix}none").findings)


@pytest.mark.parametrize("url", [f"{URL}/", f"{URL}.git", f"{URL}.git/", URL.replace("//", "//user:secret@")])
def test_forms_of_an_address(world: World, url: str) -> None:
    """The same repository; passwords are dropped."""
    tree = world.tree(world.first, url=url)
    assert "secret" not in tree.model_dump_json()
    assert world.tree(world.first).archive_sha256 == tree.archive_sha256


@pytest.mark.parametrize(
    ("url", "sha", "trouble"),
    [
        (URL, "1" * 40, Trouble.NO_COMMIT),
        (URL, "HEAD", Trouble.REFUSED),
        (URL, "A" * 40, Trouble.REFUSED),
        (URL, "--upload-pack=touch x", Trouble.REFUSED),
        ("https://example.org/group/none", "1" * 40, Trouble.NO_REPOSITORY),
        ("ssh://example.org/group/project", "1" * 40, Trouble.REFUSED),
    ],
)
def test_problems_are_values(world: World, url: str, sha: str, trouble: Trouble) -> None:
    """Each is one kind of trouble with a sentence."""
    assert trouble == world.trouble(sha, url)


def test_a_repository_that_went(world: World) -> None:
    """What cannot be asked has no tags either."""
    world.break_off()
    assert Trouble.NO_REPOSITORY == world.trouble(world.second)
    answer = world.sources.tags(URL)
    assert isinstance(answer, SourceProblem)
    assert Trouble.NO_REPOSITORY == answer.trouble
    for asked in (world.sources.files(URL, world.second), world.sources.holders(URL, {"a": "1" * 40})):
        assert isinstance(asked, SourceProblem)
        assert Trouble.NO_REPOSITORY == asked.trouble


def test_files_of_a_commit_by_their_names(world: World) -> None:
    """Every path with the name that git gives its content, and the texts of one name."""
    found = world.sources.files(URL, world.second, texts="c.txt")
    assert isinstance(found, CommitFiles)
    assert {path: object_name("blob", content) for path, content in SECOND.items()} == found.blobs
    assert {"b/c.txt": "three\n"} == found.texts
    other = world.sources.files(URL, world.first)
    assert isinstance(other, CommitFiles)
    assert ({"a.txt"}, {}) == (set(other.blobs), other.texts)
    refused = world.sources.files(URL, "HEAD")
    assert isinstance(refused, SourceProblem)
    assert Trouble.REFUSED == refused.trouble


def test_commits_that_hold_files(world: World) -> None:
    """Those with the most of them first; below a directory counts, another name does not."""
    wanted = {"a.txt": object_name("blob", b"two\n"), "c.txt": object_name("blob", b"three\n")}
    wanted |= {"other.txt": object_name("blob", b"one\n"), "no.txt": object_name("blob", b"none\n")}
    found = world.sources.holders(URL, wanted, [world.first, "1" * 40], text="a.txt")
    assert isinstance(found, BlobSearch)
    (best,) = found.holders
    assert (world.second, ("a.txt", "c.txt"), "two\n") == (best.commit, best.files, best.text)
    assert datetime.fromtimestamp(TIME + 60, UTC) == best.committed_at
    assert {world.first: ()} == {sha: each.files for sha, each in found.named.items()}
    assert {wanted[each] for each in ("a.txt", "c.txt", "other.txt")} == set(found.seen)
    assert (2, 4) == (found.commits, found.searched)
