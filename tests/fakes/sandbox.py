"""A sandbox that does what a test wrote down, and a room to run small programs in any sandbox."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from rebuilder.clock import Clock
from rebuilder.errors import SandboxFaultError
from rebuilder.model.attempt import Limit, Outcome, Output, Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.text import written_lines
from rebuilder.model.value import Sha256
from rebuilder.sandbox.protocol import Sandbox
from rebuilder.store.protocol import Blobs


def children(pid: int) -> list[int]:
    """Process ids of the children of all threads of a process, zombies included; none of a process that is gone."""
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # threads come and go
            found += [int(child) for child in thread.read_text().split()]
    return found


def command(pid: int) -> bytes:
    """Command line of a process, empty when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def launchers(owner: int) -> list[int]:
    """Processes that start sandboxes for a process."""
    return [pid for pid in children(owner) if b"launcher_main.py" in command(pid)]


def left_over() -> list[int]:
    """Processes that runs of this process's sandboxes have left; the launcher inherits every orphan."""
    return [child for launcher in launchers(os.getpid()) for child in children(launcher)]


Commands = tuple[tuple[str, ...], ...]


def definition(*commands: tuple[str, ...], **changes: Any) -> BuildDefinition:
    """A definition that runs some commands and nothing else."""
    fields: dict[str, Any] = {
        "build_type": "urn:example:build",
        "purl": "pkg:generic/example",
        "filename": "example",
        "toolchain": EnvironmentRef(name="trixie", sha256=Sha256("ab" * 32)),
        "commands": commands,
        "environment": {"PATH": "/usr/bin:/bin"},
    }
    return BuildDefinition.model_validate(fields | changes)


class Script(NamedTuple):
    """What a run is to give."""

    exit_code: int = 0
    limit: Limit | None = None
    outputs: Mapping[str, bytes] = {}
    log: bytes = b""


class FakeSandbox:
    """A :class:`sandbox.protocol.Sandbox`: each list of commands gives what it was scripted to give."""

    kind = "bubblewrap"

    def __init__(self, blobs: Blobs, clock: Clock, scripts: Mapping[Commands, Script]) -> None:
        self._blobs = blobs
        self._clock = clock
        self._scripts = scripts
        self.ran: list[tuple[BuildDefinition, Path, Mapping[str, Path]]] = []

    def run(
        self, definition: BuildDefinition, *, root: Path, inputs: Mapping[str, Path], layers: Sequence[Path] = ()
    ) -> Run:
        """Give what was scripted."""
        assert not layers
        if {each.path for each in definition.inputs} != set(inputs):
            raise SandboxFaultError("The inputs given and those in the build definition differ.")
        self.ran.append((definition, root, inputs))
        script = self._scripts[definition.commands]
        failed = Outcome.BUILD_FAILED if script.exit_code else Outcome.COMPLETED
        return Run(
            outcome=Outcome.TIMED_OUT if script.limit else failed,
            exit_code=None if script.limit else script.exit_code,
            limit=script.limit,
            outputs=tuple(
                Output(filename=name, sha256=self._blobs.put(content), size=len(content))
                for name, content in ({} if script.limit else script.outputs).items()
            ),
            log_sha256=self._blobs.put(script.log),
            wall_seconds=0.25,
            cpu_seconds=0.125,
            peak_memory_bytes=1 << 20,
            sandbox_version="bubblewrap 0.0.0",
            started=self._clock.now(),
        )


class Room:
    """A sandbox, what it needs, and short ways to ask it things."""

    def __init__(self, sandbox: Sandbox, blobs: Blobs, root: Path, layers: Sequence[Path] = ()) -> None:
        self.sandbox = sandbox
        self.blobs = blobs
        self.root = root
        self.layers = layers

    def run(self, *commands: tuple[str, ...], files: Mapping[str, Path] | None = None, **changes: Any) -> Run:
        """Run some commands."""
        changes.setdefault("sandbox", self.sandbox.kind)
        return self.sandbox.run(
            definition(*commands, **changes), root=self.root, layers=self.layers, inputs=files or {}
        )

    def shell(self, text: str, **changes: Any) -> Run:
        """Run a shell command line."""
        return self.run(("/bin/sh", "-c", text), **changes)

    def python(self, program: str, **changes: Any) -> Run:
        """Run a Python program."""
        return self.run(("/usr/bin/python3", "-I", "-c", program), **changes)

    def ask(self, program: str, **changes: Any) -> Any:
        """Run a Python program that sets ``answer``; give back the answer, as JSON carries it."""
        whole = f"import json, os\n{program}\nwith open('/out/answer', 'w') as out: json.dump(answer, out)\n"
        run = self.python(whole, **changes)
        assert run.outcome is Outcome.COMPLETED, self.log(run)
        return json.loads(self.blobs.read(run.outputs[0].sha256))

    def log(self, run: Run) -> str:
        """What it printed."""
        return "".join(f"{line}\n" for line in written_lines(self.blobs.read(run.log_sha256)))

    def remarks(self, run: Run) -> list[str]:
        """What we say of it in its log."""
        lines = self.blobs.read(run.log_sha256).decode().splitlines()[1:]
        return [line for line in lines if not line.startswith("| ")]
