"""What a running sandbox uses, measured from outside.

It imports nothing of the rebuilder when it runs: the first process of a User Mode Linux guest uses it too.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from rebuilder.sandbox.kernel_memory import held_bytes, lock_bytes

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits

INODE_BYTES = 1024
"""Kernel memory one file, directory or link costs besides its content; counted as disk."""

_DISKS = ("build", "tmp", "dev/shm")  # inside the sandbox
_HELD_LOOKS, _LOCK_LOOKS = 8, 40
"""After so many looks what the kernel holds for the processes is counted too, and locks: it takes longer, and grows
slower."""
_OWN = 2
"""Processes that are ours: bubblewrap's first process, and the shell that runs the commands."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """One look at a sandbox."""

    cpu_seconds: float
    memory_bytes: int
    tasks: int
    """Processes and threads of the build."""
    disk_bytes: int
    output_bytes: int


class Meter:
    """Looks into one sandbox through descriptors that stay good until it is closed.

    Its own ``/proc`` lists its processes and no others; the first of them is hidden there, and looked at in ours. The
    descriptors of its temporary file systems keep their content readable after all processes, and the mount namespace
    with them, are gone.
    """

    def __init__(self, init: int) -> None:
        """Open a sandbox that stands.

        Args:
            init: Process id of its first process.

        Raises:
            OSError: it is gone, or may not be looked into.
        """
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as opened:
            self._init = self._open(opened, f"/proc/{init}", None)
            root = self._open(opened, f"/proc/{init}/root", None)
            self._proc = self._open(opened, "proc", root)
            self._terminals = self._open(opened, "dev/pts", root)
            self._disks = [self._open(opened, name, root) for name in _DISKS]
            self.build = self._disks[0]
            self.out = self._open(opened, "out", root)
            self._stack = opened.pop_all()
        self.peak_bytes = 0
        self.cpu_seconds = 0.0
        self._looks = 0
        self._held_bytes = self._lock_bytes = 0

    @staticmethod
    def _open(stack: contextlib.ExitStack, path: str, directory: int | None) -> int:
        nofollow = 0 if directory is None else os.O_NOFOLLOW
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | nofollow, dir_fd=directory)
        stack.callback(os.close, descriptor)
        return descriptor

    def close(self) -> None:
        """Let go of the sandbox's file systems; what is in them is gone then."""
        self._stack.close()

    def disk_bytes(self) -> int:
        """Bytes in ``/build``, ``/tmp`` and ``/dev/shm`` together."""
        return sum(_used(descriptor) for descriptor in self._disks)

    def output_bytes(self) -> int:
        """Bytes in ``/out``."""
        return _used(self.out)

    def writable(self) -> list[int]:
        """Descriptors of all directories the build can write to."""
        return [*self._disks, self.out]

    def look(self) -> Usage:
        """Measure now."""
        ticks = pages = tasks = 0
        processes = self._processes()
        for data in (_read(self._init, "stat"), *(_read(self._proc, f"{name}/stat") for name in processes)):
            if data:
                fields = data[data.rindex(b")") + 2 :].split()
                # proc_pid_stat(5): fields 14 to 17, 20 and 24; the first here is field 3
                ticks += sum(map(int, fields[11:15]))
                tasks += int(fields[17])
                pages += int(fields[21])
        self.cpu_seconds = max(self.cpu_seconds, ticks / _TICK)
        self._looks += 1
        if self._looks % _HELD_LOOKS == 1:
            self._held_bytes = held_bytes(self._proc, self._init, self._terminals)
        if self._looks % _LOCK_LOOKS == 0:
            self._lock_bytes = lock_bytes(self._proc)
        self.peak_bytes = max(self.peak_bytes, pages * _PAGE)
        memory = pages * _PAGE + self._held_bytes + self._lock_bytes
        return Usage(self.cpu_seconds, memory, max(tasks - _OWN, 0), self.disk_bytes(), self.output_bytes())

    def exceeded(self, limits: Limits) -> str | None:
        """Measure, and say which limit the run has passed: a value of :class:`rebuilder.model.attempt.Limit`."""
        usage = self.look()
        for limit, used, most in (
            ("processes", usage.tasks, limits.processes),
            ("disk", usage.disk_bytes, limits.disk_bytes),
            ("output size", usage.output_bytes, limits.output_bytes),
            ("CPU time", usage.cpu_seconds, limits.cpu_seconds),
        ):
            if used > most:
                return limit
        # Pages that processes share were counted for each of them; count again, dearly, before the run is ended.
        if usage.memory_bytes > limits.memory_bytes and self._proportional_bytes() > limits.memory_bytes:
            return "memory"
        return None

    def _processes(self) -> list[str]:
        """All but the first, whose directory in this ``/proc`` is empty."""
        try:
            return [name for name in os.listdir(self._proc) if name.isdigit() and name != "1"]  # noqa: PTH208
        except OSError:  # the first process has ended, and its /proc with it
            return []

    def _proportional_bytes(self) -> int:
        """Memory with the pages that processes share counted once; a process that hides its own counts in full."""
        total = held_bytes(self._proc, self._init, self._terminals) + self._lock_bytes
        for name in self._processes():
            lines = _read(self._proc, f"{name}/smaps_rollup").splitlines()
            shares = [int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:")]
            if not shares and (data := _read(self._proc, f"{name}/stat")):
                shares = [int(data[data.rindex(b")") + 2 :].split()[21]) * _PAGE]
            total += sum(shares)
        return total


def _read(directory: int, path: str) -> bytes:
    """A short file of ``/proc``; empty when the process has ended."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 8192)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _used(descriptor: int) -> int:
    facts = os.statvfs(descriptor)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize + (facts.f_files - facts.f_ffree - 1) * INODE_BYTES
