"""Repositories made to do harm: nothing of them runs, nothing they name is asked, and each is told in a sentence."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

import pytest

from rebuilder.model.git import SourceProblem, SourceTree, Submodule, Trouble
from rebuilder.network.git.address import Remote
from rebuilder.network.git.objects import Unsound, read_commit, read_entries
from rebuilder.network.git.process import Git
from rebuilder.network.git.sources import GitLimits, GitSources
from rebuilder.programs.source.git_store import object_name
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.repositories import Repository, make_repository

URL = "https://example.org/project"
PATH = {"PATH": os.environ["PATH"]}


class Harness:
    """A repository, and sources that find it at ``URL``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.repository: Repository = make_repository(directory / "served" / "project")
        self.blobs = MemoryBlobs()
        self.sources = GitSources(
            self.blobs,
            directory / "cache",
            {"https://example.org": str(directory / "served")},
            environment={**PATH, "GIT_SSH_COMMAND": f"touch {self.trap}", "GIT_CONFIG_PARAMETERS": "'x"},
            limits=GitLimits(seconds=30),
        )

    @property
    def trap(self) -> Path:
        """A file that only comes into being when something ran that should not."""
        return self.directory / "trap"

    def tree(self, sha: str) -> SourceTree:
        """The source tree; fails the test when there is a problem."""
        answer = self.sources.commit(URL, sha)
        assert isinstance(answer, SourceTree), answer
        assert not self.trap.exists()
        return answer

    def problem(self, sha: str) -> SourceProblem:
        """The problem; fails the test when there is none."""
        answer = self.sources.commit(URL, sha)
        assert isinstance(answer, SourceProblem), answer
        assert answer.sentence.isprintable()
        assert not self.trap.exists()
        return answer

    def files(self, tree: SourceTree) -> dict[str, bytes]:
        """Regular files of the archive."""
        with tarfile.open(fileobj=io.BytesIO(self.blobs.read(tree.archive_sha256))) as archive:
            return {
                each.name: content.read() for each in archive if each.isreg() and (content := archive.extractfile(each))
            }


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """A new repository."""
    return Harness(tmp_path)


def test_attributes_change_nothing(harness: Harness) -> None:
    """No filter, no substitution, no line ends, no file left out: raw content."""
    for step in ("clean", "smudge", "process"):
        harness.repository.git("config", f"filter.evil.{step}", "cat")
    files: dict[str, str | bytes] = {
        ".gitattributes": "* filter=evil text eol=crlf ident export-subst\nsecret export-ignore\n",
        "a": "$Format:%H$ $Id$\n",
        "secret": "x\n",
    }
    sha = harness.repository.commit(files)
    for step in ("clean", "smudge", "process"):
        harness.repository.git("config", f"filter.evil.{step}", f"touch {harness.trap}")
    found = harness.files(harness.tree(sha))
    assert {"a": b"$Format:%H$ $Id$\n", "secret": b"x\n"} == {name: found[name] for name in ("a", "secret")}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://example.org/sub", "no repository at https://example.org/sub"),
        ("../sub", "no repository at https://example.org/sub"),
        ("ext::sh -c id", "not with ext"),
        ("file:///etc", "not with file"),
        (
            "https://user:secret@localhost/sub",
            "localhost was not asked",
        ),
        ("--upload-pack=touch x", None),
        ("-x", None),
    ],
)
def test_addresses_of_submodules_are_judged_like_others(harness: Harness, url: str, problem: str | None) -> None:
    """Nothing local is read, nothing is run; git itself refuses addresses that look like options."""
    harness.repository.write({".gitmodules": f'[submodule "s"]\n\tpath = lib/sub\n\turl = {url}\n'})
    harness.repository.git("add", "--force", ".gitmodules")
    harness.repository.git("update-index", "--add", "--cacheinfo", f"160000,{'2' * 40},lib/sub")
    harness.repository.git("commit", "--quiet", "-m", "Sub")
    sha = harness.repository.git("rev-parse", "HEAD")
    if url.startswith("-"):
        assert Trouble.UNSOUND == harness.problem(sha).trouble
        return
    found = harness.tree(sha)
    [submodule] = found.submodules
    assert (
        Submodule(path="lib/sub", commit="2" * 40, repository=submodule.repository, problem=submodule.problem)
        == submodule
    )
    assert problem is not None
    assert submodule.problem is not None
    assert problem in submodule.problem
    assert 3 == found.files


def test_pointers_of_large_files_stay(harness: Harness) -> None:
    """Nothing is downloaded in their place."""
    pointer = f"version https://git-lfs.example.org/spec/v1\noid sha256:{'0' * 64}\nsize 5\n"
    files = {f"data/{number}.bin": pointer for number in range(5)}
    found = harness.tree(harness.repository.commit({**files, ".gitattributes": "*.bin filter=lfs\n"}))
    (note,) = found.notes
    assert "data/0.bin, data/1.bin, data/2.bin and 2 more" in note
    assert [(f"data/{number}.bin", "0" * 64) for number in range(5)] == [
        (each.path, each.sha256) for each in found.large_files
    ]


@pytest.mark.parametrize("name", [b".git", b".GIT", b".Git", b"..", b"."])
@pytest.mark.parametrize("inside", [True, False])
def test_paths_that_would_do_harm(harness: Harness, name: bytes, *, inside: bool) -> None:
    """A tree may not lead into a repository's own directory, nor out of the tree."""
    blob = harness.repository.object("blob", f"#!/bin/sh\ntouch {harness.trap}\n".encode())
    entry = ("100755", name, blob)
    if inside:
        entry = ("40000", name, harness.repository.object("tree", b"100644 config\0" + bytes.fromhex(blob)))
    assert Trouble.UNSOUND == harness.problem(harness.repository.odd_commit(entry)).trouble


@pytest.mark.parametrize("name", [b".git", b".GIT", b"..", b"."])
def test_paths_are_refused_whatever_git_says(harness: Harness, tmp_path: Path, name: bytes) -> None:
    """Git refuses them while fetching; were they here already, they would be refused, too."""
    blob = harness.repository.object("blob", b"x")
    sha = harness.repository.odd_commit(("100644", name, blob))
    place = harness.repository.path / ".git"
    remote = Remote("/nowhere", "file", URL)
    git = Git(place, remote, tmp_path / "served", PATH, deadline=time.monotonic() + 30, slow_seconds=1)
    with pytest.raises(Unsound, match="would do harm"):
        read_entries(git, harness.repository.git("rev-parse", f"{sha}^{{tree}}"), most=5)


def test_link_in_place_of_the_repository(harness: Harness) -> None:
    """A symbolic link named ``.git`` is refused; other links are content, wherever they lead."""
    blob = harness.repository.object("blob", b"/etc/passwd")
    assert Trouble.UNSOUND == harness.problem(harness.repository.odd_commit(("120000", b".git", blob))).trouble
    tree = harness.tree(harness.repository.odd_commit(("120000", b"link", blob)))
    with tarfile.open(fileobj=io.BytesIO(harness.blobs.read(tree.archive_sha256))) as archive:
        assert [("link", "/etc/passwd")] == [(each.name, each.linkname) for each in archive]


@pytest.mark.parametrize("name", [b"line\nend", b"\x1b[31mred", b"\xff\xfe", b"-rf", b"x" * 250, b'"quoted"', b" "])
def test_odd_names_are_content(harness: Harness, name: bytes) -> None:
    """They travel as they are; notes show them escaped."""
    blob = harness.repository.object("blob", b"x")
    tree = harness.tree(harness.repository.odd_commit(("100644", name, blob)))
    assert [name.decode("utf-8", "surrogateescape")] == list(harness.files(tree))
    assert all(note.isprintable() for note in tree.notes)
    assert len(tree.notes) == (not name.decode("utf-8", "surrogateescape").isprintable())


def test_entries_that_clash(harness: Harness) -> None:
    """Twice the same name, whatever they are, is refused."""
    one, two = (harness.repository.object("blob", each) for each in (b"1", b"2"))
    inner = harness.repository.object("tree", b"100644 b\0" + bytes.fromhex(one))
    assert (
        Trouble.UNSOUND
        == harness.problem(
            harness.repository.odd_commit(("100644", b"a", one), ("100644", b"a", two), tag="twice")
        ).trouble
    )
    assert (
        Trouble.UNSOUND
        == harness.problem(
            harness.repository.odd_commit(("100644", b"a", one), ("40000", b"a", inner), tag="both")
        ).trouble
    )


def test_modes_nobody_writes(harness: Harness) -> None:
    """A tree git could not make again would not check out as that commit."""
    blob = harness.repository.object("blob", b"x")
    answer = harness.problem(harness.repository.odd_commit(("100664", b"a", blob)))
    assert Trouble.UNSOUND == answer.trouble
    assert "git no longer makes" in answer.sentence


def test_deep_trees(harness: Harness) -> None:
    """More directories than any project has end in a sentence."""
    name = harness.repository.object("tree", b"100644 a\0" + bytes.fromhex(harness.repository.object("blob", b"x")))
    for _ in range(1500):
        name = harness.repository.object("tree", b"40000 d\0" + bytes.fromhex(name))
    answer = harness.problem(harness.repository.odd_commit(("40000", b"d", name)))
    assert "more than 200 directories" in answer.sentence


def test_hooks_and_settings_of_the_repository(harness: Harness) -> None:
    """What a served repository configures does not run here."""
    hooks = harness.repository.path / ".git" / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-merge", "pre-auto-gc", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {harness.trap}\n")
        (hooks / name).chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "uploadpack.packObjectsHook", "core.gitProxy"):
        harness.repository.git("config", key, f"touch {harness.trap}")
    harness.tree(harness.repository.git("rev-parse", "HEAD"))


def test_template_and_home_of_the_machine(harness: Harness, tmp_path: Path) -> None:
    """Hooks in a template and a configuration in HOME do not reach our repositories."""
    (tmp_path / "template" / "hooks").mkdir(parents=True)
    hook = tmp_path / "template" / "hooks" / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch {harness.trap}\n")
    hook.chmod(0o755)
    (tmp_path / ".gitconfig").write_text(
        f'[init]\n\ttemplateDir = {tmp_path}/template\n[url "{tmp_path}/nowhere"]\n\tinsteadOf = {tmp_path}/served\n'
    )
    environment = {**PATH, "HOME": str(tmp_path), "GIT_TEMPLATE_DIR": str(tmp_path / "template")}
    subject = GitSources(
        harness.blobs,
        tmp_path / "other",
        {"https://example.org": str(tmp_path / "served")},
        environment=environment,
    )
    assert isinstance(subject.commit(URL, harness.repository.git("rev-parse", "HEAD")), SourceTree)
    assert not harness.trap.exists()


@pytest.mark.parametrize(
    "url",
    [
        "-oProxyCommand=x",
        "--upload-pack=touch x",
        "file:///etc",
        "ext::sh -c id",
        "ssh://example.org/x",
        "fd::17/x",
        "",
    ],
)
def test_addresses_that_are_not_asked(harness: Harness, url: str) -> None:
    """Git is not even started."""
    answer = harness.sources.commit(url, "1" * 40)
    assert isinstance(answer, SourceProblem)
    assert Trouble.REFUSED == answer.trouble
    tags = harness.sources.tags(url)
    assert isinstance(tags, SourceProblem)


def test_other_objects_under_the_name_of_a_commit(harness: Harness) -> None:
    """A tag's, tree's or file's name is none of a commit; a tag of a tag is told as a plain one."""
    harness.repository.tag("v1", annotated=True)
    outer = harness.repository.tag("v2", annotated=True, commit="v1")
    for name in (
        outer,
        harness.repository.git("rev-parse", "HEAD^{tree}"),
        harness.repository.git("rev-parse", "HEAD:README"),
    ):
        assert harness.problem(name).trouble in {Trouble.UNSOUND, Trouble.NO_COMMIT}
    tags = harness.tree(harness.repository.git("rev-parse", "HEAD")).commit.tags
    assert [("v1", True), ("v2", False)] == [(each.name, each.object_sha256 is not None) for each in tags]


def test_names_of_tags(harness: Harness) -> None:
    """Only names git could have made are passed on; others are in nobody's way."""
    refs = harness.repository.path / ".git" / "packed-refs"
    sha = harness.repository.git("rev-parse", "HEAD")
    harness.repository.tag("good", annotated=True)
    refs.write_text(f"{sha} refs/tags/-x\n{sha} refs/tags/--upload-pack=touch\n{sha} refs/tags/ünï\n")
    assert ["good", "ünï"] == [each.name for each in harness.tree(sha).commit.tags]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"tree x\n",
        b"tree " + b"1" * 40 + b"\nauthor a\ncommitter a <a> 999999999999999999 +0000\n\n",
        b"tree " + b"1" * 40 + b"\nauthor a\ncommitter a <a> -5 +0000\n\n",
        b"tree " + b"1" * 40 + b"\nauthor a\n\n",
    ],
)
def test_commits_that_are_none(raw: bytes) -> None:
    """Malformed objects and times no calendar has are refused, under their right name and under a wrong one."""
    for each in (object_name("commit", raw), "1" * 40):
        with pytest.raises(Unsound):
            read_commit(raw, each)
