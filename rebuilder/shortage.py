"""Whether this machine itself ran out of memory or processes while something ran on it.

What runs in a sandbox has limits of its own, and passing one of them is its own doing. A machine that has less than
that is ours to mend, and then a failure says nothing about what failed. Which of the two it was is never read from
what a build prints or ends with, since anybody can forge that: the kernel counts, outside of every sandbox. See
docs/adr/0071.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits


class Shortage:
    """Begun before something runs, and asked when it has ended.

    Args:
        wants: What it may use: a machine that has less left is too small for it.
        proc: Where the kernel tells of processes.
        cgroups: Where it tells of control groups.
        user: Whose limit on processes counts; None: ours.
    """

    def __init__(
        self,
        wants: Limits,
        proc: Path = Path("/proc"),
        cgroups: Path = Path("/sys/fs/cgroup"),
        user: int | None = None,
    ) -> None:
        self._wants, self._proc, self._cgroups = wants, proc, cgroups
        self._user = os.geteuid() if user is None else user
        self._killed, self._refused = self._kills(), self._refusals()

    @property
    def killed(self) -> bool:
        """Whether the kernel ended some process for want of memory."""
        return self._kills() > self._killed

    @property
    def refused(self) -> bool:
        """Whether our control group was refused a process: which need not make a build fail that does without."""
        return self._refusals() > self._refused

    @property
    def tight(self) -> bool:
        """Whether less is left, of what the kernel does not count when it refuses it, than something may use.

        What ran has ended, so nothing that it did counts.
        """
        return self._no_processes() or self._no_memory()

    def _kills(self) -> int:
        return out_of_memory_kills(self._proc)

    def _refusals(self) -> int:
        """How often a process was refused, for the limit of our control group or of one around it (``pids.max``).

        Kernels since 6.12 count with the group that has the limit (and, in ``pids.events``, with those around it:
        refusals of our neighbours too), older ones with the group of the process.
        """
        return sum(_events(each) for each in self._counters())

    def _counters(self) -> Iterator[Path]:
        for line in _read(self._proc / "self/cgroup").splitlines():
            _, controllers, path = line.split(":", 2)
            root = self._cgroups / "pids" if controllers == "pids" else self._cgroups
            own = root / path.lstrip("/")
            own = own if own.is_dir() else root  # in a container that sees the path outside of it
            if controllers in {"", "pids"}:
                local = own / "pids.events.local"
                yield local if local.exists() else own / "pids.events"
                yield from (each / "pids.events.local" for each in own.parents if each.is_relative_to(root))

    def _no_processes(self) -> bool:
        """Of the whole machine, or of us as a user (setrlimit(2), which root is not bound by)."""
        system = self._proc / "sys/kernel"
        most = min((int(_read(system / each) or 1 << 32) for each in ("threads-max", "pid_max")), default=0)
        running = _read(self._proc / "loadavg").partition("/")[2].split()
        if running and int(running[0]) + self._wants.processes > most:
            return True
        limits = _read(self._proc / "self/limits").partition("\nMax processes")[2].split()
        bound = self._user != 0 and limits and limits[0].isdecimal()
        return bool(bound) and self._own_threads() + self._wants.processes > int(limits[0])

    def _own_threads(self) -> int:
        threads = 0
        for each in self._proc.glob("[1-9]*/task"):
            with suppress(OSError):
                status = each.stat()
                threads += status.st_nlink - 2 if status.st_uid == self._user else 0
        return threads

    def _no_memory(self) -> bool:
        """Where the kernel promises no more than it has (proc_sys_vm(5), ``overcommit_memory``)."""
        if _read(self._proc / "sys/vm/overcommit_memory").strip() != "2":
            return False
        lines = (line.split() for line in _read(self._proc / "meminfo").splitlines())
        kib = {line[0]: int(line[1]) for line in lines if len(line) > 1}
        left = (kib.get("CommitLimit:", 0) - kib.get("Committed_AS:", 0)) << 10
        return left < self._wants.memory_bytes


def out_of_memory_kills(proc: Path = Path("/proc")) -> int:
    """Processes the kernel has killed because there was no memory left (proc_vmstat(5), ``oom_kill``)."""
    return _counted(proc / "vmstat", "oom_kill")


def _events(file: Path) -> int:
    return _counted(file, "max")


def _counted(file: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in _read(file).splitlines() if line.startswith(f"{name} ")), 0)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:
        return ""
