"""What a build installs: where the packages of a lock file come from, how they are bound, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.dependencies import (
    Dependencies,
    LockFile,
    Manager,
    check_scopes,
    dependencies,
    find_lock,
    scope_registries,
)
from rebuilder.ecosystems.npm.registry import Access, NpmRegistry
from rebuilder.ecosystems.npm.resolution import LOCK, Resolved, resolve, trimmed
from rebuilder.ecosystems.npm.settings import NpmProcess, NpmSettings
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.errors import FileGoneError, UnavailableError
from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.programs.npm.loopback import ADDRESS
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.loopback_npm import integrity, tarball
from tests.fakes.memo import MemoryMemo
from tests.fakes.npm import npm_context

REGISTRY = "https://mirror.example/npm"
NPM = Manager("npm", "10.9.0")
SOURCE = "/build/source"
DAY = datetime(2024, 5, 1, tzinfo=UTC)


class World:
    """A registry of canned answers."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobs()
        self.fetcher = FakeFetcher(self.blobs)
        process = NpmProcess({"NPM_CONFIG_REGISTRY": REGISTRY}, self.blobs.path(self.blobs.put(b"")).parent)
        access = Access(NpmSettings(process), self.fetcher, lambda _: None)
        registry = NpmRegistry(lambda: access, blobs=self.blobs, memo=MemoryMemo())
        self.context: PlanningContext = npm_context(registry, self.blobs)
        self.program = Input(role=Role.PROGRAM, name="npm.pyz", sha256=sha256_hex(b"npm"), path="/tools/npm.pyz")

    def publish(self, name: str, **versions: dict[str, Any]) -> dict[str, bytes]:
        """Have a package; gives the tarballs by version. The members of a version are those of its entry."""
        found, entries, times = {}, {}, {}
        for label, more in versions.items():
            version = label.removeprefix("v").replace("_", ".")
            found[version] = tarball(name, version)
            base = f"{name.rpartition('/')[2]}-{version}.tgz"
            url = self.fetcher.serve(f"{REGISTRY}/{name}/-/{base}", found[version])
            times[version] = more.pop("time", DAY).isoformat()
            dist = {"tarball": url, "integrity": integrity(found[version])}
            entries[version] = {"name": name, "version": version, "dist": dist, **more}
        document = {"name": name, "dist-tags": {"latest": version}, "versions": entries, "time": times}
        self.fetcher.serve(f"{REGISTRY}/{name.replace('/', '%2F')}", json.dumps(document).encode())
        return found

    def install(
        self,
        rows: dict[str, Any],
        path: str = LOCK,
        manager: Manager = NPM,
        scopes: dict[str, str] | None = None,
        **more: Any,
    ) -> Dependencies:
        """What a package-lock.json of version 3 gives."""
        text = json.dumps({"lockfileVersion": 3, "packages": {"": {}, **rows}, **more})
        return self.from_lock(LockFile(path, text.encode()), manager, scopes)

    def from_lock(self, lock: LockFile, manager: Manager = NPM, scopes: dict[str, str] | None = None) -> Dependencies:
        """What a lock file gives."""
        return dependencies(self.context, lock, manager=manager, program=self.program, source=SOURCE, scopes=scopes)


def row(content: bytes, address: str | None = None, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    """An entry of a lock file."""
    return {"version": version, "integrity": integrity(content), **({"resolved": address} if address else {}), **more}


def sha1(content: bytes) -> str:
    """As old lock files have it."""
    return f"sha1-{base64.b64encode(hashlib.sha1(content).digest()).decode()}"  # noqa: S324


def test_tarballs_are_inputs() -> None:
    """Once each, asked of the registry in the settings alone, and the lock file with the addresses of the sandbox."""
    world = World()
    alpha, beta = (world.publish(each, v1_0_0={})["1.0.0"] for each in ("alpha", "@scope/beta"))
    elsewhere = "http://elsewhere.example/alpha/-/alpha-1.0.0.tgz"
    found = world.install(
        {
            "node_modules/alpha": row(alpha, elsewhere),
            "node_modules/again/node_modules/alpha": row(alpha, elsewhere),
            "node_modules/alias": row(beta, f"{REGISTRY}/@scope/beta/-/beta-1.0.0.tgz", name="@scope/beta"),
            "node_modules/mac": {"version": "1.0.0", "os": ["darwin"], "optional": True},
            "node_modules/inside": {"version": "1.0.0", "inBundle": True},
            "node_modules/part": {"resolved": "packages/part", "link": True},
        },
        path="packages/one/package-lock.json",
    )
    paths = ["/inputs/npm/@scope+beta@1.0.0.tgz", "/inputs/npm/alpha@1.0.0.tgz", "/inputs/package-lock.json"]
    assert [each.path for each in found.inputs] == paths
    assert [each.sha256 for each in found.inputs[:2]] == [sha256_hex(beta), sha256_hex(alpha)]
    lock = world.blobs.read(found.inputs[2].sha256).decode()
    assert f'"resolved": "{ADDRESS}/alpha/-/alpha-1.0.0.tgz"' in lock
    assert f'"resolved": "{ADDRESS}/@scope/beta/-/beta-1.0.0.tgz"' in lock
    (command,) = found.commands
    assert command[3:6] == ("/tools/npm.pyz", "install", "--lock")
    assert command[command.index("--at") + 1] == "/build/source/packages/one/package-lock.json"
    assert command[command.index("--directory") + 1] == "/build/source/packages/one"
    assert command[command.index("--") + 1 :][:3] == (NPM.command, "ci", "--ignore-scripts")
    assert "2 packages are installed as packages/one/package-lock.json names them" in found.sentence
    assert "http://elsewhere.example" in found.notes[0]
    assert not [each for each in world.fetcher.asked if not each.startswith(REGISTRY)]
    assert world.install({"node_modules/alpha": row(alpha)}).commands[0][5] == "--directory"


@pytest.mark.parametrize(("version", "count"), [("6.14.18", 2), ("10.9.0", 1)])
def test_npm_6_asks_for_packages_of_other_machines(version: str, count: int) -> None:
    """It does not know from the lock file that they are none of this one, and gives up where it gets none."""
    world = World()
    mac = {"version": "1.0.0", "os": ["darwin"], "optional": True}
    mac["integrity"] = integrity(world.publish("mac", v1_0_0={})["1.0.0"])
    alpha = row(world.publish("alpha", v1_0_0={})["1.0.0"])
    rows = {"node_modules/alpha": alpha, "node_modules/mac": mac}
    found = world.install(rows, manager=Manager("npm", version))
    assert count == len([each for each in found.inputs if each.role is Role.BUILD_DEPENDENCY])


def test_what_was_fetched_is_not_asked_for_again() -> None:
    """The digest is enough."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    first = world.install({"node_modules/alpha": row(alpha)})
    asked = len(world.fetcher.asked)
    assert world.install({"node_modules/alpha": row(alpha)}) == first
    assert len(world.fetcher.asked) == asked


def test_a_sha1_alone() -> None:
    """The registry's SHA-512 binds; the SHA-1 has to fit; the reader is told."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    found = world.install({"node_modules/alpha": {"version": "1.0.0", "integrity": sha1(alpha)}})
    assert found.inputs[0].sha256 == sha256_hex(alpha)
    assert "only the SHA-1 of alpha 1.0.0" in found.notes[0]
    with pytest.raises(NotRebuildable, match="another SHA-1") as refused:
        world.install({"node_modules/alpha": {"version": "1.0.0", "integrity": sha1(b"other")}})
    assert refused.value.obstacle.verdict is Verdict.INPUTS_MISSING


def test_no_digest() -> None:
    """The same, and said."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    found = world.install({"node_modules/alpha": {"version": "1.0.0"}})
    assert found.inputs[0].sha256 == sha256_hex(alpha)
    assert "no digest of alpha 1.0.0" in found.notes[0]


PRIVATE = "https://own.example/npm"


@pytest.mark.parametrize(
    ("more", "scopes", "refused"),
    [
        ({"resolved": f"{PRIVATE}/@our/a/-/a-1.0.0.tgz"}, {}, True),
        ({}, {"@our": PRIVATE}, True),
        ({"resolved": f"{REGISTRY}/@our/a/-/a-1.0.0.tgz"}, {"@our": PRIVATE}, False),
        ({"integrity": ""}, {"@our": f"{REGISTRY}/"}, False),
        ({}, {"@other": PRIVATE}, False),
        ({"resolved": "https://copied.example/@our/a/-/a-1.0.0.tgz"}, {}, False),
    ],
)
def test_what_nothing_binds_is_of_its_own_registry(
    more: dict[str, Any], scopes: dict[str, str], *, refused: bool
) -> None:
    """Another registry may have another package of that name, which would be built with; nobody is asked for it."""
    world = World()
    beta = world.publish("beta", v1_0_0={})["1.0.0"]
    bound = {"node_modules/beta": row(beta, "https://copied.example/beta/-/beta-1.0.0.tgz")}
    rows = bound | {"node_modules/@our/a": {"version": "1.0.0", **more}}
    if not refused:
        world.publish("@our/a", v1_0_0={})
        assert 2 <= len(world.install(rows, scopes=scopes).inputs)
        return
    with pytest.raises(NotRebuildable) as stopped:
        world.install(rows, scopes=scopes)
    said = stopped.value.obstacle
    assert (Verdict.INPUTS_MISSING, []) == (said.verdict, world.fetcher.asked)
    assert "takes @our/a from https://own.example and has no digest of it" in said.sentence


def test_scopes_of_the_commits_own_settings() -> None:
    """Without a lock file nothing binds what they are asked for."""
    scopes = scope_registries(f"registry={REGISTRY}\n@our:registry = {PRIVATE} ; note\n[x]\n@late:registry=x\n")
    assert {"@our": PRIVATE} == scopes
    registry = World().context.registry
    check_scopes(registry, {"our", "@ours/a", "b"}, scopes)
    check_scopes(registry, {"@our/a"}, {"@our": f"{REGISTRY}/x"})
    with pytest.raises(NotRebuildable) as stopped:
        check_scopes(registry, {"@our/a"}, scopes)
    assert "and no lock file binds it" in stopped.value.obstacle.sentence


@pytest.mark.parametrize(
    ("entry", "verdict", "words"),
    [
        ({"version": "git+ssh://git@git.example.org/a.git#0"}, Verdict.UNSUPPORTED, "a repository"),
        ({"version": "1.0.0", "resolved": "https://files.example.org/a.tgz"}, Verdict.UNSUPPORTED, "the address"),
        ({"version": "1.0.0", "resolved": "file:../../../a"}, Verdict.INPUTS_MISSING, "outside the repository"),
        ({"version": "1.0"}, Verdict.UNSUPPORTED, "from the address"),
        ({"version": "7.0.0"}, Verdict.INPUTS_MISSING, "the registry does not have"),
        (row(b"other"), Verdict.INPUTS_MISSING, "another SHA512"),
        (row(b"other", version=f"1.0.0-{'x' * 250}"), Verdict.UNSUPPORTED, "too long"),
        ({"version": "1.0.0", "os": {"a": 1}}, Verdict.UNSUPPORTED, "cannot be used"),
    ],
)
def test_what_is_refused(entry: dict[str, Any], verdict: Verdict, words: str) -> None:
    """One sentence each, with the verdict; nothing is fetched from where the lock file says."""
    world = World()
    world.publish("alpha", v1_0_0={})
    with pytest.raises(NotRebuildable, match=words) as refused:
        world.install({"node_modules/alpha": entry})
    assert refused.value.obstacle.verdict is verdict
    assert not [each for each in world.fetcher.asked if not each.startswith(REGISTRY)]


def test_one_release_bound_to_two_files() -> None:
    """Which is installed would depend on the order of things."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    with pytest.raises(NotRebuildable, match="different bytes at different places"):
        world.install({"node_modules/alpha": row(alpha), "node_modules/b/node_modules/alpha": row(b"other")})


def test_one_release_bound_in_two_ways() -> None:
    """Lock files that grew old have a SHA-1 at one place and a SHA-512 at another: no contradiction."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    old = {"version": "1.0.0", "integrity": sha1(alpha)}
    for rows in ([old, row(alpha)], [row(alpha), old]):
        found = world.install(dict(zip(("node_modules/alpha", "node_modules/b/node_modules/alpha"), rows, strict=True)))
        assert () == found.notes


def test_trouble_of_the_registry_is_none_of_the_package() -> None:
    """A registry that does not answer is no verdict."""
    world = World()
    world.fetcher.break_down(f"{REGISTRY}/alpha/-/alpha-1.0.0.tgz", UnavailableError("down"))
    world.fetcher.break_down(f"{REGISTRY}/alpha", UnavailableError("down"))
    with pytest.raises(UnavailableError, match="down"):
        world.install({"node_modules/alpha": row(b"content")})


def test_what_yarn_patches_is_fetched_for_every_machine() -> None:
    """Other packages for other machines are not."""
    world = World()
    world.publish("fsevents", v2_3_2={})
    entry = '"{0}@npm:2.3.2":\n  resolution: "{0}@npm:2.3.2"\n  conditions: os=darwin\n'
    rows = "".join(map(entry.format, ("fsevents", "mac")))
    patch = "fsevents@patch:fsevents@npm%3A2.3.2#~builtin<compat/fsevents>"
    text = f'__metadata:\n  version: 6\n{rows}"{patch}":\n  resolution: "{patch}"\n  conditions: os=darwin\n'
    found = world.from_lock(LockFile("yarn.lock", text.encode()), Manager("yarn", "3.8.7"))
    assert [each.path for each in found.inputs] == ["/inputs/npm/fsevents@2.3.2.tgz", "/inputs/yarn.lock"]


def test_optional_packages_may_be_gone() -> None:
    """They are left out, and named."""
    world = World()
    found = world.install({"node_modules/alpha": row(b"gone", optional=True)})
    assert [each.path for each in found.inputs] == []
    assert "does not have alpha 1.0.0" in found.notes[0]


def test_a_tarball_that_the_registry_lists_and_has_not() -> None:
    """It contradicts itself: that is not said of the package yet."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    world.fetcher.break_down(f"{REGISTRY}/alpha/-/alpha-1.0.0.tgz", FileGoneError("It is gone."))
    with pytest.raises(NotRebuildable, match="lists and does not have") as refused:
        world.install({"node_modules/alpha": row(alpha)})
    assert refused.value.obstacle.verdict is Verdict.INFRA_ERROR


def test_an_address_that_readers_see_and_nobody_writes() -> None:
    """JSON can write an address so that it is not found in the text."""
    world = World()
    alpha = world.publish("alpha", v1_0_0={})["1.0.0"]
    text = json.dumps({"packages": {"node_modules/alpha": row(alpha, f"{REGISTRY}/alpha/-/alpha-1.0.0.tgz")}})
    with pytest.raises(NotRebuildable, match="in a way"):
        world.from_lock(LockFile(LOCK, text.replace("https:", "https\\u003a").encode()))


@pytest.mark.parametrize(
    ("manager", "command"),
    [
        (Manager("npm", "5.6.0"), ("install",)),
        (Manager("npm", "6.14.0"), ("ci",)),
        (Manager("pnpm", "9.0.0"), ("install", "--frozen-lockfile")),
        (Manager("yarn", "1.22.22"), ("install", "--frozen-lockfile")),
        (Manager("yarn", "4.1.0"), ("install", "--mode=skip-build")),
    ],
)
def test_commands(manager: Manager, command: tuple[str, ...]) -> None:
    """Each package manager takes the lock file as it is, and runs no script."""
    assert manager.install[: len(command) + 1] == (manager.command, *command)
    assert {"--ignore-scripts", "--mode=skip-build"} & set(manager.install)


def test_the_nearest_lock_file() -> None:
    """Of the package, or of the directories above it."""
    files = {"package-lock.json": b"1", "packages/a/npm-shrinkwrap.json": b"2", "packages/a/package-lock.json": b"3"}
    assert find_lock(files, "packages/a", "npm") == LockFile("packages/a/npm-shrinkwrap.json", b"2")
    assert find_lock(files, "packages/b", "npm") == LockFile("package-lock.json", b"1")
    assert find_lock(files, "", "yarn") is None


OPENED = BuildDefinition(
    build_type="urn:example:opened",
    purl="pkg:npm/own@1.0.0",
    targets=("own-1.0.0.tgz",),
    toolchain=EnvironmentRef(name="named", sha256=sha256_hex(b"named")),
    commands=(("true",),),
    environment={},
)


class FakeNpm:
    """Runs a resolution: needs some documents, and writes a lock file when it has them."""

    def __init__(self, world: World, *needed: str, outcome: Outcome = Outcome.COMPLETED, said: str = "") -> None:
        self._world, self._needed, self._outcome, self._said = world, needed, outcome, said
        self.rounds: list[BuildDefinition] = []

    def __call__(self, definition: BuildDefinition) -> Run:
        """See :class:`rebuilder.sandbox.protocol.Runner`."""
        self.rounds.append(definition)
        there = {each.path for each in definition.inputs}
        missing = [each for each in self._needed if not any(each.replace("/", "+") in path for path in there)]
        done = self._outcome is Outcome.COMPLETED and not missing
        written = {"missing.json": json.dumps(missing).encode()} | ({LOCK: b'{"packages": {}}'} if done else {})
        return Run(
            outcome=Outcome.COMPLETED if done else Outcome.BUILD_FAILED,
            outputs=tuple(Output(filename=n, sha256=self._world.blobs.put(c), size=len(c)) for n, c in written.items()),
            log_sha256=self._world.blobs.put(self._said.encode()),
            wall_seconds=1,
            cpu_seconds=1,
            peak_memory_bytes=1,
            sandbox_version="none",
            started=DAY,
        )


def resolved(world: World, npm: FakeNpm, manifest: dict[str, Any]) -> Resolved:
    """What comes of a package.json."""
    context = world.context
    return resolve(
        type(context)(**{**vars(context), "run": npm}),
        OPENED,
        [manifest],
        "",
        manager=NPM,
        program=world.program,
        source=SOURCE,
        not_after=DAY + timedelta(hours=1),
        release=("own", "1.0.0"),
    )


def test_what_is_wanted_is_fetched_before_npm_asks() -> None:
    """Dependencies of the newest version in each range, peers and aliases too; what was worked out is remembered."""
    world = World()
    world.publish("alpha", v1_0_0={"dependencies": {"old": "*"}}, v1_1_0={"dependencies": {"beta": "^2.0.0"}})
    world.publish("beta", v2_0_0={"peerDependencies": {"@scope/gamma": "1"}}, v3_0_0={"dependencies": {"never": "1"}})
    world.publish("@scope/gamma", v1_0_0={})
    world.publish("real", v1_0_0={})
    npm = FakeNpm(world, "alpha", "beta", "@scope/gamma", "real")
    manifest = {"devDependencies": {"alpha": "^1.0.0", "alias": "npm:real@1", "git": "github:a/b"}, "dependencies": []}
    found = resolved(world, npm, manifest)
    assert (found.lock, found.notes) == (LockFile(LOCK, b'{"packages": {}}'), ())
    documents = [each.path for each in npm.rounds[0].inputs]
    assert documents == [f"/inputs/documents/{each}.json" for each in ("@scope+gamma", "alpha", "beta", "real")]
    assert len(npm.rounds) == 1
    assert resolved(world, FakeNpm(world, "nothing at all"), manifest) == found


def test_a_release_is_never_chosen_for_its_own_build() -> None:
    """A package that is built with itself was built with a version before it; what sees the release could copy it."""
    world = World()
    world.publish("own", v0_9_0={}, v1_0_0={})
    npm = FakeNpm(world, "own", "own@1.0.0")
    with pytest.raises(NotRebuildable):
        resolved(world, npm, {"devDependencies": {"own": "*"}})
    [document] = [each for each in npm.rounds[-1].inputs if each.path == "/inputs/documents/own.json"]
    read = json.loads(world.blobs.read(document.sha256))
    assert (["0.9.0"], "0.9.0") == (list(read["versions"]), read["dist-tags"]["latest"])
    assert not [each for each in npm.rounds[-1].inputs if each.path.endswith(".tgz")]


def test_what_npm_asks_for_is_fetched() -> None:
    """In further rounds, tarballs too."""
    world = World()
    world.publish("alpha", v1_0_0={})
    world.publish("beta", v1_0_0={"dependencies": {"gamma": "1"}})
    world.publish("gamma", v1_0_0={})
    npm = FakeNpm(world, "alpha", "beta", "gamma", "alpha@1.0.0")
    resolved(world, npm, {"dependencies": {"alpha": "1"}})
    assert len(npm.rounds) == 2
    assert "/inputs/npm/alpha@1.0.0.tgz" in [each.path for each in npm.rounds[1].inputs]


@pytest.mark.parametrize(
    ("needed", "said", "words"),
    [
        (("gone",), "", "does not have gone"),
        ((), "| npm error code ETARGET\n| npm error notarget No matching version\n", "No matching version"),
        (("__proto__", "../etc/passwd", "x" * 300), "", "it gave no reason"),
    ],
)
def test_what_npm_cannot_resolve(needed: tuple[str, ...], said: str, words: str) -> None:
    """The reason in one sentence; names that are none are not asked for."""
    world = World()
    npm = FakeNpm(world, *needed, outcome=Outcome.BUILD_FAILED, said=said)
    with pytest.raises(NotRebuildable, match=words):
        resolved(world, npm, {})
    assert not [each for each in world.fetcher.asked if "etc" in each or "proto" in each]


def test_ranges_of_peers_that_contradict_one_another() -> None:
    """Npm is asked once more, as people do, and that is told."""
    world = World()
    npm = FakeNpm(world)
    failed = FakeNpm(world, outcome=Outcome.BUILD_FAILED)

    def run(definition: BuildDefinition) -> Run:
        return npm(definition) if "--legacy-peer-deps" in definition.commands[1] else failed(definition)

    found = resolved(world, run, {})  # type: ignore[arg-type]
    assert (len(npm.rounds), len(failed.rounds)) == (1, 1)
    assert ("--legacy-peer-deps" in found.notes[0], False) == (True, found.guessed)


def test_versions_of_after_the_moment() -> None:
    """They are left out; the address of a tarball is that of the registry in the sandbox, and hooks are none."""
    world = World()
    late = {"time": DAY + timedelta(days=9)}
    world.publish("alpha", v1_0_0={"scripts": {"install": "x"}, "dependencies": {"b": "1"}}, v1_1_0=late)
    document = trimmed(world.context.registry, "alpha", DAY)
    assert document["dist-tags"] == {"latest": "1.0.0"}
    (entry,) = document["versions"].values()
    assert set(entry) == {"name", "version", "dependencies", "dist"}
    assert entry["dist"]["tarball"] == f"{ADDRESS}/alpha/-/alpha-1.0.0.tgz"


def test_a_registry_that_copies_another_one() -> None:
    """Its times are those when it first saw a version: of a range, those that it saw in the same weeks count."""
    world = World()
    first = DAY + timedelta(days=90)
    world.publish(
        "alpha",
        v1_0_0={"time": first + timedelta(days=9)},
        v1_0_1={"time": first},
        v2_0_0={"time": first},
        v1_9_0={"time": first + timedelta(days=300)},
    )
    registry = world.context.registry
    assert not trimmed(registry, "alpha", DAY)["versions"]
    assert set(trimmed(registry, "alpha", DAY, ["^1.0.0"])["versions"]) == {"1.0.0", "1.0.1"}
    assert set(trimmed(registry, "alpha", DAY, ["^1.0.0", "2"])["versions"]) == {"1.0.0", "1.0.1", "2.0.0"}
    npm = FakeNpm(world, "alpha")
    found = resolved(world, npm, {"dependencies": {"alpha": "^1.0.0"}})
    assert found.guessed
    assert "saw no version of alpha" in found.notes[0]
