"""Which commit a tarball comes from: real repositories made here, and tarballs packed from them."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rebuilder.ecosystems.npm.origin import Release, find_origin, release_tags
from rebuilder.ecosystems.npm.tarball import Tarball
from rebuilder.ecosystems.npm.tree_changes import made_here, tarball_changes
from rebuilder.ecosystems.protocol import Signed
from rebuilder.model.attempt import Attempt
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.git import SourceProblem, SourceTree, Trouble
from rebuilder.model.graph import FileChange, Origin, SourceCommit
from rebuilder.model.provenance import AttestationResult, Forge, Form, Provenance, ProvenanceStatus, Publisher
from rebuilder.model.value import sha256_hex
from rebuilder.network.git.sources import GitSources
from rebuilder.programs.account.list_tarball import list_tarball
from tests.fakes import reports
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.repositories import TIME, Repository, make_repository

URL = "https://example.org/owner/project"
NAME = "thing"
UNSIGNED = Provenance(status=ProvenanceStatus.ABSENT, sentence="Nothing is signed.")


def manifest(version: str = "1.0.0", name: str = NAME, **more: Any) -> str:
    """A package.json that names the repository."""
    return json.dumps({"name": name, "version": version, "repository": URL} | more, indent=2) + "\n"


class World:
    """A repository behind its address, and tarballs of it."""

    def __init__(self, directory: Path) -> None:
        self.repository: Repository = make_repository(directory / "project", {"LICENSE": b"Do as you please.\n"})
        self._directory = directory
        self.sources = GitSources(
            MemoryBlobs(),
            directory / "cache",
            {"https://example.org/owner": str(directory)},
            environment={"PATH": os.environ["PATH"]},
        )

    def commit(self, files: Mapping[str, str], *, minutes: int = 0, tag: str | None = None) -> str:
        """One more commit; gives its name."""
        sha = self.repository.commit(files, moment=TIME + 60 * minutes)
        if tag is not None:
            self.repository.tag(tag)
        return sha

    def release(
        self, *members: tuple[str, str | bytes], version: str = "1.0.0", name: str = NAME, **entry: Any
    ) -> Release:
        """A tarball with these files, in this order."""
        packed = [
            (tar_member(f"package/{path}"), content.encode() if isinstance(content, str) else content)
            for path, content in members
        ]
        place = self._directory / "published.tgz"
        place.write_bytes(gzip_bytes(tar_bytes(*packed)))
        return Release(
            name=name,
            version=version,
            published=datetime.fromtimestamp(TIME, UTC) + timedelta(days=10),
            entry=entry,
            versions=[version],
            tarball=Tarball.model_validate(list_tarball(str(place))),
        )

    def origin(self, release: Release, provenance: Provenance | None = None, expected: str | None = None) -> Origin:
        """What is found; fails the test when nobody names a repository."""
        found = find_origin(release, Signed(provenance or UNSIGNED, expected=expected), self.sources)
        assert found is not None
        return found

    def changes(self, release: Release, origin: Origin) -> tuple[FileChange, ...]:
        """What the tarball holds beyond the commit."""
        assert origin.commit is not None
        tree = self.sources.commit(URL, origin.commit)
        assert isinstance(tree, SourceTree)
        return tarball_changes(release, SourceCommit(origin=origin, tree=tree), self.sources)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One with a repository of a licence alone."""
    return World(tmp_path)


def published(**files: str) -> list[tuple[str, str]]:
    """Members, dots written as two underscores."""
    return [(path.replace("__", "."), content) for path, content in files.items()]


def test_a_tag_whose_commit_agrees(world: World) -> None:
    """Every file that is in both is the same; what a build adds does not speak against it."""
    sha = world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "1\n"), ("dist/out.js", "made\n")))
    assert (sha, "v1.0.0", "", False, ()) == (
        found.commit,
        found.tag,
        found.directory,
        found.attested,
        found.findings,
    )
    assert found.sentence.startswith("Claimed, not attested: its package.json names")
    assert "2 of the 3 files" in found.sentence


def test_a_tag_that_leads_to_another_commit_is_a_finding(world: World) -> None:
    """The commit that has the files counts, and both are told with their numbers."""
    tagged = world.commit({"package.json": manifest(), "index.js": "old\n"}, tag="v1.0.0")
    sha = world.commit({"index.js": "new\n"})
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "new\n")))
    assert (sha, None) == (found.commit, found.tag)
    [finding] = found.findings
    assert f"The tag v1.0.0 points at commit {tagged}, which has 1 of the 2 files" in finding
    assert f"commit {sha} has 2" in finding


def test_a_tag_set_before_the_version_was(world: World) -> None:
    """package.json is rewritten when it is packed: its version in the commit counts as one file."""
    tagged = world.commit({"package.json": manifest("0.9.0"), "index.js": "1\n"}, tag="1.0.0")
    sha = world.commit({"package.json": manifest()}, minutes=1)
    world.commit({"test.js": "later\n"}, minutes=2)
    found = world.origin(world.release(("package.json", manifest(scripts={})), ("index.js", "1\n")))
    assert sha == found.commit
    [finding] = found.findings
    assert f"{tagged}, which has 1 of the 2 files of this tarball and says version 0.9.0" in finding
    assert "sets the version" in finding


def test_only_texts_do_not_speak_against_a_tag(world: World) -> None:
    """A changelog that was committed after the release is no other source."""
    sha = world.commit({"package.json": manifest(), "src.js": "1\n", "README.md": "old\n"}, tag="v1.0.0")
    world.commit({"README.md": "new\n", "src.js": "2\n"})
    found = world.origin(world.release(("package.json", manifest()), ("README.md", "new\n"), ("dist.js", "made\n")))
    assert (sha, ()) == (found.commit, found.findings)


def test_the_first_commit_with_all_of_it_without_a_tag(world: World) -> None:
    """Commits that change nothing of the package come after it."""
    world.commit({"package.json": manifest("0.9.0"), "index.js": "1\n"})
    sha = world.commit({"package.json": manifest()})
    world.commit({"test.js": "1\n"})
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "1\n")))
    assert (sha, None) == (found.commit, found.tag)
    assert "the first of the version" in found.sentence


def test_without_a_version_in_the_repository_the_last_before_the_publication(world: World) -> None:
    """Nothing else tells commits with the same files apart; later ones cannot have made it."""
    world.commit({"package.json": manifest("0.0.0"), "index.js": "1\n"})
    sha = world.commit({"test.js": "1\n"}, minutes=5)
    world.commit({"test.js": "2\n"}, minutes=60 * 24 * 30)
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "1\n")))
    assert sha == found.commit
    assert "has the most files" in found.sentence


def test_a_copy_from_before_the_release_has_no_commit_of_it(world: World) -> None:
    """The commit of another release did not make this one, however much they share; nobody is accused with it."""
    sha = world.commit({"package.json": manifest("0.9.0"), "index.js": "1\n", "lib.js": "1\n"})
    release = world.release(("package.json", manifest()), ("index.js", "2\n"), ("lib.js", "1\n"))
    found = world.origin(dataclasses.replace(release, versions=["0.9.0", "1.0.0"]))
    assert None is found.commit
    assert "says version 1.0.0" in found.sentence
    assert f"{sha}, says 0.9.0, which is another release" in found.sentence


def test_a_tag_of_the_version_comes_before_a_commit_of_another_release(world: World) -> None:
    """What a build writes into the tarball may by chance be what another release had in its tree."""
    world.commit({"package.json": manifest("0.9.0"), "version.js": "made\n", "more.js": "made\n"}, tag="v0.9.0")
    sha = world.commit({"package.json": manifest(), "version.js": "", "more.js": "", "src.js": "1\n"}, tag="v1.0.0")
    made = world.release(("package.json", manifest(x=1)), ("version.js", "made\n"), ("more.js", "made\n"))
    found = world.origin(dataclasses.replace(made, versions=["0.9.0", "1.0.0"]))
    assert (sha, "v1.0.0", ()) == (found.commit, found.tag, found.findings)


def test_githead_of_a_branch_comes_before_a_tag(world: World) -> None:
    """Where it has as many of the files."""
    head = world.commit({"package.json": manifest(), "index.js": "1\n"})
    world.commit({"test.js": "1\n"}, tag="v1.0.0")
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "1\n"), gitHead=head))
    assert (head, ()) == (found.commit, found.findings)
    assert "gitHead" in found.sentence


def test_githead_of_a_fork_does_not_count(world: World) -> None:
    """Servers hand out commits of forks as if they were the repository's; branches and tags do not reach them."""
    sha = world.commit({"package.json": manifest(), "index.js": "good\n"}, tag="v1.0.0")
    planted = world.commit({"index.js": "planted\n"})
    world.repository.git("update-ref", "refs/pull/1/head", planted)
    world.repository.git("reset", "--quiet", "--hard", sha)
    release = world.release(("package.json", manifest()), ("index.js", "planted\n"), gitHead=planted)
    found = world.origin(release)
    assert sha == found.commit
    assert "reaches the registry's gitHead" in found.sentence
    assert "1 of the 2 files" in found.sentence
    [change] = world.changes(release, found)
    assert ("index.js", "changed", None) == (change.path, change.change, change.rule)
    assert change.sentence is not None
    assert "No commit of the repository" in change.sentence


@pytest.mark.parametrize("head", ["HEAD", "--all", "1" * 39, 5, None, ["1" * 40]])
def test_a_githead_that_is_none(world: World, head: Any) -> None:
    """It is hostile, and left alone."""
    sha = world.commit({"package.json": manifest()}, tag="v1.0.0")
    assert sha == world.origin(world.release(("package.json", manifest()), gitHead=head)).commit


def test_somebody_elses_repository_has_none_of_it(world: World) -> None:
    """Anybody can name any repository: then nothing of it is called its source."""
    world.commit({"package.json": manifest(name="known"), "index.js": "1\n"}, tag="v9.0.0")
    release = world.release(("package.json", manifest()), ("evil.js", "evil\n"), ("LICENSE", "Do as you please.\n"))
    found = world.origin(release)
    assert (None, False) == (found.commit, found.attested)
    assert "that would tell it" in found.sentence


def test_a_package_of_a_repository_with_several(world: World) -> None:
    """By the tag of the package; in the directory of its name, wherever package.json says that it is."""
    files = {
        "package.json": manifest(name="all"),
        "packages/a/package.json": manifest(),
        "packages/a/index.js": "a\n",
        "packages/b/package.json": manifest(name="other"),
        "packages/b/index.js": "a\n",
    }
    sha = world.commit(files, tag=f"{NAME}@1.0.0")
    world.commit({"packages/a/index.js": "later\n"}, tag="v1.0.0")
    release = world.release(
        ("package.json", manifest()), ("index.js", "a\n"), repository={"url": URL, "directory": "packages/b"}
    )
    found = world.origin(release)
    assert (sha, "packages/a", f"{NAME}@1.0.0", ()) == (found.commit, found.directory, found.tag, found.findings)


def test_the_tag_of_the_whole_repository_is_no_finding_for_one_of_its_packages(world: World) -> None:
    """It is of another package's version."""
    world.commit({"p/a/package.json": manifest("0.9.0"), "p/a/index.js": "old\n"}, tag="v1.0.0")
    sha = world.commit({"p/a/package.json": manifest(), "p/a/index.js": "new\n"})
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "new\n")))
    assert (sha, "p/a", ()) == (found.commit, found.directory, found.findings)


def test_of_several_directories_of_a_name_the_claimed_one(world: World) -> None:
    """Then the one with the most files, then the one nearest to the top."""
    both = {f"{at}/package.json": manifest() for at in ("a", "b", "test/fixtures/c")}
    world.commit(both | {"b/index.js": "1\n"}, tag="v1.0.0")
    members = (("package.json", manifest()), ("index.js", "1\n"))
    assert "b" == world.origin(world.release(*members)).directory
    claimed = {"url": URL, "directory": "a"}
    text = json.dumps({"name": NAME, "version": "1.0.0", "repository": claimed})
    world.commit({"a/package.json": text})
    found = world.origin(world.release(("package.json", text)))
    assert "a" == found.directory


def attestation(commit: str | None) -> Provenance:
    """A verified one."""
    publisher = Publisher(
        forge=Forge.GITHUB, issuer="i", identity="i", repository=URL, ref="refs/tags/v1.0.0", commit=commit
    )
    result = AttestationResult(
        form=Form.NPM_ATTESTATION,
        status=ProvenanceStatus.VERIFIED,
        sentence="Checked.",
        sha256=sha256_hex(b""),
        publisher=publisher,
    )
    return Provenance(status=ProvenanceStatus.VERIFIED, sentence="Checked.", results=(result,))


def test_an_attested_commit_comes_first(world: World) -> None:
    """Whatever tags, gitHead and files say; the package's directory is looked up in it."""
    sha = world.commit({"p/package.json": manifest(), "p/index.js": "1\n"})
    world.commit({"p/index.js": "2\n"}, tag="v1.0.0")
    release = world.release(("package.json", manifest()), ("index.js", "2\n"), gitHead="1" * 40)
    found = world.origin(release, attestation(sha))
    assert (sha, True, "v1.0.0", "p") == (found.commit, found.attested, found.tag, found.directory)


def test_an_attested_repository_without_a_commit(world: World) -> None:
    """The repository is known, the commit is searched in it, and not called attested."""
    sha = world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    release = world.release(("package.json", json.dumps({"name": NAME, "repository": "https://example.org/other/x"})))
    found = world.origin(release, attestation(None))
    assert (sha, False, URL) == (found.commit, found.attested, found.repository)


def test_the_settings_come_before_package_json(world: World) -> None:
    """Whom the user expects is not for the tarball to say."""
    sha = world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    release = world.release(
        ("package.json", json.dumps({"name": NAME, "repository": "owner/other"})), ("index.js", "1\n")
    )
    found = world.origin(release, expected=URL)
    assert sha == found.commit
    assert "the settings expect" in found.sentence


def test_nobody_names_a_repository(world: World) -> None:
    """Then there is nothing to look into."""
    release = world.release(("package.json", "[]"))
    assert find_origin(release, Signed(UNSIGNED), world.sources) is None


def test_a_repository_that_is_away(world: World) -> None:
    """The sentence says what kept it."""
    release = world.release(("package.json", json.dumps({"name": NAME, "repository": f"{URL}-none"})))
    found = world.origin(release)
    assert found.commit is None
    assert "There is no repository at" in found.sentence


def test_a_tarball_from_windows(world: World) -> None:
    """With CRLF for every LF, as Git for Windows checks out: the commit is found, and each file has its rule."""
    sha = world.commit({"package.json": manifest(), "index.js": "1\n2\n"}, tag="v1.0.0")
    windows = manifest().replace("\n", "\r\n")
    release = world.release(("package.json", windows), ("index.js", "1\r\n2\r\n"))
    found = world.origin(release)
    assert sha == found.commit
    assert "All 2 files" in found.sentence
    assert {"package.json": "line-ends", "index.js": "line-ends"} == {
        each.path: each.rule for each in world.changes(release, found)
    }


def test_what_runs_by_itself_is_told_first(world: World) -> None:
    """Install scripts, commands, compiled code, other code, the rest; each with what is known of it."""
    committed = manifest(bin="./cli.js")
    world.commit({"package.json": committed, "src/cli.js": "cli\n", "old.txt": "1\n"})
    sha = world.commit({"old.txt": "2\n"}, tag="v1.0.0")
    evil = manifest(bin="./cli.js", scripts={"postinstall": "node ./scripts/run && echo", "test": "x"})
    release = world.release(
        ("LICENSE.txt", "Do as you please.\n"),
        ("old.txt", "1\n"),
        ("lib.js", "lib\n"),
        ("addon.bin", b"\x7fELF\x02"),
        ("cli.js", "cli\n"),
        ("scripts/run.js", "evil\n"),
        ("package.json", evil),
    )
    found = world.origin(release)
    assert sha == found.commit
    changes = world.changes(release, found)
    expected = [
        ("scripts/run.js", None, "(postinstall). No commit"),
        ("cli.js", None, "Installed as a command. The commit has this content as src/cli.js."),
        ("addon.bin", None, "Compiled code. No commit"),
        ("lib.js", None, "No commit"),
        ("package.json", None, "in scripts.postinstall, scripts.test."),
        ("old.txt", None, "Other commits"),
        ("LICENSE.txt", "copied", "in another place"),
    ]
    assert [each[:2] for each in expected] == [(each.path, each.rule) for each in changes]
    assert [words in (each.sentence or "") for each, (_, _, words) in zip(changes, expected, strict=True)] == [True] * 7


def test_node_gyp_runs_without_a_script(world: World) -> None:
    """With a binding.gyp npm makes an install script of its own."""
    world.commit({"package.json": manifest()}, tag="v1.0.0")
    release = world.release(("package.json", manifest()), ("binding.gyp", "{}"))
    [change] = world.changes(release, world.origin(release))
    assert change.sentence is not None
    assert change.sentence.startswith("Run when the package is installed (node-gyp")


def test_package_json_written_in_another_order(world: World) -> None:
    """As some packers do: a rule explains it."""
    world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    other = json.dumps({"repository": URL, "version": "1.0.0", "name": NAME})
    release = world.release(("package.json", other), ("index.js", "1\n"))
    [change] = world.changes(release, world.origin(release))
    assert ("package.json", "manifest-order") == (change.path, change.rule)


def test_members_that_land_in_one_place(world: World) -> None:
    """The last of one path is installed; names that differ in case are one file on some systems."""
    world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    release = world.release(
        ("package.json", manifest()), ("index.js", "1\n"), ("INDEX.js", "other\n"), ("index.js", "evil\n")
    )
    found = world.origin(release)
    sentences = {each.path: each.sentence or "" for each in world.changes(release, found)}
    assert {"index.js", "INDEX.js"} == sentences.keys()
    assert "several members of this path" in sentences["index.js"]
    assert "the case of its name" in sentences["INDEX.js"]


def test_a_twin_of_a_file_of_the_commit_is_told(world: World) -> None:
    """An equal file with another spelling beside it is not settled: the other one may take its place."""
    world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    release = world.release(("package.json", manifest()), ("index.js", "1\n"), ("Index.js", "evil\n"))
    found = world.origin(release)
    assert ["Index.js"] == [each.path for each in world.changes(release, found)]


def test_a_history_that_is_too_large_leaves_the_tag(world: World) -> None:
    """With a sentence that says what was not done."""
    world.commit({"package.json": manifest("0.9.0"), "index.js": "1\n"}, tag="v1.0.0")

    class Short(GitSources):
        def holders(self, *_: Any, **__: Any) -> SourceProblem:
            return SourceProblem(trouble=Trouble.TOO_LARGE, sentence="It has too many commits.")

    world.sources.__class__ = Short
    found = world.origin(world.release(("package.json", manifest()), ("index.js", "1\n")))
    assert "v1.0.0" == found.tag
    assert found.sentence.endswith("It has too many commits.")


def test_many_files_cost_no_more_than_their_number(world: World) -> None:
    """A hostile tarball with very many names is compared as fast as it is read, and only some are looked for."""
    world.commit({"package.json": manifest(), "index.js": "1\n"}, tag="v1.0.0")
    release = world.release(("package.json", manifest()), ("index.js", "1\n"))
    assert release.tarball is not None
    [one] = [each for each in release.tarball.files if each.path == "index.js"]
    many = tuple(one.replace(path=f"lib/{number}.txt", blob=f"{number:040x}") for number in range(20_000))
    large = replace(release, tarball=release.tarball.replace(files=(*release.tarball.files, *many)))
    before = time.process_time()
    changes = world.changes(large, world.origin(release))
    assert len(changes) == 20_000
    assert time.process_time() - before < 200
    told = [each for each in changes if each.sentence]
    assert 0 < len(told) < 20_000


def test_many_tags_of_a_version_cost_little() -> None:
    """A repository may have any number of them."""
    tags = {f"{number}-1.0.0": "a" * 40 for number in range(50_000)} | {"v1.0.0": "b" * 40}
    versions = [f"1.0.{number}" for number in range(2_000)]
    before = time.process_time()
    assert ["v1.0.0"] == [each.name for each in release_tags(tags, NAME, "1.0.0", versions)]
    assert time.process_time() - before < 60


def attempt(comparison: Comparison | None) -> Attempt:
    """A build of the tarball, and how it came out."""
    return reports.attempt(reports.artifact(), reports.run(MemoryBlobs()), comparison=comparison)


def test_what_a_build_made_with_the_same_content_is_explained(world: World) -> None:
    """Of the nearest attempt; what it lacks, or made with other content, stays unexplained and comes first."""
    world.commit({"package.json": manifest(), "src.ts": "1\n"}, tag="v1.0.0")
    release = world.release(
        ("package.json", manifest()),
        ("a.js", "a\n"),
        ("b.js", "b\n"),
        ("c.js", "c\n"),
        ("twice.js", "1"),
        ("twice.js", "2"),
    )
    subject = reports.artifact()
    differences = [
        Difference(member="package/b.js", change=MemberChange.CONTENT, detail="Other bytes."),
        Difference(member="package/./c.js", change=MemberChange.MISSING, detail="Only in the published file."),
        Difference(member="package/a.js", change=MemberChange.METADATA, detail="Its time."),
        Difference(member="package/new.js", change=MemberChange.ADDED, detail="Only in the rebuilt file."),
    ]
    near = attempt(reports.compared(subject, Level.DIFFERENT, differences=differences, differences_total=4))
    cut = attempt(reports.compared(subject, Level.DIFFERENT, differences=differences[:1], differences_total=9))
    failed = attempt(None)
    made = made_here(release, near.hypothesis.target, [failed, cut, near])
    assert {"package.json", "a.js"} == made
    assert frozenset() == made_here(release, near.hypothesis.target, [failed, cut])
    assert frozenset() == made_here(release, "another.tgz", [near])
    origin = world.origin(release)
    assert origin.commit is not None
    tree = world.sources.commit(URL, origin.commit)
    assert isinstance(tree, SourceTree)
    changes = tarball_changes(release, SourceCommit(origin=origin, tree=tree), world.sources, made)
    assert [("b.js", None), ("c.js", None), ("twice.js", None), ("a.js", "built")] == [
        (each.path, each.rule) for each in changes
    ]
