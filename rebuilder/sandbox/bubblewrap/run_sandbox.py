"""Runs the commands of a definition in namespaces, and holds on to what they left until it was taken."""

from __future__ import annotations

import fcntl
import itertools
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from rebuilder.errors import RebuilderError, SandboxFaultError, SandboxUnavailableError
from rebuilder.model.attempt import Limit
from rebuilder.model.definition import BuildDefinition, Limits
from rebuilder.sandbox.bubblewrap import arguments, host_support, launcher_main, seccomp
from rebuilder.sandbox.bubblewrap.launcher_client import Ending, Launched, LauncherClient
from rebuilder.sandbox.supervision import SETUP_SECONDS, Supervision, memory_file
from rebuilder.shortage import Shortage

_LISTING = Path("/sys/devices/system/cpu")

Claim = Callable[[int], AbstractContextManager[object] | None]
"""Takes a CPU until what it gives is left; None when somebody has it."""


class Cpus:
    """Hands out CPUs to runs; safe to use from several threads and by several processes at once.

    A run is bound to its CPUs, so two on the same one would halve each other's speed while another CPU idles.
    """

    def __init__(self, claim: Claim | None = None) -> None:
        """Nothing is taken yet; ``claim`` says how a CPU is, machine-wide by default."""
        self._claim = claim or claimed
        self._turn = itertools.count()

    @contextmanager
    def taken(self, count: int) -> Iterator[list[int]]:
        """So many CPUs for the length of a run; when too few are free, they are shared in turns.

        Raises:
            SandboxUnavailableError: this process may not use so many.
        """
        available = sorted(os.sched_getaffinity(0))
        if count > len(available):
            raise SandboxUnavailableError(
                f"The build definition asks for {count} CPUs; {len(available)} may be used here.",
                hint="Run it on a machine with more CPUs.",
            )
        first = next(self._turn) * count % len(available)
        order = [*available[first:], *available[:first]]
        with ExitStack() as stack:
            own: list[int] = []
            for cpu in order:
                if len(own) < count and (claim := self._claim(cpu)) is not None:
                    stack.enter_context(claim)
                    own.append(cpu)
            own += [cpu for cpu in order if cpu not in own][: count - len(own)]
            yield own


def claimed(cpu: int, listing: Path = _LISTING) -> BinaryIO | None:
    """Take a CPU by locking what the kernel shows of it; the kernel frees it if its owner dies.

    So nothing is written and nothing is left behind. Whoever locks it without need, or a machine that does not show
    its CPUs, only makes builds share one.
    """
    try:
        shown = os.fdopen(os.open(listing / f"cpu{cpu}" / "uevent", os.O_RDONLY | os.O_CLOEXEC), "rb", buffering=0)
    except OSError:
        return None
    try:
        fcntl.flock(shown, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        shown.close()
        return None
    return shown


_LOOK_SECONDS = 0.025
_PATIENCE_SECONDS = 60.0
"""For the end of killed processes: the kernel may have gigabytes of them to give back."""
_TAIL = 2000


class LaunchedSupervision(Supervision):
    """Watches a run that the launcher started, and ends it where it has to be ended."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, memory_file("log", b""), _LOOK_SECONDS)

    def follow(self, launched: Launched) -> Limit | None:
        """Let the commands go when the sandbox stands, and wait until its first process has ended.

        Returns:
            The limit that was passed before; None when none was, or when the sandbox did not come to stand.

        Raises:
            SandboxFaultError: the sandbox neither stood nor failed in time.
        """
        try:
            if not self.stand(launched):
                return None
        except TimeoutError:
            raise SandboxFaultError(f"A sandbox was not set up after {SETUP_SECONDS:g} seconds.") from None
        except OSError as error:
            raise SandboxFaultError(f"A sandbox that was set up cannot be looked into ({error}).") from error
        assert self.init is not None  # noqa: S101  # it stands
        launched.tell_init(self.init)
        self.let_go()
        limit = self.watch()
        return None if limit is None else Limit(limit)

    def end(self, launched: Launched, *, kill: bool) -> Ending:
        """Wait until nothing of the run is left; take the rest of its log and of what bubblewrap says.

        Args:
            launched: The run.
            kill: Whether it must be ended, or is ending by itself. (Then bubblewrap still has an exit code to tell.)

        Raises:
            SandboxFaultError: its processes cannot be ended.
        """
        if kill and self._init_fd is not None:
            with suppress(ProcessLookupError):  # it ended meanwhile, and is reaped
                signal.pidfd_send_signal(self._init_fd.fileno(), signal.SIGKILL)
            gone = select.poll()
            gone.register(self._init_fd, select.POLLIN)
            if not gone.poll(_PATIENCE_SECONDS * 1000):
                raise SandboxFaultError("The processes of a sandbox could not be killed.")
            launched.kill()
        ending = launched.ending()
        self.hear()
        self.drain()
        return ending

    def log(self) -> Iterator[bytes]:
        """What the run wrote, from the start."""
        self._log_file.seek(0)
        while chunk := self._log_file.read(1 << 20):
            yield chunk

    def log_tail(self) -> str:
        """The last of it, for a message about the sandbox itself."""
        text = b"".join(self.log())[-_TAIL:].decode("utf-8", "replace")
        return " ".join(text.split())


class Ended(NamedTuple):
    """A run none of whose processes is left."""

    supervision: LaunchedSupervision
    """Its log, and its meter with the content of its file systems; good inside the ``with`` block only."""
    limit: Limit | None
    """The limit that was seen passed, after which the run was killed."""
    exit_code: int | None
    """Of the commands; None when a limit ended them, or when what ran in the sandbox ended the sandbox."""
    ending: Ending
    wall_seconds: float
    version: str
    """Of bubblewrap."""
    shortage: Shortage
    """What the machine itself ran out of meanwhile."""


def check(shortage: Shortage, *, failed: bool = True) -> None:
    """Make sure that a build did not end as it did for want of what this machine owed it.

    A process that was refused counts in any case: a build may do without, and come out as another file.

    Raises:
        SandboxFaultError: it may have.
    """
    if failed and shortage.killed:
        raise _too_small("ran out of memory", "use a machine with more memory")
    if shortage.refused or (failed and shortage.tight):
        raise _too_small("had too few processes left", "let it have more (pids.max of the control group, ulimit -u)")


def _too_small(what: str, mend: str) -> SandboxFaultError:
    return SandboxFaultError(
        f"The machine {what} while a build ran; how that ended says nothing about it.",
        hint=f"Run fewer builds at once, or {mend}.",
    )


class Program(NamedTuple):
    """What runs in a sandbox instead of the commands of a definition."""

    script: bytes
    """For the shell; it begins with :func:`rebuilder.sandbox.bubblewrap.arguments.opening`."""
    permitted: tuple[str, ...]
    """System calls that it needs and builds may not use; see :func:`rebuilder.sandbox.bubblewrap.seccomp.program`."""
    fixed_addresses: bool = False
    """Whether its memory is laid out the same every time."""


class Bubblewrap:
    """Starts sandboxes; safe to use from several threads. A ``shortage`` watches the machine while something runs."""

    def __init__(self, shortage: Callable[[Limits], Shortage] = Shortage) -> None:
        self._shortage = shortage
        self._launcher = LauncherClient()
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
        self,
        definition: BuildDefinition,
        root: Path,
        sources: Mapping[str, Path],
        program: Program | None = None,
        *,
        layers: Sequence[Path] = (),
        under: str | None = None,
    ) -> Iterator[Ended]:
        """Run a definition to its end.

        Args:
            definition: Checked by :func:`rebuilder.sandbox.bubblewrap.arguments.check`.
            root: Root directory.
            sources: Path inside the sandbox to the file or directory to show there.
            program: What to run instead of the commands.
            layers: Directories to lay over the root directory, the uppermost first.
            under: Path of the one of the sources that they lie over instead.

        Raises:
            SandboxUnavailableError: this machine cannot give the isolation.
            SandboxFaultError: the sandbox itself failed.
        """
        self._launcher.warm()
        bubblewrap, version, strict = host_support.prepare()
        script = program.script if program else arguments.script(definition)
        calls = seccomp.program(*program.permitted) if program else strict
        begun = time.monotonic()
        shortage = self._shortage(definition.limits)
        with ExitStack() as stack:
            supervision = stack.enter_context(LaunchedSupervision(definition.limits))
            cpus = stack.enter_context(self._cpus.taken(definition.cpu_count))
            request = self._request(definition, bubblewrap, root, sources, cpus)
            request["layers"] = [str(each.absolute()) for each in layers]
            request["under"] = [None, *sources].index(under)
            if layers and request["stage"] is None:
                raise SandboxUnavailableError(host_support.ONLY_BUBBLEWRAP, hint=host_support.LET_OTHERS)
            request["fixed_addresses"] = program is not None and program.fixed_addresses
            launched = self._launch(request, definition, supervision, script, calls)
            stack.callback(launched.close)
            limit = supervision.follow(launched)
            ending = supervision.end(launched, kill=limit is not None)
            if limit is None and not supervision.stood:
                raise _not_set_up(supervision, ending)
            if limit is None and _monitor_was_killed(ending):
                raise SandboxFaultError("A sandbox was ended from outside while a build ran in it.")
            if shortage.killed and ending.memory_bytes > definition.limits.memory_bytes:
                limit = limit or Limit.MEMORY  # it was faster than our looks, and the kernel ended it before us
            exit_code = supervision.exit_code if limit is None and ending.orphaned else None
            if limit in {None, Limit.WALL_TIME}:  # others are passed by what a build did get
                check(shortage, failed=limit is None and exit_code != 0)
            if exit_code is None and ending.cpu_seconds > definition.limits.cpu_seconds:
                limit = limit or Limit.CPU_TIME
            yield Ended(supervision, limit, exit_code, ending, time.monotonic() - begun, version, shortage)

    def _request(
        self,
        definition: BuildDefinition,
        program: str,
        root: Path,
        sources: Mapping[str, Path],
        cpus: list[int],
    ) -> dict[str, Any]:
        """What the launcher is asked, and the options of bubblewrap."""
        stage = host_support.stage()
        real = [str(path.absolute()) for path in (root, *sources.values())]
        seen = real if stage is None else [f"{stage}/{index}" for index in range(len(real))]
        options = arguments.options(
            definition,
            root=seen[0],
            inputs=dict(zip(sources, seen[1:], strict=True)),
            cpus_listed=(root / "sys").is_dir(),
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
        supervision: LaunchedSupervision,
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


def _not_set_up(supervision: LaunchedSupervision, ending: Ending) -> RebuilderError:
    """Why a sandbox did not come to stand: nothing of the build had begun, so it is our fault."""
    said = ending.problem or supervision.log_tail() or f"wait status {ending.status}"
    if said.startswith(launcher_main.NO_OVERLAY):
        return SandboxUnavailableError(
            f"A build environment with layers cannot be used: {said} here.",
            hint="Keep the store on a disk of the machine itself, and use a kernel with CONFIG_OVERLAY_FS.",
        )
    for sentence, hint in host_support.settings_in_the_way():
        return SandboxUnavailableError(f"The sandbox cannot be set up. {sentence} ({said})", hint=hint)
    return SandboxFaultError(
        f"The sandbox could not be set up: {said}.", hint="See what this machine lacks: rebuilder doctor"
    )
