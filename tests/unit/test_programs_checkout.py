"""Checking a commit out from its archive: what git says there afterwards, and what is refused."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from rebuilder.model.git import SourceTree
from rebuilder.network.git.sources import GitSources
from rebuilder.programs.source.checkout import GIT_FAILED, MALFORMED, NO_GIT, NOT_THE_COMMIT, main
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.repositories import TIME, Repository, make_repository


@dataclass
class Harness:
    """A repository to check out of, and files for the program."""

    directory: Path
    repository: Repository

    @property
    def root(self) -> Path:
        """The work tree that is made."""
        return self.directory / "checkout"

    def fetch(self, sha: str = "HEAD", *, history: bool = False) -> tuple[str, ...]:
        """Fetch a commit, with the history before it if that is wanted; gives the arguments that name it."""
        sha = self.repository.git("rev-parse", sha)
        blobs = MemoryBlobs()
        sources = GitSources(blobs, self.directory / "cache", {"https://example.org": str(self.directory)})
        source = sources.commit("https://example.org/project", sha)
        assert isinstance(source, SourceTree), source
        if history:
            source = sources.with_history(source)
            assert source.history is not None, source.notes
        (self.directory / "a.tar").write_bytes(blobs.read(source.archive_sha256))
        (self.directory / "commit").write_bytes(blobs.read(source.commit.object_sha256))
        tags: list[str] = []
        for number, tag in enumerate(source.commit.tags):
            tags += ["--tag", tag.name]
            if tag.object_sha256:
                (self.directory / f"tag{number}").write_bytes(blobs.read(tag.object_sha256))
                tags += ["--tag-object", f"{tag.name}={self.directory / f'tag{number}'}"]
        files = ("--archive", str(self.directory / "a.tar"), "--commit-object", str(self.directory / "commit"))
        if source.history is not None:
            for name in ("objects", "tags"):
                (self.directory / name).write_bytes(blobs.read(getattr(source.history, f"{name}_sha256")))
            tags += ["--history", str(self.directory / "objects"), "--history-tags", str(self.directory / "tags")]
        for number, each in enumerate(source.submodules):
            if each.archive_sha256 and each.object_sha256:
                paths = self.directory / f"submodule{number}.tar", self.directory / f"submodule{number}"
                for path, digest in zip(paths, (each.archive_sha256, each.object_sha256), strict=True):
                    path.write_bytes(blobs.read(digest))
                tags.append(f"--submodule={each.commit}:{paths[0]}:{paths[1]}:{each.path}")
        return (*files, "--commit", sha, "--into", str(self.root), *tags)

    def checkout(self, *options: str, sha: str = "HEAD") -> Repository:
        """Fetch and check out; gives the new repository."""
        umask = os.umask(0o022)
        try:
            assert 0 == main([*self.fetch(sha), *options])
        finally:
            os.umask(umask)
        return Repository(self.root)


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """A repository with two commits."""
    repository = make_repository(tmp_path / "project")
    repository.commit({"src/pkg/__init__.py": "", "src/pkg.x": "", "src/pkg-x": "", "bin/tool*": "#!/bin/sh\n"})
    (repository.path / "link").symlink_to("bin/tool")
    repository.commit({"README": "Hello again\n"})
    return Harness(tmp_path, repository)


@pytest.mark.parametrize("annotated", [False, True])
@pytest.mark.parametrize("shallow", [False, True])
def test_git_sees_what_it_would_in_a_clone(harness: Harness, *, annotated: bool, shallow: bool) -> None:
    """The commit, its tag, a clean work tree, sound objects."""
    harness.repository.tag("v1.2", annotated=annotated)
    found = harness.checkout(*(("--shallow",) if shallow else ()))
    sha = harness.repository.git("rev-parse", "HEAD")
    assert sha == found.git("rev-parse", "HEAD")
    assert f"v1.2-0-g{sha[:7]}" == found.git("describe", "--tags", "--long", "--dirty")
    assert "" == found.git("status", "--porcelain", "--untracked-files=all", "--ignored")
    assert ("tag" if annotated else "commit") == found.git("cat-file", "-t", "v1.2")
    assert harness.repository.git("rev-parse", "v1.2") == found.git("rev-parse", "v1.2")
    assert str(shallow).lower() == found.git("rev-parse", "--is-shallow-repository")
    assert f"{sha} Change" == found.git("log", "--format=%H %s")
    assert harness.repository.git("ls-files", "--stage") == found.git("ls-files", "--stage")
    found.git("fsck", "--strict")
    assert "HEAD" == found.git("rev-parse", "--abbrev-ref", "HEAD")
    assert not (harness.root / ".git" / "hooks").exists()
    assert not (harness.root / ".git" / "logs").exists()


def test_line_ends_as_git_for_windows_has_them(harness: Harness) -> None:
    """Text files get CRLF and others do not, nothing can be executed; git takes none of them for changed."""
    harness.repository.commit({".gitattributes": "*.sh eol=lf\n", "a.sh": "true\n", "data": b"\0\n", "b.js": "1\n"})
    found = harness.checkout("--windows")
    ends = {name: (harness.root / name).read_bytes()[-2:] for name in ("README", "b.js", "a.sh", "data")}
    assert {"README": b"\r\n", "b.js": b"\r\n", "a.sh": b"e\n", "data": b"\0\n"} == ends
    assert not (harness.root / "bin" / "tool").stat().st_mode & 0o111
    assert "" == found.git("status", "--porcelain")


@pytest.mark.parametrize("annotated", [False, True])
def test_versions_are_counted_from_an_older_tag(harness: Harness, *, annotated: bool) -> None:
    """With the history before it, git describes a commit as in a whole clone; files of older commits are not there."""
    repository = harness.repository
    repository.tag("v1.0", annotated=annotated, commit="HEAD~1")
    repository.tag("v0.9", commit="HEAD~2")
    repository.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    repository.commit({"side": ""}, "Side")
    repository.tag("v2.0", annotated=annotated)
    repository.git("checkout", "--quiet", "main")
    repository.git("merge", "--quiet", "--no-ff", "-m", "Merge", "HEAD~1")
    repository.tag("here")
    assert 0 == main([*harness.fetch(history=True), "--shallow"])
    found = Repository(harness.root)
    for question in (("describe", "--tags", "--match", "v*"), ("log", "--format=%H %d %s"), ("tag", "--merged")):
        assert repository.git(*question).replace("(HEAD -> main", "(HEAD") == found.git(*question)
    assert "false" == found.git("rev-parse", "--is-shallow-repository")
    assert ["here", "v0.9", "v1.0"] == found.git("tag").splitlines()
    assert repository.git("rev-parse", "v1.0") == found.git("rev-parse", "v1.0")
    assert "" == found.git("status", "--porcelain", "--untracked-files=all", "--ignored")


def test_history_of_a_shallow_mirror(harness: Harness) -> None:
    """It is cut off where the mirror's is, and git is told so."""
    origin = harness.repository.path.rename(harness.directory / "origin")
    Repository(origin).tag("v1.0", annotated=True, commit="HEAD~1")
    Repository(harness.directory).git("clone", "--quiet", "--depth=2", f"file://{origin}", "project")
    assert 0 == main([*harness.fetch(history=True)])
    found = Repository(harness.root)
    assert found.git("describe").startswith("v1.0-1-g")
    assert ("true", 2) == (
        found.git("rev-parse", "--is-shallow-repository"),
        len(found.git("log", "--format=%H").splitlines()),
    )


@pytest.mark.parametrize("change", ["cut", "foreign", "tag"])
def test_history_that_is_another(harness: Harness, change: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every commit leads to the one that was asked for, every tag to one of them, or nothing is built."""
    harness.repository.tag("v1.0", commit="HEAD~1")
    arguments = harness.fetch(history=True)
    objects, tags = harness.directory / "objects", harness.directory / "tags"
    if change == "cut":
        objects.write_bytes(objects.read_bytes()[:-1])
    elif change == "foreign":
        foreign = f"tree {'1' * 40}\nauthor a <> 0 +0000\ncommitter a <> 0 +0000\n\nForeign\n".encode()
        objects.write_bytes(objects.read_bytes() + b"commit %d\0" % len(foreign) + foreign)
    else:
        tags.write_text(f"{'1' * 40} v9.9\n")
    assert NOT_THE_COMMIT == main(list(arguments))
    assert "the history" in capsys.readouterr().err


def test_files_are_those_of_the_commit(harness: Harness) -> None:
    """Content, links, executable bits, and one time for all."""
    harness.checkout()
    assert "Hello again\n" == (harness.root / "README").read_text()
    assert Path("bin/tool") == (harness.root / "link").readlink()
    assert 0o755 == stat.S_IMODE((harness.root / "bin/tool").stat().st_mode)
    assert 0o644 == stat.S_IMODE((harness.root / "README").stat().st_mode)
    inside = [each for each in harness.root.rglob("*") if ".git" not in each.parts]
    assert {TIME * 10**9} == {each.lstat().st_mtime_ns for each in (harness.root, *inside)}


def test_umask_branch_and_origin_are_given(harness: Harness) -> None:
    """What depends on the machine that published is an input; times are the commit's."""
    found = harness.checkout("--umask", "0002", "--branch", "main", "--origin", "urn:x")
    assert {TIME} == {(harness.root / each).stat().st_mtime for each in ("README", "src", "run.sh")}
    assert (0o664, 0o775) == tuple(stat.S_IMODE((harness.root / each).stat().st_mode) for each in ("README", "run.sh"))
    assert ("main", "urn:x") == (
        found.git("rev-parse", "--abbrev-ref", "HEAD"),
        found.git("config", "remote.origin.url"),
    )
    assert "" == found.git("status", "--porcelain")


def test_first_commit_is_not_shallow(harness: Harness) -> None:
    """It has no parents to miss."""
    found = harness.checkout("--shallow", sha="HEAD~2")
    assert "false" == found.git("rev-parse", "--is-shallow-repository")
    assert "" == found.git("status", "--porcelain")


def test_line_ends_and_identifiers_are_as_git_would_write_them(harness: Harness) -> None:
    """A clone applies .gitattributes; so does this, and the tree still is the commit's."""
    harness.repository.commit(
        {".gitattributes": "*.txt text eol=crlf\n*.c ident\n", "a.txt": "1\n2\n", "a.c": "$Id$\n"}
    )
    found = harness.checkout()
    assert b"1\r\n2\r\n" == (harness.root / "a.txt").read_bytes()
    assert (harness.root / "a.c").read_text().startswith("$Id: ")
    assert "" == found.git("status", "--porcelain")


def test_files_that_git_takes_for_changed_are_told(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    """Content that its own attributes would change on the way in is no reason to stop."""
    harness.repository.commit({"a.txt": b"1\r\n"})
    (harness.repository.path / ".gitattributes").write_text("*.txt text\n")
    harness.repository.git("add", ".gitattributes")
    harness.repository.git("commit", "--quiet", "-m", "Attributes")
    harness.checkout()
    assert "git takes 1 files for changed, because of .gitattributes" in capsys.readouterr().out


def test_submodules_are_empty_directories(harness: Harness) -> None:
    """As in a clone without them."""
    harness.repository.git("update-index", "--add", "--cacheinfo", f"160000,{'2' * 40},lib/sub")
    harness.repository.git("commit", "--quiet", "-m", "Sub")
    found = harness.checkout()
    assert [] == list((harness.root / "lib" / "sub").iterdir())
    assert "" == found.git("status", "--porcelain")
    assert f"160000 commit {'2' * 40}\tlib/sub" == found.git("ls-tree", "HEAD", "lib/sub")


def test_submodules_are_checked_out_at_their_locks(harness: Harness, tmp_path: Path) -> None:
    """Those of submodules, too, by relative addresses: the files, a clean status, and git at home in each of them."""
    inner = make_repository(tmp_path / "inner", {"deep.txt": "deep\n"})
    outer = make_repository(tmp_path / "outer", {"outer.txt": "outer\n"})
    outer.git("submodule", "--quiet", "add", "../inner", "objects")
    outer.commit({})
    for name in ("outer", "inner"):
        harness.repository.git("submodule", "--quiet", "add", f"../{name}", f"vendor/{name}")
    harness.repository.commit({})
    inner.commit({"deep.txt": "later\n"})
    found = harness.checkout("--shallow")
    assert ("outer\n", "deep\n", "deep\n") == tuple(
        (harness.root / "vendor" / each).read_text()
        for each in ("outer/outer.txt", "outer/objects/deep.txt", "inner/deep.txt")
    )
    assert "" == found.git("status", "--porcelain", "--untracked-files=all", "--ignored")
    locked = outer.git("rev-parse", "HEAD")
    assert f" {locked} vendor/outer" in found.git("submodule", "status").splitlines()[1]
    inside = Repository(harness.root / "vendor" / "outer")
    assert (locked, "") == (inside.git("rev-parse", "HEAD"), inside.git("status", "--porcelain"))
    assert (harness.root / "vendor" / "outer" / "objects" / ".git").read_text().startswith("gitdir: ../")
    assert {TIME} == {path.lstat().st_mtime for path in (harness.root / "vendor").rglob("*") if path.name != ".git"}


def test_submodules_that_no_commit_locks(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither another commit in its place nor one more is checked out."""
    make_repository(harness.directory / "inner")
    harness.repository.git("submodule", "--quiet", "add", "../inner", "vendor")
    harness.repository.commit({})
    *files, submodule = harness.fetch()
    assert submodule.startswith("--submodule=")
    assert NOT_THE_COMMIT == main([*files, submodule.replace(":vendor", ":other")])
    assert "no commit locks the submodule 'other'" in capsys.readouterr().err


@pytest.mark.parametrize("name", [b"line\nend", b"\xff\xfe", b'"q"', b" x ", "ünï".encode()])
def test_odd_names(harness: Harness, name: bytes) -> None:
    """Any name git takes comes out as it went in."""
    blob = harness.repository.object("blob", b"x")
    sha = harness.repository.odd_commit(("100644", name, blob))
    found = harness.checkout(sha=sha)
    assert b"x" == (harness.root / os.fsdecode(name)).read_bytes()
    assert "" == found.git("status", "--porcelain")


def repacked(path: Path, change: str) -> None:
    """Change one thing in an archive."""
    with tarfile.open(path) as archive:
        contents = {
            each: file.read() if (file := archive.extractfile(each)) else b"" for each in archive if each.isreg()
        }
    readme = next(each for each in contents if each.name == "README")
    if change == "added":
        contents[tarfile.TarInfo("extra")] = b""
    elif change == "removed":
        del contents[readme]
    elif change == "content":
        contents[readme] = b"Hello agaim\n"
    elif change == "mode":
        readme.mode = 0o755
    elif change == "renamed":
        readme.name = "README.md"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in contents.items():
            archive.addfile(info, io.BytesIO(data))


def test_packing_again_is_no_change(harness: Harness) -> None:
    """The bytes of the archive do not count, what is in it does."""
    (harness.repository.path / "link").unlink()
    harness.repository.commit({})
    arguments = harness.fetch()
    repacked(harness.directory / "a.tar", "nothing")
    assert 0 == main([*arguments])


@pytest.mark.parametrize("change", ["added", "removed", "content", "mode", "renamed"])
def test_other_files_are_not_the_commit(harness: Harness, capsys: pytest.CaptureFixture[str], change: str) -> None:
    """Whatever differs, the tree has another name; that is refused with an exit code of its own."""
    (harness.repository.path / "link").unlink()
    harness.repository.commit({})
    arguments = harness.fetch()
    repacked(harness.directory / "a.tar", change)
    assert NOT_THE_COMMIT == main([*arguments])
    assert "but the commit" in capsys.readouterr().err
    assert not (harness.root / "README").exists()


def test_other_commit_objects_are_refused(harness: Harness) -> None:
    """One flipped byte is another commit; a tag of another commit is not this one's."""
    harness.repository.tag("v1", annotated=True)
    arguments = harness.fetch()
    tag = harness.directory / "tag0"
    right = tag.read_bytes()
    tag.write_bytes(b"object " + b"1" * 40 + right[47:])
    assert NOT_THE_COMMIT == main([*arguments])
    raw = bytearray((harness.directory / "commit").read_bytes())
    raw[-2] ^= 1
    (harness.directory / "commit").write_bytes(raw)
    assert NOT_THE_COMMIT == main([*arguments])


@pytest.mark.parametrize("name", ["../../x", "a..b", "", "x.lock", "a b"])
def test_names_that_no_tag_has(harness: Harness, name: str) -> None:
    """Git says no, in a sentence; nothing is written elsewhere."""
    assert GIT_FAILED == main([*harness.fetch(), f"--tag={name}"])


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", ".git/config", ".GIT/hooks/x", "a//b", "d/" * 300 + "x"])
def test_archives_that_lead_elsewhere(harness: Harness, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Refused by name, before anything is written."""
    arguments = harness.fetch()
    with tarfile.open(harness.directory / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert MALFORMED == main([*arguments])
    assert "is not a path" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_members_no_commit_holds(harness: Harness, kind: bytes) -> None:
    """Hard links, devices and plain directories."""
    arguments = harness.fetch()
    info = tarfile.TarInfo("x")
    info.type, info.linkname = kind, "README"
    with tarfile.open(harness.directory / "a.tar", "w") as archive:
        archive.addfile(info)
    assert MALFORMED == main([*arguments])


@pytest.mark.parametrize("data", [b"", b"x" * 600, b"\x1f\x8b\x08"])
def test_no_archive_at_all(harness: Harness, data: bytes) -> None:
    """Rubbish ends in a sentence, cut short or not."""
    arguments = harness.fetch()
    whole = (harness.directory / "a.tar").read_bytes()
    for each in (data, whole[:1500]):
        (harness.directory / "a.tar").write_bytes(each)
        assert main([*arguments]) in {MALFORMED, NOT_THE_COMMIT}


def test_environment_without_git(harness: Harness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Said before anything is done."""
    arguments = harness.fetch()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert NO_GIT == main([*arguments])
