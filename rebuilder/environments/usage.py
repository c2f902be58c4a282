"""What installing packages may use of a machine: looked at from outside while it runs."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from rebuilder.model.definition import Limits

_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARENT, _THREADS, _RESIDENT = 1, 17, 21
"""Fields of ``/proc/PID/stat`` behind the name (proc(5)): parent, threads, resident pages."""


def watched(place: Path, limits: Limits) -> Callable[[int], str | None]:
    """Tells what a process has taken too much of, with all its children; None: of nothing.

    The tree is walked only when the disk has that much less room than at the beginning.

    Args:
        place: Directory that it writes to.
        limits: Of memory, processes and disk.
    """
    room = shutil.disk_usage(place).free

    def passed(process: int) -> str | None:
        threads, resident = _used(process)
        if threads > limits.processes:
            return f"more than {limits.processes:,} processes"
        if resident > limits.memory_bytes:
            return f"more than {limits.memory_bytes >> 20:,} MiB of memory"
        less = room - shutil.disk_usage(place).free > limits.disk_bytes
        if less and _written(place) > limits.disk_bytes:
            return f"more than {limits.disk_bytes >> 20:,} MiB of disk"
        return None

    return passed


def _used(process: int) -> tuple[int, int]:
    """Threads and resident bytes of a process and all that it began."""
    children, taken = defaultdict[int, list[int]](list), dict[int, tuple[int, int]]()
    for each in Path("/proc").glob("[1-9]*/stat"):
        try:
            fields = each.read_bytes().rpartition(b")")[2].split()
        except OSError:  # it has ended
            continue
        number = int(each.parent.name)
        children[int(fields[_PARENT])].append(number)
        taken[number] = int(fields[_THREADS]), int(fields[_RESIDENT]) * _PAGE
    waiting, threads, resident = [process], 0, 0
    while waiting:
        one = waiting.pop()
        waiting += children[one]
        its_threads, its_resident = taken.get(one, (0, 0))
        threads, resident = threads + its_threads, resident + its_resident
    return threads, resident


def _written(place: Path) -> int:
    """Bytes on the disk below a directory; what disappears meanwhile counts nothing."""
    total = 0
    for directory, _, names in os.walk(place, onerror=None):
        for name in names:
            try:
                total += Path(directory, name).lstat().st_blocks * 512
            except OSError:
                continue
    return total
