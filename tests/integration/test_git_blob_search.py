"""Looking for files in the history of real repositories: merges, subdirectories, references of strangers, servers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.model.git import BlobSearch, SourceProblem
from rebuilder.network.git.process import directory_bytes
from rebuilder.network.git.sources import GitLimits, GitSources
from rebuilder.programs.source.git_store import object_name
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.git_server import GitServer
from tests.fakes.repositories import TIME, Repository, make_repository

URL = "https://example.org/project"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One with a first commit."""
    return make_repository(tmp_path / "served" / "project", {"README.md": b"read me\n"})


def names(**files: str) -> dict[str, str]:
    """Path to git's name, dots written as two underscores."""
    return {path.replace("__", "."): object_name("blob", content.encode()) for path, content in files.items()}


def search(
    tmp_path: Path,
    wanted: dict[str, str],
    *also: str,
    target: str | None = None,
    text: str | None = None,
    limits: GitLimits | None = None,
) -> BlobSearch:
    """Search; fails the test when there is a problem."""
    target = target or str(tmp_path / "served")
    sources = GitSources(
        MemoryBlobs(),
        tmp_path / "cache",
        {"https://example.org": target},
        environment={"PATH": os.environ["PATH"]},
        limits=limits,
    )
    found = sources.holders(URL, wanted, also, text=text)
    assert isinstance(found, BlobSearch), found
    return found


def test_every_commit_that_has_the_most_is_named_first_one_first(repository: Repository, tmp_path: Path) -> None:
    """A file that is changed back counts again; removed it does not; those with one less come after."""
    first = repository.commit({"a.js": "a\n", "b.js": "b\n"})
    changed = repository.commit({"a.js": "other\n"})
    back = repository.commit({"a.js": "a\n"})
    repository.git("rm", "--quiet", "a.js", "b.js")
    repository.commit({"c.js": "c\n"})
    found = search(tmp_path, names(a__js="a\n", b__js="b\n"))
    assert [(first, 2), (back, 2), (changed, 1)] == [(each.commit, len(each.files)) for each in found.holders]


def test_a_merge_has_the_files_of_both_sides(repository: Repository, tmp_path: Path) -> None:
    """Counted from its first parent, whatever its other parents change."""
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit({"side.js": "side\n"})
    repository.git("checkout", "--quiet", "-")
    repository.commit({"main.js": "main\n"})
    repository.git("merge", "--quiet", "--no-ff", "-m", "Merge", "side")
    merge = repository.git("rev-parse", "HEAD")
    after = repository.commit({"x": "x"})
    found = search(tmp_path, names(side__js="side\n", main__js="main\n", README__md="read me\n"))
    assert [merge, after] == [each.commit for each in found.holders if len(each.files) == 3]


def test_what_only_a_strangers_reference_reaches_does_not_count(repository: Repository, tmp_path: Path) -> None:
    """A pull request of a fork is in the same repository as everything else, under a reference of its own."""
    base = repository.commit({"index.js": "good\n"})
    foreign = repository.commit({"index.js": "planted\n"})
    repository.git("update-ref", "refs/pull/1/head", foreign)
    repository.git("reset", "--quiet", "--hard", base)
    found = search(tmp_path, names(index__js="planted\n", README__md="read me\n"), foreign, base)
    assert {base} == found.named.keys()
    assert [("README.md",)] * 2 == [each.files for each in found.holders]
    assert [object_name("blob", b"read me\n")] == list(found.seen)


def test_a_branch_that_was_taken_away_counts_no_more(repository: Repository, tmp_path: Path) -> None:
    """The kept history follows the repository."""
    base = repository.git("rev-parse", "HEAD")
    repository.git("checkout", "--quiet", "-b", "side")
    planted = repository.commit({"index.js": "planted\n"})
    wanted = names(index__js="planted\n")
    assert [planted] == [each.commit for each in search(tmp_path, wanted).holders]
    repository.git("checkout", "--quiet", base)
    repository.git("branch", "--quiet", "-D", "side")
    found = search(tmp_path, wanted, planted)
    assert ((), {}) == (found.holders, found.named)


def test_texts_beside_come_without_other_content(repository: Repository, tmp_path: Path) -> None:
    """Over a server that filters, as forges do: no content of files is fetched but what was asked for."""
    for setting in ("allowFilter", "allowAnySHA1InWant"):
        repository.git("config", f"uploadpack.{setting}", "true")
    repository.commit({"large.bin": os.urandom(1 << 20), "package.json": "one", "sub/package.json": "two"})
    with GitServer(tmp_path / "served") as server:
        wanted = {"package.json": object_name("blob", b"two")}
        found = search(tmp_path, wanted, target=server.url, text="sub/package.json")
        again = search(tmp_path, wanted, target=server.url, text="sub/package.json")
    assert ["two"] == [each.text for each in found.holders]
    assert found == again
    assert directory_bytes(tmp_path / "cache") < 1 << 19


def test_old_forms_of_commits_are_read(repository: Repository, tmp_path: Path) -> None:
    """What programs wrote long ago is not refused: nothing of it is checked out."""
    tree = repository.git("rev-parse", "HEAD^{tree}")
    raw = f"tree {tree}\nauthor A <a@example.org> {TIME} +051800\ncommitter A <a@example.org> {TIME} +0000\n\nOld\n"
    odd = repository.object("commit", raw.encode())
    repository.git("update-ref", "refs/heads/old", odd)
    found = search(tmp_path, names(README__md="read me\n"), odd)
    assert {odd} == found.named.keys()


def test_limits_are_values(repository: Repository, tmp_path: Path) -> None:
    """Too much, or an empty repository: a sentence."""
    repository.commit({f"{number}.js": os.urandom(20) for number in range(3000)})
    small = GitLimits(fetched_bytes=10_000)
    sources = GitSources(
        MemoryBlobs(), tmp_path / "cache", {"https://example.org": str(tmp_path / "served")}, limits=small
    )
    answer = sources.holders(URL, names(a="a"))
    assert isinstance(answer, SourceProblem)
    assert "sends more than is taken" in answer.sentence


def test_paths_that_git_would_quote(repository: Repository, tmp_path: Path) -> None:
    """Line ends, quotes and bytes that are no UTF-8 are parts of names."""
    commit = repository.commit({'li"ne\nend/ä.js': "a\n"})
    found = search(tmp_path, {'li"ne\nend/ä.js': object_name("blob", b"a\n")}, text="a\nb")
    assert [commit] == [each.commit for each in found.holders]
