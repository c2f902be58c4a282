"""Running a definition needs everything it names, with the digests it names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebuilder.errors import BuildEnvironmentError, SandboxUnavailableError, StoreError
from rebuilder.model.attempt import Limit, Outcome, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.program_runner import BUILD_TYPE, SandboxPrograms, program_archive
from rebuilder.sandbox.protocol import PROGRAM_LIMITS
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.environments import FakeEnvironments
from tests.fakes.sandbox import FakeSandbox, Script, definition

TRUE = ("/usr/bin/true",)
COMMAND = ("python3", "-I", "-S", "/tools/archive.pyz", "inspect_archive", "/inputs/a", "--result", "/out/result.json")


class House:
    """Fakes of everything around."""

    def __init__(self, place: Path, script: Script | None = None) -> None:
        self.blobs = MemoryBlobs()
        self.environments = FakeEnvironments(place)
        self.sandbox = FakeSandbox(self.blobs, FixedClock(), {(TRUE,): Script(), (COMMAND,): script or Script()})
        self.run = LocalRunner({"bubblewrap": self.sandbox}, self.environments, self.blobs)
        self.programs = SandboxPrograms(self.sandbox, self.environments, self.blobs, "trixie")
        self.toolchain = EnvironmentRef(name="trixie", sha256=self.environments.get("trixie").sha256)

    def input(self, content: bytes = b"a") -> Input:
        """A stored file as an input."""
        return Input(role=Role.SOURCE, name="a", sha256=self.blobs.put(content), path="/inputs/a")


def test_inputs_come_from_the_blobs(tmp_path: Path) -> None:
    """Each is a file with its bytes, at its path; the build environment is the one by that name."""
    house = House(tmp_path)
    asked = definition(TRUE, toolchain=house.toolchain, inputs=(house.input(),))
    assert house.run(asked).outcome is Outcome.COMPLETED
    ((ran, root, inputs),) = house.sandbox.ran
    assert asked == ran
    assert house.environments.get("trixie").root == root
    assert {"/inputs/a": b"a"} == {path: file.read_bytes() for path, file in inputs.items()}


def test_another_environment(tmp_path: Path) -> None:
    """The name alone is not enough."""
    house = House(tmp_path)
    other = EnvironmentRef(name="trixie", sha256=Sha256("0" * 64))
    with pytest.raises(BuildEnvironmentError, match="no build environment with the digest 000"):
        house.run(definition(TRUE, toolchain=other))
    assert house.sandbox.ran == []


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "more").touch(),
        lambda root: min(each for each in root.rglob("*") if each.is_file()).unlink(),
    ],
    ids=["more", "less"],
)
def test_an_environment_that_is_changed_under_a_build(tmp_path: Path, change: Callable[[Path], object]) -> None:
    """What came of it says nothing of the build, so it is no outcome of one."""
    house = House(tmp_path)

    class Changing(FakeSandbox):
        def run(self, definition: BuildDefinition, *, root: Path, **others: Any) -> Run:
            run = super().run(definition, root=root, **others)
            change(root)
            return run

    sandbox = Changing(house.blobs, FixedClock(), {(TRUE,): Script(exit_code=1)})
    runner = LocalRunner({"bubblewrap": sandbox}, house.environments, house.blobs)
    with pytest.raises(BuildEnvironmentError, match="was modified"):
        runner(definition(TRUE, toolchain=house.toolchain))
    assert len(sandbox.ran) == 1


def test_earlier_environment_that_is_still_stored(tmp_path: Path) -> None:
    """A definition from before the build environment was made anew runs on the one it names."""
    house = House(tmp_path)
    earlier = house.environments.get("trixie")
    assert earlier != house.environments.remake("trixie")
    house.run(definition(TRUE, toolchain=house.toolchain))
    ((_, root, _),) = house.sandbox.ran
    assert earlier.root == root


def test_a_name_that_cannot_be_made_any_more(tmp_path: Path) -> None:
    """What has the digest is used without asking what its name stands for, so a mirror may be gone by then."""
    house = House(tmp_path)
    house.environments.pythons = {}
    house.run(definition(TRUE, toolchain=house.toolchain))
    ((_, root, _),) = house.sandbox.ran
    assert tmp_path / "trixie" == root


def test_another_sandbox(tmp_path: Path) -> None:
    """A sandbox that is not here is refused."""
    house = House(tmp_path)
    with pytest.raises(SandboxUnavailableError, match="'uml'"):
        house.run(definition(TRUE, toolchain=house.toolchain, sandbox="uml"))


def test_missing_input(tmp_path: Path) -> None:
    """An input that is not stored is trouble with the store."""
    house = House(tmp_path)
    lost = house.input().replace(sha256=sha256_hex(b"lost"))
    with pytest.raises(StoreError):
        house.run(definition(TRUE, toolchain=house.toolchain, inputs=(lost,)))


def test_a_program_gives_its_document(tmp_path: Path) -> None:
    """The program, its arguments and limits are what was asked; its JSON comes back."""
    house = House(tmp_path, Script(outputs={"result.json": b'{"a": [1, null]}'}))
    result = house.programs.run("archive", "inspect_archive", ["/inputs/a"], inputs=[house.input()])
    assert {"a": [1, None]} == result.document
    ((ran, _, inputs),) = house.sandbox.ran
    assert (BUILD_TYPE, (COMMAND,), PROGRAM_LIMITS) == (ran.build_type, ran.commands, ran.limits)
    assert inputs["/tools/archive.pyz"].read_bytes() == program_archive("archive")
    limits = Limits(wall_seconds=1)
    house.programs.run("archive", "inspect_archive", ["/inputs/a"], inputs=[house.input()], limits=limits)
    assert house.sandbox.ran[1][0].limits == limits


@pytest.mark.parametrize(
    "script",
    [
        Script(exit_code=1, outputs={"result.json": b"{}"}),
        Script(limit=Limit.MEMORY, outputs={"result.json": b"{}"}),
        Script(),
        Script(outputs={"other.json": b"{}"}),
        Script(outputs={"result.json": b""}),
        Script(outputs={"result.json": b"{"}),
        Script(outputs={"result.json": b"NaN"}),
        Script(outputs={"result.json": b"\xff\xfe\xff"}),
        Script(outputs={"result.json": b"[" * 100_000}),
        Script(outputs={"result.json": b"9" * 100_000}),
    ],
    ids=["failed", "limit", "nothing", "other name", "empty", "cut", "NaN", "not text", "deep", "long number"],
)
def test_a_program_without_a_document(tmp_path: Path, script: Script) -> None:
    """A sandbox program was fed hostile bytes: whatever it wrote, it is JSON or nothing."""
    assert House(tmp_path, script).programs.run("archive", "inspect_archive", ["/inputs/a"], inputs=[]).document is None
