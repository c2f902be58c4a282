"""What a running sandbox uses, measured from outside.

It imports nothing of the rebuilder when it runs: the first process of a User Mode Linux guest uses it too.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rebuilder.model.definition import Limits

INODE_BYTES = 1024
"""Kernel memory one file, directory or link costs besides its content; counted as disk."""

_DISKS = ("build", "tmp", "dev/shm")  # inside the sandbox
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

    Its own ``/proc`` lists its processes and no others. The descriptors of its temporary file systems keep their
    content readable after all processes, and the mount namespace with them, are gone.
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
            root = self._open(opened, f"/proc/{init}/root", None)
            self._proc = self._open(opened, "proc", root)
            self._disks = [self._open(opened, name, root) for name in _DISKS]
            self.build = self._disks[0]
            self.out = self._open(opened, "out", root)
            self._stack = opened.pop_all()
        self.peak_bytes = 0
        self.cpu_seconds = 0.0

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
        for name in self._processes():
            fields = self._stat(name)
            if fields is not None:
                # proc_pid_stat(5): fields 14 to 17, 20 and 24; the first here is field 3
                ticks += sum(map(int, fields[11:15]))
                tasks += int(fields[17])
                pages += int(fields[21])
        self.cpu_seconds = max(self.cpu_seconds, ticks / _TICK)
        memory = pages * _PAGE
        self.peak_bytes = max(self.peak_bytes, memory)
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
        try:
            return [name for name in os.listdir(self._proc) if name.isdigit()]  # noqa: PTH208
        except OSError:  # the first process has ended, and its /proc with it
            return []

    def _stat(self, pid: str) -> list[bytes] | None:
        data = self._read(f"{pid}/stat")
        return data[data.rindex(b")") + 2 :].split() if data else None

    def _proportional_bytes(self) -> int:
        total = 0
        for name in self._processes():
            for line in self._read(f"{name}/smaps_rollup").splitlines():
                if line.startswith(b"Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def _read(self, path: str) -> bytes:
        """A file of the sandbox's ``/proc``; empty when the process has ended."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc)
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
