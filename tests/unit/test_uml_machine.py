"""The sandbox around a User Mode Linux guest, and what its first process is asked."""

from __future__ import annotations

import base64
import json
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.definition import BuildDefinition, Input, Limits, Role
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.sandbox.bubblewrap import arguments, launcher_main, seccomp
from rebuilder.sandbox.uml.machine import Machine, machine
from tests.fakes.sandbox import definition

MB = 1 << 20
TRUE = ("/usr/bin/true",)
DIGEST = Sha256("cd" * 32)
KERNEL = BuildEnvironment(
    name="uml",
    sha256=DIGEST,
    root=Path("/kernel"),
    provides={"python": "3.13"},
    summary=EnvironmentSummary(name="uml", sha256=DIGEST, packages=()),
)


def around(inside: BuildDefinition, tmp_path: Path) -> Machine:
    """The machine for a definition whose inputs are all one file."""
    return machine(inside, KERNEL, tmp_path, {each.path: tmp_path / "file" for each in inside.inputs})


def asked(made: Machine) -> dict[str, Any]:
    """What the script writes down for the guest."""
    line = next(line for line in made.program.script.decode().splitlines() if line.startswith("printf %s "))
    request: dict[str, Any] = json.loads(shlex.split(line)[2])
    return request


def test_it_can_be_run(tmp_path: Path) -> None:
    """The definition of the sandbox around a guest is one like any other, in the build environment with the kernel."""
    made = around(definition(TRUE, clock=datetime(2020, 1, 1, tzinfo=UTC)), tmp_path)
    arguments.check(made.definition)
    assert {each.path for each in made.definition.inputs} == set(made.sources)
    assert (DIGEST, 1, None) == (made.definition.toolchain.sha256, made.definition.cpu_count, made.definition.clock)


def test_the_guest_is_told_what_a_sandbox_outside_is_told(tmp_path: Path) -> None:
    """The same script, the strict filter, the same options but for where things lie."""
    entry = Input(role=Role.SOURCE, name="x", sha256=sha256_hex(b""), path="/inputs/some where/it's")
    inside = definition(TRUE, inputs=(entry,), environment={"A": "ü '\n"}, umask="0077")
    made = around(inside, tmp_path)
    request = asked(made)
    assert base64.b64decode(request["script"]) == arguments.script(inside)
    assert base64.b64decode(request["filter"]) == seccomp.program()
    options = base64.b64decode(request["arguments"])
    assert options == arguments.options(
        inside, root="/inputs/root", inputs={entry.path: "/inputs/files/0"}, cpus_listed=False
    )
    assert made.sources["/inputs/root"] == tmp_path
    assert made.sources["/inputs/files/0"] == tmp_path / "file"


@pytest.mark.parametrize(
    ("clock", "nanoseconds"),
    [
        (None, None),
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2026, 10, 18, 16, 20, 32, 123_456, tzinfo=UTC), 1_792_340_432_123_456_000),
    ],
)
def test_clock_is_exact(tmp_path: Path, clock: datetime | None, nanoseconds: int | None) -> None:
    """To the microsecond, which a float of seconds would lose."""
    assert asked(around(definition(TRUE, clock=clock), tmp_path))["clock_ns"] == nanoseconds


def test_limits_around_a_guest_are_out_of_its_reach(tmp_path: Path) -> None:
    """A guest has memory for all that its limits allow, and the sandbox around it holds that memory as a file."""
    limits = Limits(memory_bytes=256 * MB, disk_bytes=128 * MB, output_bytes=32 * MB, processes=100, wall_seconds=5)
    outer = around(definition(TRUE, limits=limits), tmp_path).definition
    memory = int(outer.commands[0][1].removeprefix("mem=").removesuffix("M")) * MB
    assert memory >= 256 * MB + 128 * MB + 32 * MB + 2 * arguments.SLACK
    assert memory < outer.limits.file_bytes < outer.limits.disk_bytes
    assert memory < outer.limits.memory_bytes
    assert outer.limits.processes >= 2 * limits.processes
    assert outer.limits.wall_seconds > limits.wall_seconds
    assert outer.limits.cpu_seconds > limits.cpu_seconds
    assert outer.limits.output_bytes > limits.output_bytes


def test_only_the_kernel_may_trace(tmp_path: Path) -> None:
    """The wider filter differs from the strict one, and only for the sandbox around a guest."""
    assert around(definition(TRUE), tmp_path).program.permitted == ("ptrace",)
    assert len(seccomp.program("ptrace")) < len(seccomp.program())


def test_the_shell_lets_go_of_its_descriptors(tmp_path: Path) -> None:
    """The kernel of the guest inherits nothing but its console."""
    script = around(definition(TRUE), tmp_path).program.script.decode()
    closing = script.index(f"exec {launcher_main.READY}>&- {launcher_main.GO}<&-\n")
    assert closing < script.index("exec linux.uml mem=")
