"""The machine a build gets from User Mode Linux: the sandbox around it, its memory, its kernel's command line."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Input, Limits, Role
from rebuilder.model.value import Sha256
from rebuilder.sandbox.bubblewrap import arguments, launcher_main, seccomp
from rebuilder.sandbox.bubblewrap.run_sandbox import Program
from rebuilder.sandbox.leftovers import MOST_FILES
from rebuilder.sandbox.meter import INODE_BYTES
from rebuilder.sandbox.uml import guest

ROOT = "/inputs/root"
"""Where the sandbox around a guest has the root directory of the definition's build environment."""
_FILES = "/inputs/files"
_GUEST = "/inputs/guest"

_PACKAGE = Path(guest.__file__).parents[2]
_OWN = {
    f"{_GUEST}/__main__.py": Path(guest.__file__),
    f"{_GUEST}/rebuilder/__init__.py": _PACKAGE / "__init__.py",
    f"{_GUEST}/rebuilder/shortage.py": _PACKAGE / "shortage.py",
    **{
        f"{_GUEST}/rebuilder/sandbox/{name}": _PACKAGE / "sandbox" / name
        for name in (
            *("__init__.py", "leftovers.py", "meter.py", "supervision.py"),
            *("bubblewrap/__init__.py", "bubblewrap/launcher_main.py"),
        )
    },
}
"""Our programs in the guest: path there to file here."""

_MB = 1 << 20
_KERNEL_BYTES = 192 * _MB
"""Memory of the guest that is its kernel's, and that of our own processes there."""
_CONSOLE_BYTES = 1 * _MB
_EXTRA_SECONDS = 20.0
"""For boot and halt, and before the sandbox around a guest ends what the guest itself should have ended."""

_KERNEL = (
    # Its root is that of the sandbox around it; its first process is our program.
    *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "init=/usr/bin/python3"),
    # What it says goes to the log of the sandbox around it, and is little.
    *("con=null", "con0=null,fd:1", "loglevel=1"),
    # Most of a boot would go to measuring which of several ways to compute RAID checksums is fastest; the function
    # that does so has the one name in older kernels, the other in newer ones.
    "initcall_blacklist=raid6_select_algo,raid6_init",
    # The other way to run the guest's processes lets them write all of its memory: docs/adr/0017-guest-and-clock.md.
    "seccomp=off",
    # No access rules besides the usual ones: they would cost time and nobody has written any.
    "lsm=capability",
    *("--", "-I", "-S", "-B", _GUEST),
)


class Machine(NamedTuple):
    """What is started to run a definition in a guest."""

    definition: BuildDefinition
    """Of the sandbox around the guest."""
    sources: dict[str, Path]
    """Path there to file here."""
    program: Program


def machine(definition: BuildDefinition, kernel: BuildEnvironment, root: Path, inputs: Mapping[str, Path]) -> Machine:
    """Put together the sandbox around a guest."""
    memory = _memory(definition.limits)
    inside = {path: f"{_FILES}/{index}" for index, path in enumerate(inputs)}
    sources = {ROOT: root, **_OWN, **{inside[path]: source for path, source in inputs.items()}}
    outer = BuildDefinition(
        build_type=definition.build_type,
        purl=definition.purl,
        targets=definition.targets,
        toolchain=EnvironmentRef(name=kernel.name, sha256=kernel.sha256),
        inputs=tuple(Input(role=Role.BUILD_TOOL, name=path, sha256=_NO_DIGEST, path=path) for path in sources),
        commands=(("linux.uml", f"mem={memory // _MB}M", *_KERNEL),),
        environment={"PATH": "/usr/bin", "HOME": "/tmp", "TMPDIR": "/tmp"},  # noqa: S108  # in the sandbox
        directory=guest.PLACE,
        limits=_around(definition.limits, memory),
    )
    request = _request(definition, inside, cpus_listed=(root / "sys").is_dir())
    lines = [
        *arguments.opening(outer.limits.processes),
        f"exec {launcher_main.READY}>&- {launcher_main.GO}<&-",
        f"printf %s {shlex.quote(json.dumps(request))} > {guest.PLACE}/{guest.REQUEST}",
        *(f"exec {shlex.join(command)}" for command in outer.commands),
    ]
    # Random addresses would make the memory a build is told of another every time: a gap of random size becomes part
    # of it. What runs in the guest has the random addresses its own kernel gives.
    script = "".join(f"{line}\n" for line in lines).encode("ascii")
    return Machine(outer, sources, Program(script, permitted=("ptrace",), fixed_addresses=True))


_NO_DIGEST = Sha256("0" * 64)


def _memory(limits: Limits) -> int:
    """Bytes of memory the guest gets: everything its limits allow, files too, since they are all in memory."""
    return limits.memory_bytes + limits.disk_bytes + limits.output_bytes + 2 * arguments.SLACK + _KERNEL_BYTES


def _around(limits: Limits, memory: int) -> Limits:
    """Limits of the sandbox around a guest: a guest that keeps to its own cannot reach them.

    Its memory is a file there, and so counts as disk. It is mapped into its kernel and into each of its processes,
    and what is resident of them together may be many times the file.
    """
    file = memory + _KERNEL_BYTES
    return Limits(
        wall_seconds=limits.wall_seconds + _EXTRA_SECONDS,
        cpu_seconds=limits.cpu_seconds + _EXTRA_SECONDS,
        memory_bytes=8 * memory,
        processes=2 * limits.processes + 256,
        file_bytes=file,
        disk_bytes=file + limits.log_bytes + arguments.SLACK,
        output_bytes=limits.output_bytes + MOST_FILES * INODE_BYTES + _MB,
        log_bytes=_CONSOLE_BYTES,
    )


def _request(definition: BuildDefinition, inside: Mapping[str, str], *, cpus_listed: bool) -> dict[str, object]:
    """What the first process of the guest is asked: the same bubblewrap, told the same, as outside of a guest."""
    program = "/usr/bin/bwrap"
    options = arguments.options(definition, root=ROOT, inputs=inside, cpus_listed=cpus_listed)
    contents = {
        "arguments": options,
        "script": arguments.script(definition),
        "filter": seccomp.program(),
        "cpus": arguments.cpu_list(definition.cpu_count),
    }
    clock = definition.clock
    return {
        "program": program,
        "command": arguments.command(program),
        "stage": None,
        "cpu_numbers": [0],
        "resource_limits": arguments.resource_limits(definition.limits),
        "limits": definition.limits.document(),
        "clock_ns": None if clock is None else (clock - _EPOCH) // timedelta(microseconds=1) * 1000,
        "clock_stands": definition.clock_stands,
        **{name: base64.b64encode(content).decode() for name, content in contents.items()},
    }


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
