"""Whether a User Mode Linux guest runs on this machine: found out by booting one, and remembered.

What was found holds for one kernel of the guest, processor, kernel of the machine, start of the machine, bubblewrap
and user; when any of these is another, a guest is booted again. Time alone changes nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from rebuilder import __version__
from rebuilder.atomic_file import write_whole
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import CorruptEnvironmentError, NoGuestError, RebuilderError
from rebuilder.model.definition import BuildDefinition, EnvironmentRef, Limits
from rebuilder.model.value import Sha256Field, Value, canonical_json, sha256_hex
from rebuilder.sandbox.bubblewrap import host_support
from rebuilder.sandbox.bubblewrap.run_sandbox import Bubblewrap
from rebuilder.sandbox.uml import answer
from rebuilder.sandbox.uml.machine import Machine, machine

ENVIRONMENT = "uml"
"""Name of the build environment with the kernel."""

SWITCH = "REBUILDER_GUEST"
"""Environment variable; with the value ``none`` no guest runs here, whatever the machine could do. For tests."""

_THEN = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
_TELL = ": > /tmp/late && test /bin/sh -nt /tmp/late"
"""Ends well when a file that is written now is older than the shell, which was put there today."""
_MOUNT_POINTS = ("build", "dev", "etc", "inputs", "out", "proc", "sys", "tmp", "tools", "lib", "lib64", "bin")

_LIMITS = Limits(wall_seconds=60, cpu_seconds=60, memory_bytes=256 << 20, disk_bytes=16 << 20, output_bytes=1 << 20)
_FIRST_WITH_LARGE_STATE = (6, 13)
"""First kernel that asks the machine how large the floating-point state of its processes is."""


def available() -> bool:
    """Whether Debian has this kernel for the processor of this machine."""
    return platform.machine() == "x86_64"


def impossible() -> NoGuestError | None:
    """Why no guest needs to be started here to know that none runs; None when one may."""
    if os.environ.get(SWITCH) == "none":
        return NoGuestError(f"the environment variable {SWITCH} says so", hint=f"Unset {SWITCH}")
    if not available():
        return NoGuestError(
            f"Debian has this kernel for x86_64, and the processor here is {platform.machine()}",
            hint="Use a machine with x86_64 for builds that need a clock of their own",
        )
    return None


class Remembered(Value):
    """What was found when a guest was booted."""

    facts_sha256: Sha256Field
    """Digest of what the machine was then."""
    problem: str | None = None
    hint: str | None = None


class GuestProbe:
    """Boots a guest when it is first asked, and again when the machine has become another.

    Args:
        kernel: Gives the build environment with the kernel; what it raises is why no guest runs here.
        bubblewrap: Starts sandboxes.
        memory: File for what was found; None: it is remembered by this object alone.
    """

    def __init__(
        self, kernel: Callable[[], BuildEnvironment], bubblewrap: Bubblewrap, memory: Path | None = None
    ) -> None:
        self._kernel = kernel
        self._bubblewrap = bubblewrap
        self._memory = memory
        self._known: Remembered | None = None
        self._lock = threading.Lock()

    def problem(self, *, anew: bool = False) -> NoGuestError | None:
        """Why no guest runs here; None when one does. ``anew``: One is booted, whatever is remembered.

        Raises:
            CorruptEnvironmentError: the build environment with the kernel was modified.
        """
        out_of_question = impossible()
        if out_of_question is not None:
            return out_of_question
        with self._lock:
            try:
                kernel = self._kernel()
                facts = _facts(kernel)
            except CorruptEnvironmentError:
                raise
            except NoGuestError as error:
                return error
            except RebuilderError as error:
                return NoGuestError(_clause(str(error)), hint=error.hint)
            found = None if anew else self._recalled(facts)
            if found is None:
                found = Remembered(facts_sha256=facts, **self._boot(kernel))
                self._remember(found)
            return _error(found)

    def remembered(self) -> NoGuestError | None:
        """What :meth:`problem` found, if that still holds; None when a guest may run. Nothing is booted.

        Raises:
            CorruptEnvironmentError: the build environment with the kernel was modified.
            NoGuestError: it cannot be had.
        """
        if (out_of_question := impossible()) is not None:
            return out_of_question
        with self._lock:
            found = self._recalled(_facts(self._kernel()))
            return _error(found) if found is not None else None

    def _boot(self, kernel: BuildEnvironment) -> dict[str, str]:
        """Boot, look at the clock, halt; once more if that failed, since a busy machine is no reason."""
        problem: dict[str, str] = {}
        for _ in range(2):
            try:
                self._look(kernel)
            except OSError as error:
                problem = {"problem": f"a guest could not be prepared ({error.strerror})"}
            except RebuilderError as error:
                said = error.reason if isinstance(error, NoGuestError) else str(error)
                problem = _explained(kernel, said) | ({"hint": error.hint} if error.hint else {})
            else:
                return {}
        return problem

    def _look(self, kernel: BuildEnvironment) -> None:
        with tempfile.TemporaryDirectory(prefix="rebuilder-trial-") as place:
            around = machine(_definition(kernel), kernel, _small_root(kernel, Path(place)), {})
            self._boot_once(kernel, around)

    def _boot_once(self, kernel: BuildEnvironment, around: Machine) -> None:
        with self._bubblewrap.run(around.definition, kernel.root, around.sources, around.program) as ended:
            directory = ended.supervision.meter.build
            said = ended.supervision.log_tail() or f"exit code {ended.supervision.exit_code}"
            first, last = answer.begun(directory), answer.answer(directory)
            if first is None:
                raise answer.not_begun(last, ended.limit, said)
            told = answer.told(last, ended.limit, said)
            if told.broken or told.limit or told.exit_code != 0:
                log = answer.log(directory, 2000).decode(errors="replace")
                raise NoGuestError(told.broken or f"the clock of the guest cannot be set ({' '.join(log.split())})")

    def _recalled(self, facts: str) -> Remembered | None:
        if self._known is None and self._memory is not None:
            try:
                self._known = Remembered.model_validate_json(self._memory.read_bytes())
            except (OSError, ValidationError):
                return None
        return self._known if self._known is not None and self._known.facts_sha256 == facts else None

    def _remember(self, found: Remembered) -> None:
        self._known = found
        if self._memory is None:
            return
        with contextlib.suppress(OSError):  # then the next process boots one too
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._memory, canonical_json(found.document()))


def _small_root(kernel: BuildEnvironment, root: Path) -> Path:
    """Make a root directory with nothing but a shell: a guest cannot show the kernel's own tree once more in itself."""
    root.chmod(0o755)
    for name in _MOUNT_POINTS:
        (root / name).mkdir()
    shutil.copy(kernel.root / "usr/bin/dash", root / "bin/sh")
    for pattern, directory in (("lib64/ld-*", "lib64"), ("usr/lib/*/libc.so.6", "lib")):
        for file in kernel.root.glob(pattern):
            shutil.copy(file, root / directory)
    return root


def _definition(kernel: BuildEnvironment) -> BuildDefinition:
    return BuildDefinition(
        build_type="tag:rebuilder,2026:trial/v1",
        purl="pkg:generic/trial",
        targets=("none",),
        toolchain=EnvironmentRef(name=kernel.name, sha256=kernel.sha256),
        inputs=(),
        commands=(("/bin/sh", "-c", _TELL),),
        environment={"PATH": "/usr/bin:/bin"},
        sandbox="uml",
        clock=_THEN,
        limits=_LIMITS,
    )


def _facts(kernel: BuildEnvironment) -> str:
    """Digest of everything that a guest's life depends on."""
    machine_facts = {
        "guest": kernel.sha256,
        "processor": _processor(),
        "kernel": [platform.release(), platform.version()],
        "start": _read("/proc/sys/kernel/random/boot_id"),
        "ptrace": _read("/proc/sys/kernel/yama/ptrace_scope"),
        "bubblewrap": list(host_support.bubblewrap()),
        "user": os.geteuid(),
        "rebuilder": __version__,
    }
    return sha256_hex(json.dumps(machine_facts, sort_keys=True).encode())


def _processor() -> dict[str, str]:
    """Model and flags of the first processor (proc_cpuinfo(5))."""
    first = _read("/proc/cpuinfo").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip() in {"model name", "flags"}}


def _read(place: str) -> str:
    try:
        return Path(place).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _explained(kernel: BuildEnvironment, said: str) -> dict[str, str]:
    """The likeliest cause, and what mends it."""
    release = re.search(r"(?:Not tainted|Linux version) (\d+)\.(\d+)", said)
    scope = _read("/proc/sys/kernel/yama/ptrace_scope")
    large = "amx_tile" in _processor().get("flags", "").split()
    if release and large and (int(release[1]), int(release[2])) < _FIRST_WITH_LARGE_STATE:
        problem = (
            f"the guest's kernel {release[1]}.{release[2]} cannot start a process on a processor with AMX; "
            "kernels from 6.13 on can"
        )
        store = kernel.root.parents[3]
        return {
            "problem": problem,
            "hint": f"rebuilder environments make --store {store} --again {ENVIRONMENT}",
        }
    if scope in {"2", "3"}:
        return {
            "problem": f"this machine lets no program trace its own children (kernel.yama.ptrace_scope is {scope})",
            "hint": "As root: sysctl -w kernel.yama.ptrace_scope=1",
        }
    return {
        "problem": _clause(said),
        "hint": "Use another machine for builds that need a clock of their own; others need no guest",
    }


def _clause(sentence: str) -> str:
    return sentence.rstrip(".")


def _error(found: Remembered) -> NoGuestError | None:
    return NoGuestError(found.problem, hint=found.hint) if found.problem is not None else None
