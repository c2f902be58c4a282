"""Memory a build holds that is in no process's resident memory and in no file system that is measured.

What cannot be counted from outside is not to be had in a sandbox (``seccomp.py``); what builds need is counted here,
rather too high than too low. docs/operate/sandbox-memory.md has the table of all kinds and what bounds each.

It imports nothing of the rebuilder when it runs: the first process of a User Mode Linux guest uses it too.
"""

from __future__ import annotations

import contextlib
import os

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
                maps, whole = _read(proc, f"{name}/maps", left)
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
    for line in _read(proc, f"{pid}/status")[0].splitlines():
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
    for line in _read(init, "net/protocols")[0].splitlines()[1:]:
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
    data, whole = _read(init, path)
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
    data, whole = _read(directory, path)
    return data.count(b"\n") if whole else _TOO_MUCH


def _read(directory: int, path: str, most: int = _MOST_READ) -> tuple[bytes, bool]:
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
