"""Runs the commands of a definition in namespaces, and holds on to what they left until it was taken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rebuilder.errors import RebuilderError, SandboxFaultError, SandboxUnavailableError
from rebuilder.model.attempt import Limit
from rebuilder.model.definition import BuildDefinition
from rebuilder.sandbox.bubblewrap import arguments, host_support, seccomp
from rebuilder.sandbox.bubblewrap.launcher_client import Ending, Launched, Launcher, memory_file
from rebuilder.sandbox.cpus import Cpus
from rebuilder.sandbox.supervision import Supervision


class Ended(NamedTuple):
    """A run none of whose processes is left."""

    supervision: Supervision
    """Its log, and its meter with the content of its file systems; good inside the ``with`` block only."""
    limit: Limit | None
    """The limit that was seen passed, after which the run was killed."""
    exit_code: int | None
    """Of the commands; None when a limit ended them, or when what ran in the sandbox ended the sandbox."""
    ending: Ending
    wall_seconds: float
    version: str
    """Of bubblewrap."""
    starved: bool
    """Whether the machine had no memory left meanwhile, and ended some process for it."""


def starvation() -> SandboxFaultError:
    """The error for a build that failed while the machine had no memory left."""
    return SandboxFaultError(
        "The machine ran out of memory while a build ran; that it failed says nothing about it.",
        hint="Run fewer builds at once, or use a machine with more memory.",
    )


class Program(NamedTuple):
    """What runs in a sandbox instead of the commands of a definition."""

    script: bytes
    """For the shell; it begins with :func:`rebuilder.sandbox.bubblewrap.arguments.opening`."""
    permitted: tuple[str, ...]
    """System calls that it needs and builds may not use; see :func:`rebuilder.sandbox.bubblewrap.seccomp.program`."""
    fixed_addresses: bool = False
    """Whether its memory is laid out the same every time."""


class Execution:
    """Starts sandboxes; safe to use from several threads."""

    def __init__(self) -> None:
        self._launcher = Launcher()
        self._cpus = Cpus()

    def close(self) -> None:
        """End all runs, and the process that starts them."""
        self._launcher.close()

    def warm(self) -> None:
        """Begin what the first run would wait for, and do not wait for it; problems show when it is used."""

        def prepare() -> None:
            with suppress(RebuilderError, OSError):
                self._launcher.warm()
                host_support.prepare()

        threading.Thread(target=prepare, name="sandbox-warm", daemon=True).start()

    @contextmanager
    def run(
        self, definition: BuildDefinition, toolchain: Path, sources: Mapping[str, Path], program: Program | None = None
    ) -> Iterator[Ended]:
        """Run a definition to its end.

        Args:
            definition: Checked by :func:`rebuilder.sandbox.bubblewrap.arguments.check`.
            toolchain: Root directory.
            sources: Path inside the sandbox to the file or directory to show there.
            program: What to run instead of the commands.

        Raises:
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox itself failed.
        """
        self._launcher.warm()
        bubblewrap, version, strict = host_support.prepare()
        script = program.script if program else arguments.script(definition)
        calls = seccomp.program(*program.permitted) if program else strict
        begun = time.monotonic()
        killed_before = _out_of_memory_kills()
        with ExitStack() as stack:
            supervision = stack.enter_context(Supervision(definition.limits))
            cpus = stack.enter_context(self._cpus.taken(definition.cpu_count))
            request = self._request(definition, bubblewrap, toolchain, sources, cpus)
            request["fixed_addresses"] = program is not None and program.fixed_addresses
            launched = self._launch(request, definition, supervision, script, calls)
            stack.callback(launched.close)
            limit = supervision.watch(launched)
            ending = supervision.end(launched, kill=limit is not None)
            if limit is None and not supervision.stood:
                raise _not_set_up(supervision, ending)
            if limit is None and _monitor_was_killed(ending):
                raise SandboxFaultError("A sandbox was ended from outside while a build ran in it.")
            starved = _out_of_memory_kills() > killed_before
            if starved and ending.memory_bytes > definition.limits.memory_bytes:
                limit = limit or Limit.MEMORY  # it was faster than our looks, and the kernel ended it before us
            exit_code = supervision.exit_code if limit is None and ending.orphaned else None
            if exit_code != 0 and limit is None and starved:
                raise starvation()
            if exit_code is None and ending.cpu_seconds > definition.limits.cpu_seconds:
                limit = limit or Limit.CPU_TIME
            yield Ended(supervision, limit, exit_code, ending, time.monotonic() - begun, version, starved)

    def _request(
        self,
        definition: BuildDefinition,
        program: str,
        toolchain: Path,
        sources: Mapping[str, Path],
        cpus: list[int],
    ) -> dict[str, Any]:
        """What the launcher is asked, and the options of bubblewrap."""
        stage = host_support.stage()
        real = [str(path.absolute()) for path in (toolchain, *sources.values())]
        seen = real if stage is None else [f"{stage}/{index}" for index in range(len(real))]
        options = arguments.options(
            definition,
            root=seen[0],
            inputs=dict(zip(sources, seen[1:], strict=True)),
            cpus_listed=(toolchain / "sys").is_dir(),
        )
        return {
            "program": program,
            "command": arguments.command(program),
            "options": options,
            "stage": stage,
            "sources": real if stage else [],
            "limits": arguments.resource_limits(definition.limits),
            "cpus": cpus,
        }

    def _launch(
        self,
        request: dict[str, Any],
        definition: BuildDefinition,
        supervision: Supervision,
        script: bytes,
        calls: bytes,
    ) -> Launched:
        contents = {
            "script": script,
            "arguments": request.pop("options"),
            "filter": calls,
            "cpus": arguments.cpu_list(definition.cpu_count),
        }
        with ExitStack() as stack:
            files = {name: stack.enter_context(memory_file(name, data)) for name, data in contents.items()}
            descriptors = {name: file.fileno() for name, file in files.items()}
            launched = self._launcher.start(request, descriptors | supervision.theirs())
        supervision.started()
        return launched


def _monitor_was_killed(ending: Ending) -> bool:
    """Whether bubblewrap outside of the sandbox died of a signal. No process inside can name it, so none sent it."""
    return ending.status is None or os.WIFSIGNALED(ending.status)


def _not_set_up(supervision: Supervision, ending: Ending) -> RebuilderError:
    """Why a sandbox did not come to stand: nothing of the build had begun, so it is our fault."""
    said = ending.problem or supervision.log_tail() or f"wait status {ending.status}"
    for sentence, hint in host_support.settings_in_the_way():
        return SandboxUnavailableError(f"The sandbox cannot be set up. {sentence} ({said})", hint=hint)
    return SandboxFaultError(
        f"The sandbox could not be set up: {said}.", hint="See what this machine lacks: rebuilder doctor"
    )


def _out_of_memory_kills() -> int:
    """Processes the kernel has killed because the machine had no memory left (/proc/vmstat)."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
