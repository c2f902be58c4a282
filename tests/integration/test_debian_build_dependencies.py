"""What a Debian build has beside its environment: chosen by a real apt, in a small tree, from a small archive."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from rebuilder.clock import SystemClock
from rebuilder.ecosystems.debian.archive import DebianArchive
from rebuilder.ecosystems.debian.build_dependencies import Resolution, _Question, resolve
from rebuilder.ecosystems.debian.build_inputs import PLACE, SourceFiles, environment, source_files
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.index import SourceName, SourcePackage, source_package
from rebuilder.ecosystems.debian.pinned_packages import Pin
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.environments.debootstrap import Mmdebstrap
from rebuilder.environments.protocol import BuildEnvironment, Environments
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import InstallationLimitError, SandboxFaultError
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.environment import Manifest
from rebuilder.model.verdict import Verdict
from rebuilder.sandbox.bubblewrap.as_root import as_root
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.store.blobs import DiskBlobs
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.debian_archive import Archive, programs, served_archive
from tests.fakes.debian_machine import opened
from tests.fakes.memo import MemoryMemo
from tests.fakes.programs import InProcessPrograms
from tests.fakes.web_server import served

PROGRAMS = (
    *("apt-get", "cat", "chmod", "chown", "diff", "dpkg", "dpkg-deb", "dpkg-split", "grep", "id", "ldconfig", "ln"),
    *("ls", "mkdir", "rm", "sh", "start-stop-daemon", "sync", "tar"),
    *("/usr/lib/apt/methods/copy", "/usr/lib/apt/methods/file"),
)
TABLES = ("abi", "cpu", "os", "tuple")
"""What apt knows architectures from."""
BASE = Manifest(name="tiny-build", suite="trixie", packages=("?essential", "extra"), configured=True)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EnvironmentStore]:
    """A store that has an environment with apt in it, of programs of this machine."""
    place = tmp_path_factory.mktemp("base")
    with served_archive(place / "archive") as archive:
        accounts = "printf 'root:x:0:0::/root:/bin/sh\n' >/etc/passwd && printf 'root:x:0:\n' >/etc/group\n"
        tables = {f"usr/share/dpkg/{each}table": Path("/usr/share/dpkg", f"{each}table") for each in TABLES}
        files = {**programs(*PROGRAMS), **tables}
        archive.add("base", files, {"preinst": f"#!/bin/sh -e\n{accounts}"}, "Essential: yes\n")
        archive.add("extra", {}, {})
        archive.add("build-essential", {}, {}, "Essential: yes\n")
        maker = Mmdebstrap(etc_apt=archive.etc_apt, keyring=archive.keyring, as_root=as_root)
        store = EnvironmentStore(place / "trees", SystemClock(), maker=maker, as_root=as_root)
        store.get(BASE)
        yield store


class Builder:
    """A machine that prepares builds from one archive."""

    def __init__(self, archive: Archive, trees: EnvironmentStore, place: Path) -> None:
        self.archive, self.trees, self.place = archive, trees, place
        place.mkdir(exist_ok=True)
        self.blobs = DiskBlobs(place / "blobs")
        self.memo = MemoryMemo()
        self.base: BuildEnvironment = trees.get(BASE)
        self.sandbox = BubblewrapSandbox(self.blobs, SystemClock(), scratch=place / "scratch")
        self._here = LocalRunner({self.sandbox.kind: self.sandbox}, trees, self.blobs)
        self.runs: list[BuildDefinition] = []
        self.versions: dict[str, str] = {}
        """Of the source package, by what it wants."""

    def context(self) -> PlanningContext:
        """What another process makes of it."""
        return PlanningContext(
            open_archive=self.opened,
            blobs=self.blobs,
            programs=InProcessPrograms(self.blobs),
            here=self._run,
            environments=self.trees,
            memo=self.memo,
            max_file_bytes=1 << 20,
        )

    def opened(self) -> DebianArchive:
        """The archive, as apt's settings name it."""
        return opened(self.archive, self.blobs, self.place)

    def source(self, version: str = "1-1") -> SourcePackage:
        """What the signed list says of a source package."""
        archive = self.opened()
        [release] = archive.releases(None)
        [index] = archive.indices(release, "source/Sources")
        found = source_package(archive.text(index), SourceName("tiny", version))
        assert found is not None
        return found

    def resolved(self, depends: str = "", *, part: str = "any", pins: Sequence[Pin] = ()) -> Resolution:
        """Of a source package with these fields of build dependencies."""
        if depends not in self.versions:
            self.versions[depends] = f"1-{len(self.versions) + 1}"
            fields = depends if "Build-" in depends or not depends else f"Build-Depends: {depends}\n"
            self.archive.add_source("tiny", self.versions[depends], fields=fields)
        context = self.context()
        return resolve(
            context,
            self.source(self.versions[depends]),
            self.base,
            context.archive.releases(None),
            architecture=self.archive.architecture,
            part="all" if part == "all" else "any",
            pins=pins,
        )

    def chosen(self, depends: str = "", *, part: str = "any", pins: Sequence[Pin] = ()) -> list[str]:
        """The same as names and versions."""
        found = self.resolved(depends, part=part, pins=pins)
        return [f"{each.package.name} {each.package.version}" for each in found.packages]

    def _run(self, definition: BuildDefinition) -> Run:
        self.runs.append(definition)
        return self._here(definition)


@pytest.fixture
def builder(trees: EnvironmentStore, tmp_path: Path) -> Iterator[Builder]:
    """One whose archive has a few packages."""
    with served_archive(tmp_path / "archive") as archive:
        archive.use("trixie")
        archive.add("a1", {}, {}, "Depends: d1\nRecommends: r1\n")
        archive.add("a1", {}, {}, "Depends: d1\nRecommends: r1\n", version="1-2")
        archive.add("b1", {}, {}, "Provides: virtual (= 2)\n")
        for name in ("c1", "d1", "r1"):
            archive.add(name, {}, {})
        found = Builder(archive, trees, tmp_path)
        yield found
        found.sandbox.close()


def stopped(builder: Builder, depends: str, pins: Sequence[Pin] = ()) -> NotRebuildable:
    """Why there is no choice."""
    with pytest.raises(NotRebuildable) as caught:
        builder.resolved(depends, pins=pins)
    return caught.value


def test_newest_of_each_and_nothing_recommended(builder: Builder) -> None:
    """Of the source's own dependencies and theirs; each is bound by the digest that the archive signed."""
    found = builder.resolved("a1, virtual (>= 2)")
    assert ["a1 1-2", "b1 1-1", "d1 1-1"] == [f"{each.package.name} {each.package.version}" for each in found.packages]
    deb = builder.archive.root / "debian" / found.packages[0].path
    assert deb.stat().st_size == found.packages[0].size
    assert f"{builder.archive.uri}/pool/a1_1-2_all.deb" == found.packages[0].uri
    assert {"index"} == {each.package.origin for each in found.packages}
    assert ["trixie"] == [each.suite for each in found.releases]
    assert ((), ()) == (found.removed, found.notes)


def test_the_same_is_chosen_once(builder: Builder) -> None:
    """Apt is not run again until a list, the environment or what is wanted is another one."""
    before = builder.resolved("a1")
    assert before == builder.resolved("a1")
    assert 1 == len(builder.runs)
    builder.archive.add("a1", {}, {}, version="1-3")
    assert ["a1 1-3"] == builder.chosen("a1")
    assert 2 == len(builder.runs)


def test_parts_of_a_build(builder: Builder) -> None:
    """What is wanted for packages of any architecture alone, and for those of one; nothing is wanted by neither."""
    fields = "Build-Depends: b1\nBuild-Depends-Indep: c1\nBuild-Depends-Arch: d1\n"
    assert ["b1 1-1", "d1 1-1"] == builder.chosen(fields)
    assert ["b1 1-1", "c1 1-1"] == builder.chosen(fields, part="all")
    assert [] == builder.chosen("Build-Depends-Indep: c1\n")
    assert [] == builder.chosen()


def test_alternatives(builder: Builder) -> None:
    """The first one, although another one is installed; another one, and that is said, where it is not there."""
    assert ["c1 1-1"] == builder.chosen("c1 | base")
    found = builder.resolved("gone | b1, gone | base")
    assert ["b1"] == [each.package.name for each in found.packages]
    assert "another one than the first" in found.notes[0]


def test_what_cannot_be_met(builder: Builder) -> None:
    """A package that is not there, and a version that is not: both are named."""
    obstacle = stopped(builder, "gone, a1 (>= 7), b1").obstacle
    assert Verdict.INPUTS_MISSING == obstacle.verdict
    assert "gone" in obstacle.sentence
    assert "a1 (>= 7)" in obstacle.sentence
    assert "b1" not in obstacle.sentence.replace("tiny", "")


def test_what_is_no_relationship(builder: Builder) -> None:
    """The signed list has something that apt is not shown."""
    assert "cannot be used: it has 'a1 $(id)'" in str(stopped(builder, "a1 $(id)"))
    assert [] == builder.runs


def test_conflicts(builder: Builder) -> None:
    """What may not be there: of an environment it would have to be removed, which is not done."""
    assert ["b1 1-1"] == builder.chosen("Build-Depends: b1\nBuild-Conflicts: a1, b1 (>= 2)\n")
    found = builder.resolved("Build-Conflicts: extra\n")
    assert ("extra",) == found.removed
    with pytest.raises(NotRebuildable, match="want extra removed from tiny-build"):
        environment(builder.context(), builder.base, found)


def test_version_that_a_list_had(builder: Builder) -> None:
    """A list that was verified before binds it; apt takes it although there is a newer one."""
    old = builder.resolved("a1").packages[0]
    builder.archive.drop()
    builder.versions.clear()
    builder.archive.add("a1", {}, {}, version="1-4")
    assert ["a1 1-4"] == builder.chosen("a1")
    builder.archive.add("d1", {}, {}, version="1-4")
    found = builder.resolved("a1", pins=[Pin(name="a1", version="1-2")])
    assert {"a1 1-2 kept-index", "d1 1-4 index"} == {
        f"{each.package.name} {each.package.version} {each.package.origin}" for each in found.packages
    }
    assert old.package.sha256 == found.packages[0].package.sha256
    assert "archive signed before" in found.notes[0]


def test_version_that_a_list_of_another_suite_had(builder: Builder) -> None:
    """It is bound as well, and is not looked for in the pool; each list is looked through once for a package."""
    archive, dists = builder.archive, builder.archive.root / "debian/dists"
    archive.add("c1", {}, {}, version="0-9")
    text = archive.release
    archive.sign_text(text.replace("Codename: trixie", "Codename: bookworm").replace("Suite: stable", "Suite: old"))
    shutil.copytree(dists / "trixie", dists / "bookworm")
    archive.sign_text(text)
    seen = builder.opened()
    [index] = seen.indices(seen.releases("bookworm")[0], f"binary-{archive.architecture}/Packages")
    archive.drop()
    shutil.rmtree(dists / "bookworm")
    builder.versions.clear()
    archive.add("c1", {}, {}, version="2-1")
    [found] = builder.resolved("c1", pins=[Pin(name="c1", version="0-9")]).packages
    assert ("0-9", "kept-index") == (found.package.version, found.package.origin)
    assert ["1-1", "0-9"] == builder.memo.get(f"versions:{index.sha256}:c1")


def test_version_that_lies_in_the_pool(builder: Builder) -> None:
    """No list was ever seen; with it comes what depends on the same version of its source, and that is said."""
    builder.archive.add("lib-dev", {}, {}, "Depends: lib (= 1-1), d1\n")
    builder.archive.add("lib", {}, {})
    builder.archive.drop()
    builder.versions.clear()
    builder.archive.add("lib-dev", {}, {}, "Depends: lib (= 1-2)\n", version="1-2")
    builder.archive.add("lib", {}, {}, version="1-2")
    builder.archive.add("d1", {}, {}, version="2-1")
    assert ["lib 1-2", "lib-dev 1-2"] == builder.chosen("lib-dev")
    found = builder.resolved("lib-dev", pins=[Pin(name="lib-dev", version="1-1")])
    assert ["d1 2-1 index", "lib 1-1 pool", "lib-dev 1-1 pool"] == [
        f"{each.package.name} {each.package.version} {each.package.origin}" for each in found.packages
    ]
    assert any("lib-dev 1-1" in each and "nobody signed those bytes" in each for each in found.notes)


def test_version_that_nobody_has(builder: Builder) -> None:
    """Named with its version; so is one whose bytes are others than somebody says."""
    builder.archive.add("c1", {}, {}, version="0-9")
    builder.archive.drop()
    builder.versions.clear()
    builder.archive.add("c1", {}, {}, version="2-1")
    for pin in (Pin(name="c1", version="0-8"), Pin(name="c1", version="0-9", sha256="ab" * 32)):
        obstacle = stopped(builder, "c1", [pin]).obstacle
        assert Verdict.INPUTS_MISSING == obstacle.verdict
        assert f"c1 {pin.version} is not to be had" in obstacle.sentence


def test_package_that_is_installed_all_the_same(builder: Builder) -> None:
    """What a builder had, whether or not anything wants it; an older version of what the environment has."""
    assert ["a1 1-1", "c1 1-1", "d1 1-1"] == builder.chosen(
        "a1", pins=[Pin(name="a1", version="1-1"), Pin(name="c1", version="1-1", installed=True)]
    )
    builder.archive.add("base", {}, {}, "Essential: yes\n", version="0-1")
    assert ["base 0-1"] == builder.chosen(pins=[Pin(name="base", version="0-1", installed=True)])


@pytest.mark.parametrize(
    ("pins", "said", "kind"),
    [
        ((Pin(name="a1", version="1-1"),), b"E: Unable to satisfy dependencies.\n", NotRebuildable),
        ((Pin(name="a1", version="1-1"),), b"E: Write error\n", SandboxFaultError),
        ((), b"E: Unable to satisfy dependencies.\n", SandboxFaultError),
    ],
)
def test_versions_that_do_not_go_together(pins: tuple[Pin, ...], said: bytes, kind: type[Exception]) -> None:
    """They are no fault of ours, however apt puts it: a published file may name any."""
    blobs = MemoryBlobs()
    context = cast("PlanningContext", SimpleNamespace(blobs=blobs))
    base = cast("BuildEnvironment", None)
    run = cast("Run", SimpleNamespace(limit=None, log_sha256=blobs.put(said)))
    question = _Question(context, base, (), (), "amd64", pins, ())
    assert kind is type(question._problem(run, ""))


def test_file_that_leads_out_of_the_archive(builder: Builder) -> None:
    """A signed list that says so is not believed."""
    builder.archive.relist("Filename: pool/c1_1-1_all.deb", "Filename: ../../etc/c1_1-1_all.deb")
    obstacle = stopped(builder, "c1").obstacle
    assert "c1 1-1, a build dependency, cannot be used" in obstacle.sentence


def test_environment_with_what_was_chosen(builder: Builder) -> None:
    """Installed over the environment; a package that the archive lost is named."""
    builder.archive.add("c1", {"usr/share/c1": "here\n"}, {}, version="2-1")
    found = builder.resolved("c1")
    made = environment(builder.context(), builder.base, found)
    assert made.sha256 != builder.base.sha256
    assert made.sha256 == environment(builder.context(), builder.base, found).sha256
    assert builder.base == environment(builder.context(), builder.base, builder.resolved())
    other = builder.resolved("b1")
    (builder.archive.root / "debian/pool/b1_1-1_all.deb").unlink()
    with pytest.raises(NotRebuildable, match=r"not have b1 1-1, which its signed list names \(trixie of") as caught:
        environment(builder.context(), builder.base, other)
    assert Verdict.INFRA_ERROR is caught.value.obstacle.verdict
    kept = [each.replace(package=each.package.replace(origin="kept-index")) for each in other.packages]
    with pytest.raises(NotRebuildable, match="not have b1 1-1, and no list"):
        environment(builder.context(), builder.base, other.replace(packages=tuple(kept)))
    builder.archive.add("broken", {}, {"postinst": "#!/bin/sh\nexit 1\n"})
    with pytest.raises(NotRebuildable, match="cannot be configured"):
        environment(builder.context(), builder.base, builder.resolved("broken"))


class _Greedy:
    def layered(self, *_: object) -> BuildEnvironment:
        raise InstallationLimitError("sh took more than 2,048 processes")


def test_scripts_that_take_too_much(builder: Builder) -> None:
    """A limit was reached, which is no fault of ours."""
    greedy = replace(builder.context(), environments=cast("Environments", _Greedy()))
    with pytest.raises(NotRebuildable, match="2,048 processes") as caught:
        environment(greedy, builder.base, builder.resolved("c1"))
    assert Verdict.TIMED_OUT == caught.value.obstacle.verdict


def test_files_of_a_source_package(builder: Builder, tmp_path: Path) -> None:
    """Bound by the signed list; without its description, one is written that dpkg-source takes; a tarball is needed."""
    dsc = builder.archive.add_source("tiny", fields="Build-Depends: a1\nPackage-List:\n tiny deb misc optional\n")
    context = builder.context()
    [release] = context.archive.releases(None)
    whole = source_files(context, builder.source(), release)
    assert [f"{PLACE}/tiny_1-1.dsc", f"{PLACE}/tiny_1-1.tar.gz"] == [each.path for each in whole.inputs]
    assert dsc.read_bytes() == builder.blobs.read(whole.dsc.sha256)
    other = Builder(builder.archive, builder.trees, tmp_path / "other")
    dsc.unlink()
    written = source_files(other.context(), builder.source(), release)
    assert "was written from" in written.notes[0]
    place = tmp_path / "unpacked"
    place.mkdir()
    for each in written.inputs:
        shutil.copy(other.blobs.path(each.sha256), place / each.name)
    command = ["dpkg-source", "--no-check", "-x", written.dsc.name, "tree"]
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=300)
    assert (place / "tree/debian/control").is_file()
    other.sandbox.close()


def test_file_that_the_mirror_lacks(builder: Builder, tmp_path: Path) -> None:
    """A mirror that lacks what its list has is in trouble; what no list has is missing."""
    archive = builder.archive
    archive.add_source("tiny")
    shutil.copytree(archive.root / "debian", tmp_path / "other/debian")
    (archive.root / "debian/pool/tiny_1-1.tar.gz").unlink()
    source = builder.source()

    def asked() -> SourceFiles:
        return source_files(context, source, release)

    context = builder.context()
    [release] = context.archive.releases(None)
    with pytest.raises(NotRebuildable, match=r"tiny_1-1\.tar\.gz, which its signed list names \(trixie of") as caught:
        asked()
    assert Verdict.INFRA_ERROR is caught.value.obstacle.verdict
    with served(tmp_path / "other") as address:
        also = f"deb [signed-by={archive.keyring}] {address}/debian trixie main\n"
        (archive.etc_apt / "sources.list.d").mkdir()
        (archive.etc_apt / "sources.list.d/other.list").write_text(also)
        context = replace(context, open_archive=builder.opened)
        assert f"{address}/debian/pool/tiny_1-1.tar.gz" == asked().inputs[1].uri
    builder.blobs.path(source.files[0].sha256).unlink()
    (archive.etc_apt / "sources.list.d/other.list").unlink()
    archive.drop()
    context = replace(context, open_archive=builder.opened)
    with pytest.raises(NotRebuildable, match="and no list that") as caught:
        asked()
    assert Verdict.INPUTS_MISSING is caught.value.obstacle.verdict
