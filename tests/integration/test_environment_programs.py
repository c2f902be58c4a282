"""Sandbox programs run on every build environment, and every build environment's zlib writes the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Role
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.program_runner import SandboxPrograms
from tests.fakes.archives import gzip_bytes, tar_bytes, tar_member
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock

PLAIN = ["bullseye", "bookworm", "trixie", "forky"]

BACKEND = b"""
import os, random, zipfile
def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    chance = random.Random(1)
    words = [("%x" % chance.getrandbits(40)).encode() for _ in range(500)]
    with zipfile.ZipFile(os.path.join(wheel_directory, "x-1-py3-none-any.whl"), "w") as wheel:
        for size in (10, 5000, 200000):
            for level in (1, 6, 9):
                data = b" ".join(chance.choice(words) for _ in range(size))
                info = zipfile.ZipInfo("x-%d-%d.txt" % (size, level), (2020, 1, 1, 0, 0, 0))
                wheel.writestr(info, data, zipfile.ZIP_DEFLATED, level)
    return "x-1-py3-none-any.whl"
"""


class Harness:
    """A source archive as a blob, and a sandbox."""

    def __init__(self, environments: EnvironmentStore, scratch: Path) -> None:
        self.blobs = MemoryBlobs()
        self.environments = environments
        self.sandbox = BubblewrapSandbox(self.blobs, FixedClock(), scratch=scratch)
        self.run = LocalRunner({self.sandbox.kind: self.sandbox}, environments, self.blobs)
        source = gzip_bytes(tar_bytes((tar_member("x-1/backend.py"), BACKEND)))
        self.source = Input(
            role=Role.SOURCE, name="x-1.tar.gz", sha256=self.blobs.put(source), path="/inputs/x-1.tar.gz"
        )

    def programs(self, toolchain: str) -> SandboxPrograms:
        """Sandbox programs on that build environment."""
        return SandboxPrograms(self.sandbox, self.environments, self.blobs, toolchain)

    def build(self, toolchain: str) -> Run:
        """Unpack the source archive and build its wheel there."""
        program = self.programs(toolchain).program_input("pypi")
        pypi = ("/usr/bin/python3", "-B", program.path)
        return self.run(
            BuildDefinition(
                build_type="urn:example:build",
                purl="pkg:pypi/x@1",
                targets=("x-1-py3-none-any.whl",),
                inputs=(program, self.source),
                toolchain=EnvironmentRef(name=toolchain, sha256=self.environments.get(toolchain).sha256),
                commands=(
                    (*pypi, "unpack", "--source", self.source.path, "--into", "/build/src"),
                    (
                        *(*pypi, "build_wheel", "--backend", "backend", "--backend-path", "."),
                        *("--source", "/build/src/x-1", "--out", "/out"),
                    ),
                ),
                environment={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"},
            )
        )


@pytest.fixture(scope="module")
def harness(environments: EnvironmentStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """One sandbox for all tests here."""
    made = Harness(environments, tmp_path_factory.mktemp("scratch"))
    yield made
    made.sandbox.close()


@pytest.mark.parametrize("toolchain", PLAIN)
def test_programs_that_read(harness: Harness, toolchain: str) -> None:
    """Archives are listed and compared on each Python."""
    same = harness.source.replace(path="/inputs/other.tar.gz")
    programs = harness.programs(toolchain)
    listed = programs.run("archive", "inspect_archive", [harness.source.path], inputs=[harness.source])
    assert Outcome.COMPLETED == listed.run.outcome, harness.blobs.read(listed.run.log_sha256)
    assert ["x-1/backend.py"] == [each["name"] for each in listed.document["archives"][0]["members"]]
    compared = programs.run(
        "compare", "compare_archives", [harness.source.path, same.path], inputs=[harness.source, same]
    )
    assert Outcome.COMPLETED == compared.run.outcome, harness.blobs.read(compared.run.log_sha256)
    assert compared.document is not None


def test_compressed_data_does_not_tell_the_environment(harness: Harness) -> None:
    """Wheels are built on each Python, and the same content is compressed to the same bytes: why zlib is no evidence.

    Should this fail for a new environment, what is compressed in a wheel says something about where it was built. What
    Debian's next release has changes from day to day, and no test rests on it.
    """
    runs = {environment: harness.build(environment) for environment in PLAIN if environment != "forky"}
    for run in runs.values():
        assert Outcome.COMPLETED == run.outcome, harness.blobs.read(run.log_sha256)
    assert 1 == len({run.outputs[0].sha256 for run in runs.values()})
