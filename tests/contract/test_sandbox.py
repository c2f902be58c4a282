"""What every sandbox does: the real one and the fake one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Limit, Outcome
from rebuilder.model.definition import Input, Limits, Role
from rebuilder.model.value import sha256_hex
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.rooms import EACH_KIND, real_room
from tests.fakes.sandbox import FakeSandbox, Room, Script

WORKS = (("/bin/sh", "-c", "printf hello; printf content > /out/file"), ("/usr/bin/true",))
FAILS = (("/bin/sh", "-c", "echo oh; exit 3"), ("/bin/sh", "-c", "echo never"))
SLEEPS = (("/usr/bin/sleep", "1000"),)

SCRIPTS = {
    WORKS: Script(outputs={"file": b"content"}, log=b"+ sh\nhello+ true\n"),
    FAILS: Script(exit_code=3, log=b"+ sh\noh\n"),
    SLEEPS: Script(limit=Limit.WALL_TIME, log=b"+ sleep 1000\n"),
}


@pytest.fixture(params=[*EACH_KIND, "fake"])
def room(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Room]:
    """A sandbox of each kind."""
    if request.param == "fake":
        blobs = MemoryBlobs()
        yield Room(FakeSandbox(blobs, FixedClock(), SCRIPTS), blobs, tmp_path)
        return
    with real_room(request.param, request.getfixturevalue("environments"), tmp_path) as room:
        yield room


def test_success(room: Room) -> None:
    """Outcome, exit code, output and log of a run that works, all stored."""
    run = room.run(*WORKS)
    assert (Outcome.COMPLETED, 0, None) == (run.outcome, run.exit_code, run.limit)
    assert [("file", sha256_hex(b"content"), 7)] == [(each.filename, each.sha256, each.size) for each in run.outputs]
    assert room.blobs.read(run.outputs[0].sha256) == b"content"
    assert "hello" in room.log(run)


def test_failure(room: Room) -> None:
    """The first command that fails ends the run with its exit code."""
    run = room.run(*FAILS)
    assert (Outcome.BUILD_FAILED, 3, None) == (run.outcome, run.exit_code, run.limit)
    assert "oh\n" in room.log(run)
    assert "never" not in room.log(run)


def test_limit(room: Room) -> None:
    """A limit that was passed is named; there is no exit code then, and nothing half-written is taken."""
    run = room.run(*SLEEPS, limits=Limits(wall_seconds=0.2))
    assert (Outcome.TIMED_OUT, None, Limit.WALL_TIME, ()) == (run.outcome, run.exit_code, run.limit, run.outputs)


def test_inputs_must_be_those_of_the_definition(room: Room) -> None:
    """An input that is missing is our fault and never a failed build."""
    needed = Input(role=Role.SOURCE, name="a", sha256=sha256_hex(b"a"), path="/inputs/a")
    with pytest.raises(SandboxFaultError, match="differ"):
        room.run(*WORKS, inputs=(needed,), files={})


def test_figures(room: Room) -> None:
    """When it started comes from the clock; what it used is measured."""
    run = room.run(*WORKS)
    assert FixedClock().now() == run.started
    assert run.wall_seconds > 0
    assert run.cpu_seconds > 0
    assert run.peak_memory_bytes > 0
    assert run.sandbox_version.startswith(f"{room.sandbox.kind} ")
