"""Comparison and diffoscope inside the real sandbox, on the real build environments."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest

from rebuilder.compare import diffoscope
from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.comparison import Diffoscope, Level
from rebuilder.model.definition import Input, Role
from rebuilder.model.evidence import Inspection
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.program_runner import SandboxPrograms
from tests.fakes.archives import Entry, gzip_bytes, tar_bytes, tar_member, zip_bytes
from tests.fakes.blobs import MemoryBlobs

NAME = "pkg-1-py3-none-any.whl"


class FixedClock:
    """Always the same moment."""

    def now(self) -> datetime:
        """The moment."""
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Harness:
    """Everything a comparison needs."""

    def __init__(self, environments: EnvironmentStore, scratch: Path) -> None:
        self.blobs = MemoryBlobs()
        self.sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=scratch)
        self.programs = SandboxPrograms(self.sandbox, environments, self.blobs, "trixie")
        self.comparer = Comparer(self.blobs, self.programs)
        run = LocalRunner({self.sandbox.kind: self.sandbox}, environments, self.blobs)
        self.diffoscope = DiffoscopeRunner(run, environments, self.blobs)

    def report(self, published: bytes, rebuilt: bytes) -> Diffoscope:
        """Run diffoscope on some bytes."""
        return self.diffoscope.report(self.blobs.put(published), self.blobs.put(rebuilt), NAME)


@pytest.fixture(scope="module")
def harness(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One sandbox for all tests here."""
    made = Harness(environments, tmp_path_factory.mktemp("scratch"))
    yield made
    made.sandbox.close()


def test_comparison_in_the_sandbox(harness: Harness) -> None:
    """The program runs on the build environment's Python, and its answer comes back as values."""
    digests = [
        harness.blobs.put(zip_bytes(*entries))
        for entries in ([Entry("a"), Entry("b")], [Entry("b", time=0), Entry("a")])
    ]
    found = harness.comparer.compare(digests[0], digests[1], filename=NAME, rebuilt_filename=NAME)
    assert (Level.EQUIVALENT, ("zip-times", "zip-order"), None) == (found.level, found.normalisations, found.problem)


def test_inspection_in_the_sandbox(harness: Harness) -> None:
    """A wheel and its source archive are listed in one run."""
    files = [zip_bytes(Entry("a")), gzip_bytes(tar_bytes((tar_member("p/PKG-INFO"), b"Name: p\n")))]
    inputs = [
        Input(role=Role.PARAMETERS, name=f"{index}", sha256=harness.blobs.put(data), path=f"/inputs/{index}")
        for index, data in enumerate(files)
    ]
    result = harness.programs.run(
        "archive", "inspect_archive", [*(each.path for each in inputs), "--text", "*/PKG-INFO"], inputs=inputs
    )
    archives = [Inspection.model_validate(each) for each in result.document["archives"]]
    assert ["zip", "tar.gz"] == [each.format for each in archives]
    assert {"p/PKG-INFO": "Name: p\n"} == archives[1].texts


def test_bomb_in_the_sandbox(harness: Harness) -> None:
    """A bomb is different, with a sentence."""
    bomb = zip_bytes(Entry("zeros", bytes(40 << 20)))
    digests = harness.blobs.put(bomb), harness.blobs.put(zip_bytes(Entry()))
    found = harness.comparer.compare(*digests, filename=NAME, rebuilt_filename=NAME)
    assert Level.DIFFERENT is found.level
    assert "out of proportion" in (found.problem or "")


def test_large_wheel_is_read_quickly(harness: Harness) -> None:
    """Ten megabytes of ordinary files: a few seconds at the very most on a busy machine, and 150 MB of memory."""
    out = BytesIO()
    line = b"".join(b"%d: an ordinary line of source code with numbers %d\n" % (n, n * n) for n in range(3000))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(150):
            archive.writestr(f"pkg/m{index}.py", line)
        archive.writestr("pkg/data.bin", b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(2 << 20)))
    wheel = Input(role=Role.PARAMETERS, name="w", sha256=harness.blobs.put(out.getvalue()), path="/inputs/w")
    result = harness.programs.run("archive", "inspect_archive", [wheel.path], inputs=[wheel])
    assert len(out.getvalue()) > 10 << 20
    assert 151 == len(result.document["archives"][0]["members"])
    assert result.run.wall_seconds < 5
    assert result.run.peak_memory_bytes < 150 << 20


def test_diffoscope_report(harness: Harness) -> None:
    """Three forms of one report, without a script, under names that say nothing of this machine."""
    found = harness.report(zip_bytes(Entry()), zip_bytes(Entry(content=b"print('<script>')\n")))
    assert found.problem is None
    assert found.version is not None
    assert found.html_sha256 is not None
    assert found.json_sha256 is not None
    assert found.text_sha256 is not None
    html = harness.blobs.read(found.html_sha256).lower()
    assert b"<script" not in html
    assert b"&lt;" in html
    assert f"/inputs/published/{NAME}" == json.loads(harness.blobs.read(found.json_sha256))["source1"]
    assert "hello" in harness.blobs.read(found.text_sha256).decode()


def test_diffoscope_reports_are_reproducible(harness: Harness) -> None:
    """The same two files give the same report."""
    files = zip_bytes(Entry()), zip_bytes(Entry(content=b"other\n"))
    assert harness.report(*files) == harness.report(*files)


def test_diffoscope_is_stopped_at_its_limits(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit is a sentence; there is a value in any case."""
    limits = diffoscope.LIMITS.replace(wall_seconds=0.2)
    monkeypatch.setattr(diffoscope, "LIMITS", limits)
    found = harness.report(zip_bytes(Entry()), zip_bytes(Entry(content=b"other\n")))
    assert (found.problem or "").startswith("diffoscope was stopped at its limit")


def test_diffoscope_survives_rubbish(harness: Harness) -> None:
    """Files that are no archives are compared too, as bytes."""
    found = harness.report(b"PK\3\4 rubbish", b"PK\3\4 other rubbish")
    assert found.problem is None
    assert found.text_sha256 is not None
