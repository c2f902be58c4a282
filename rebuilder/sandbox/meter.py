"""What a running sandbox uses, measured from outside.

It imports nothing of the rebuilder when it runs: the first process of a User Mode Linux guest uses it too.

What cannot be counted from outside is not to be had in a sandbox (``seccomp.py``); what builds need is counted here,
rather too high than too low. docs/operate/sandbox-memory.md has the table of all kinds and what bounds each.

It imports nothing of the rebuilder when it runs: the first process of a User Mode Linux guest uses it too.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

DESCRIPTOR_BYTES = 4096
"""One open file: its structures, and half of the two pages that a pipe gets when its user has many."""
WATCH_BYTES = 256
"""One file that one epoll instance watches (``struct epitem`` and ``struct eppoll_entry``)."""
MAPPING_BYTES = 256
"""One mapping (``struct vm_area_struct`` and its share of the tree)."""
LOCK_BYTES = 256
"""One lock on a part of a file (``struct file_lock``)."""
TERMINAL_BYTES = 2 * 640 << 10
"""One pseudo terminal: both of its buffers (TTYB_DEFAULT_MEM_LIMIT of the kernel)."""
SOCKET_BYTES = 64 << 10
"""What a socket may hold beyond its buffer: the last packet, which is taken whole."""
TCP_BYTES = 16 << 10
"""A TCP socket besides its queues."""

_FEW = 64
"""Descriptors of a process with which no number of epoll watches is worth looking for."""
_MOST_READ = 1 << 20
"""Bytes of a list that are read; nobody honest has a longer one, and what is longer counts as :data:`_TOO_MUCH`."""
_MOST_MAPS = 64 << 20
"""The same of the lists of mappings of all processes together; a guest's processes have thousands each."""
_TOO_MUCH = 1 << 50
_CHUNK = 1 << 16


def held_bytes(proc: int, init: int, terminals: int) -> int:
    """Bytes held by the processes of one sandbox, besides what they have resident and besides locks.

    Args:
        proc: Descriptor of the sandbox's own ``/proc``.
        init: Descriptor of the directory of its first process in our ``/proc``.
        terminals: Descriptor of its ``/dev/pts``.
    """
    total, left = _socket_bytes(init) + TERMINAL_BYTES * _terminals(terminals), _MOST_MAPS
    with contextlib.suppress(OSError):  # the first process has ended
        for name in os.listdir(proc):
            if name.isdigit():
                maps, whole = _read_whole(proc, f"{name}/maps", left)
                left -= len(maps)
                total += MAPPING_BYTES * maps.count(b"\n") if whole else _TOO_MUCH
                total += _process_bytes(proc, name)
    return total


def lock_bytes(proc: int) -> int:
    """Bytes of the locks its processes hold on parts of files.

    Not a part of :func:`held_bytes`, since the kernel takes 10 ms to make the list.
    """
    return LOCK_BYTES * _lines(proc, "locks")


def _process_bytes(proc: int, pid: str) -> int:
    """Page tables, swap and descriptors of one process."""
    total = 0
    for line in _read_whole(proc, f"{pid}/status")[0].splitlines():
        if line.startswith((b"VmPTE:", b"VmSwap:")):
            total += int(line.split()[1]) * 1024
    with contextlib.suppress(OSError):
        names = os.stat(f"{pid}/fd", dir_fd=proc).st_size
        if names == 0 or names > _FEW:  # kernels before 6.2 do not tell how many there are
            total += _descriptor_bytes(proc, f"{pid}/fd")
        else:
            total += names * DESCRIPTOR_BYTES
    return total


def _descriptor_bytes(proc: int, path: str) -> int:
    """Descriptors, and the most that those of them that are epoll instances can watch."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
    try:
        names = os.listdir(directory)  # noqa: PTH208
        polls = 0
        for name in names if len(names) > _FEW else ():
            with contextlib.suppress(OSError):
                polls += os.readlink(name, dir_fd=directory) == "anon_inode:[eventpoll]"
        return len(names) * (DESCRIPTOR_BYTES + polls * WATCH_BYTES)
    finally:
        os.close(directory)


def _socket_bytes(init: int) -> int:
    """What the sockets of the sandbox's network namespace can hold, those in flight between processes included.

    ``net/protocols`` counts every socket there is. A socket of the sandbox cannot have its buffers enlarged, so it
    holds no more than the default; those of TCP grow by themselves, and their queues are read.
    """
    others, streams = 0, 0
    for line in _read_whole(init, "net/protocols")[0].splitlines()[1:]:
        name, _, number = line.split()[:3]
        if name.startswith((b"TCP", b"MPTCP")):
            streams += int(number)
        else:
            others += int(number)
    total = others * (_default_buffer() + SOCKET_BYTES) + streams * TCP_BYTES
    if streams:
        total += sum(_queued(init, f"net/{name}") for name in ("tcp", "tcp6"))
    return total


def _queued(init: int, path: str) -> int:
    """Twice the bytes in the queues of a list of sockets (proc_net_tcp.rst): packets are larger than their content."""
    data, whole = _read_whole(init, path)
    if not whole:
        return _TOO_MUCH
    total = 0
    for line in data.splitlines()[1:]:
        sent, _, received = line.split()[4].partition(b":")
        total += 2 * (int(sent, 16) + int(received, 16))
    return total


def _default_buffer() -> int:
    """Bytes a socket's buffer holds on this machine when nobody asks for more."""
    sizes = [212_992]
    for name in ("wmem_default", "rmem_default"):
        with contextlib.suppress(OSError, ValueError), open(f"/proc/sys/net/core/{name}", encoding="ascii") as file:  # noqa: PTH123
            sizes.append(int(file.read()))
    return max(sizes)


def _terminals(directory: int) -> int:
    """Pseudo terminals there are; the list has their multiplexer too."""
    try:
        return max(0, len(os.listdir(directory)) - 1)
    except OSError:
        return 0


def _lines(directory: int, path: str) -> int:
    """Lines of a list."""
    data, whole = _read_whole(directory, path)
    return data.count(b"\n") if whole else _TOO_MUCH


def _read_whole(directory: int, path: str, most: int = _MOST_READ) -> tuple[bytes, bool]:
    """A file of ``/proc``, and whether that was all of it; empty when the process has ended."""
    parts, size = [], 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return b"", True
    try:
        while size < most and (data := os.read(descriptor, _CHUNK)):
            parts.append(data)
            size += len(data)
    except OSError:
        return b"".join(parts), True
    finally:
        os.close(descriptor)
    return b"".join(parts), size < most


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
        """Open a sandbox that stands, by the id of its first process.

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
