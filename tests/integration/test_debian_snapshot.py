"""What Debian's archive no longer has, from a service or a directory that keeps everything; all on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebuilder.config import load_config
from rebuilder.ecosystems.debian.build_inputs import source_files
from rebuilder.ecosystems.debian.context import PlanningContext
from rebuilder.ecosystems.debian.index import IndexedFile, SourceName, source_package
from rebuilder.ecosystems.debian.pinned_packages import Pin, pinned_packages
from rebuilder.ecosystems.debian.snapshot import Snapshot, SnapshotFile
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.errors import FetchMismatchError, UnavailableError, UsageError
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.model.verdict import Verdict
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.debian_archive import Archive, served_archive
from tests.fakes.fetcher import FakeFetcher
from tests.fakes.programs import InProcessPrograms
from tests.fakes.web_server import served
from tests.integration.test_debian_archive import Machine


class Keeper:
    """A directory laid out as Debian's own service."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, kind: str, name: str, version: str, *files: Path, **said: object) -> None:
        """Keep files of a package (``binary``) or of a source package (``package``)."""
        info = {}
        for each in files:
            sha1 = hashlib.sha1(each.read_bytes()).hexdigest()  # noqa: S324 - theirs
            (self.root / "file").mkdir(parents=True, exist_ok=True)
            (self.root / "file" / sha1).write_bytes(each.read_bytes())
            place = {"archive_name": "debian", "name": each.name, "path": "/pool/main/t", "size": each.stat().st_size}
            info[sha1] = [place | said]
        listed = self.root / "mr" / kind / name / version / ("binfiles" if kind == "binary" else "srcfiles")
        listed.parent.mkdir(parents=True)
        listed.write_text(json.dumps({"result": [{"hash": each} for each in info], "fileinfo": info}))

    def spoil(self) -> None:
        """Have other bytes in every file."""
        for each in (self.root / "file").iterdir():
            each.write_bytes(each.read_bytes()[:-1] + b"?")


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive with one package and its source."""
    with served_archive(tmp_path / "archive") as archive:
        archive.use("trixie")
        archive.add("tiny", {"usr/bin/tiny": "#!/bin/sh\n"}, {})
        archive.add_source("tiny")
        yield archive


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    """An empty one."""
    return Keeper(tmp_path / "kept")


@pytest.fixture(params=["directory", "address"])
def machine(request: pytest.FixtureRequest, archive: Archive, keeper: Keeper, tmp_path: Path) -> Iterator[Machine]:
    """A machine that asks the archive, and then the keeper."""
    keeper.root.mkdir()
    (tmp_path / "machine").mkdir()
    with served(keeper.root) as address:
        place = address if request.param == "address" else str(keeper.root)
        yield Machine(archive, tmp_path / "machine", snapshot=place)


def context(machine: Machine) -> PlanningContext:
    """What versions are looked for with; nothing is built."""
    return PlanningContext(
        open_archive=machine.opened,
        blobs=machine.blobs,
        programs=InProcessPrograms(machine.blobs),
        here=cast("Any", None),
        environments=cast("Any", None),
        memo=machine.memo,
        max_file_bytes=1 << 20,
    )


def test_published_file_that_the_mirror_lost(machine: Machine, archive: Archive, keeper: Keeper) -> None:
    """It is bound by the list all the same: other bytes are refused."""
    deb = archive.root / "debian/pool/tiny_1-1_all.deb"
    keeper.keep("binary", "tiny", "1-1", deb)
    deb.unlink()
    assert machine.evidence("tiny==1-1").artifact_inspection is not None
    machine.blobs = MemoryBlobs()
    keeper.spoil()
    with pytest.raises(FetchMismatchError):
        machine.evidence("tiny==1-1")


def test_build_dependency_that_no_list_has(machine: Machine, archive: Archive, keeper: Keeper) -> None:
    """Nobody signed it: its digest is found, its origin is said; what it is not is not taken."""
    older = archive.root / "older/tool_1%3a1_all.deb"
    older.parent.mkdir()
    archive.add("tool", {"usr/bin/tool": "1"}, {}, version="1:1-1").rename(older.with_name("tool_1-1_all.deb"))
    archive.drop()
    archive.add("tool", {"usr/bin/tool": "2"}, {}, version="2-1")
    older = older.with_name("tool_1-1_all.deb")
    parts = context(machine)
    [release] = parts.archive.releases(None)
    lists = list(parts.archive.indices(release, f"binary-{archive.architecture}/Packages"))
    pin = Pin(name="tool", version="1:1-1")
    with pytest.raises(NotRebuildable, match="tool 1:1-1"):
        pinned_packages(parts, [release], lists, [pin], archive.architecture)
    keeper.keep("binary", "tool", "1:1-1", older)
    [found] = pinned_packages(parts, [release], lists, [pin], archive.architecture)
    digest = sha256_hex(older.read_bytes())
    assert ("snapshot", digest, "1:1-1") == (found.origin, found.file.sha256, found.version)
    assert digest in found.note
    assert str(keeper.root) not in found.uri
    other = pin.replace(sha256=sha256_hex(b"other"))
    with pytest.raises(NotRebuildable, match="tool 1:1-1"):
        pinned_packages(parts, [release], lists, [other], archive.architecture)


def test_source_that_the_mirror_lost(machine: Machine, archive: Archive, keeper: Keeper) -> None:
    """Tarball and description come from there, with the digests that were signed."""
    pool = archive.root / "debian/pool"
    files = pool / "tiny_1-1.tar.gz", pool / "tiny_1-1.dsc"
    parts = context(machine)
    [release] = parts.archive.releases(None)
    [index] = parts.archive.indices(release, "source/Sources")
    source = source_package(parts.archive.text(index), SourceName("tiny", "1-1"))
    assert source is not None
    keeper.keep("package", "tiny", "1-1", *files)
    digests = {each.name: sha256_hex(each.read_bytes()) for each in files}
    for each in files:
        each.unlink()
    found = source_files(parts, source, release)
    assert digests == {each.name: each.sha256 for each in found.inputs}
    assert {str(each.uri).partition(":")[0] for each in found.inputs} <= {"http", "snapshot"}


def test_nothing_is_kept(machine: Machine, archive: Archive) -> None:
    """That is said as if there were no such service."""
    (archive.root / "debian/pool/tiny_1-1_all.deb").unlink()
    obstacle = machine.evidence("tiny==1-1").obstacle
    assert obstacle is not None
    assert (Verdict.INFRA_ERROR, True) == (obstacle.verdict, "which its signed list names" in obstacle.sentence)


HOSTILE: tuple[Any, ...] = (
    None,
    [],
    {},
    {"result": [{"hash": "a" * 40}], "fileinfo": {}},
    {"result": [{"hash": "../../x"}], "fileinfo": {"../../x": []}},
    {"result": "a", "fileinfo": "a"},
    {"result": [{"hash": "a" * 40}], "fileinfo": {"a" * 40: [1]}},
)


@pytest.mark.parametrize("said", HOSTILE)
def test_lists_that_are_none(said: object) -> None:
    """A sentence, whatever it is."""
    blobs = MemoryBlobs()
    fetcher = FakeFetcher(blobs)
    fetcher.serve("https://kept.example/mr/binary/tiny/1/binfiles?fileinfo=1", json.dumps(said).encode())
    with pytest.raises(UnavailableError, match="list"):
        Snapshot("https://kept.example/", fetcher, blobs).of_binary("tiny", "1")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["a" * 40, "/../x", "debian"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["result", "fileinfo", "hash", "name", "path", "size", "archive_name", "a" * 40]), inner
        )
    ),
    max_leaves=20,
)


@given(_JSON)
def test_any_answer(said: object) -> None:
    """Files with plain names, or a sentence."""
    fetcher = FakeFetcher(MemoryBlobs())
    fetcher.serve("https://kept.example/mr/package/tiny/1%3A1/srcfiles?fileinfo=1", json.dumps(said).encode())
    try:
        found = Snapshot("https://kept.example", fetcher, MemoryBlobs()).of_source("tiny", "1:1")
    except UnavailableError:
        return
    assert all(".." not in each.path and each.size >= 0 for each in found)


def test_names_and_archives_that_are_passed_over() -> None:
    """Other archives than Debian's, and names that lead out."""
    blobs, sha1 = MemoryBlobs(), "a" * 40
    fetcher = FakeFetcher(blobs)
    good = {"archive_name": "debian", "name": "a_1_all.deb", "path": "/pool/a", "size": 1}
    others = ({"archive_name": "debian-ports"}, {"name": "../x"}, {"path": "/../etc"}, {"size": -1}, {"size": True})
    said = {"result": [{"hash": sha1}], "fileinfo": {sha1: [good, *(good | each for each in others)]}}
    fetcher.serve("https://kept.example/mr/binary/aa/1/binfiles?fileinfo=1", json.dumps(said).encode())
    snapshot = Snapshot("https://kept.example", fetcher, blobs)
    assert [SnapshotFile("a_1_all.deb", "pool/a/a_1_all.deb", 1, sha1)] == snapshot.of_binary("aa", "1")
    other = IndexedFile("b.deb", "b.deb", 1, Sha256("0" * 64))
    assert snapshot.take(other, snapshot.of_binary("aa", "1")) is None


@pytest.mark.parametrize("place", ["kept", "ftp://kept.example", "", "file:///kept", "https://me:secret@kept.example"])
def test_settings(place: str, tmp_path: Path) -> None:
    """An address or an absolute path, nothing else."""
    file = tmp_path / "config.toml"
    file.write_text(f'[debian]\nsnapshot_url = "{place}"\n')
    with pytest.raises(UsageError, match="snapshot_url"):
        load_config(file, {})
