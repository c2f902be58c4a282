"""Which running verifications still have a living process behind them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

_FLOCK = "hhqqi"  # struct flock of <fcntl.h>: type, whence, start, length, process
_SCHEMA_BYTE = 0


class Owners(Protocol):
    """Who works on which verification, told by locks that end with the process that took them, however it ends."""

    def claim(self, number: int) -> None:
        """This process works on verification ``number`` from now on."""

    def release(self, number: int) -> None:
        """This process is done with it; nothing happens when it was not at it."""

    def alive(self, number: int) -> bool:
        """Whether some process, maybe this one, works on it."""

    def close(self) -> None:
        """Give up all locks."""


class FileOwners:
    """Implements :class:`Owners` on one machine: locks on single bytes of one file, byte number = verification id.

    The kernel drops a lock when its process ends, however it ends: no process id that could be used again, no
    heart beat, and it works across containers on one machine. Open file description locks are used (fcntl(2)),
    so two ledgers opened by one process do not take each other's locks for their own.

    Args:
        path: The lock file; None for a ledger in memory, which only one process can see.
    """

    def __init__(self, path: Path | None) -> None:
        self._mine: set[int] = set()
        self._descriptor = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def claim(self, number: int) -> None:
        """See :class:`Owners`."""
        self._mine.add(number)
        self._set(number, fcntl.F_WRLCK, fcntl.F_OFD_SETLK)

    def release(self, number: int) -> None:
        """See :class:`Owners`."""
        if number in self._mine:
            self._mine.remove(number)
            self._set(number, fcntl.F_UNLCK, fcntl.F_OFD_SETLK)

    def alive(self, number: int) -> bool:
        """See :class:`Owners`."""
        if number in self._mine or self._descriptor is None:
            return number in self._mine
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, _request(number, fcntl.F_WRLCK))
        return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)

    @contextlib.contextmanager
    def schema_lock(self) -> Iterator[None]:
        """Only one process at a time makes or migrates tables."""
        self._set(_SCHEMA_BYTE, fcntl.F_WRLCK, fcntl.F_OFD_SETLKW)
        try:
            yield
        finally:
            self._set(_SCHEMA_BYTE, fcntl.F_UNLCK, fcntl.F_OFD_SETLK)

    def close(self) -> None:
        """See :class:`Owners`."""
        self._mine.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _set(self, byte: int, kind: int, command: int) -> None:
        if self._descriptor is not None:
            fcntl.fcntl(self._descriptor, command, _request(byte, kind))


def _request(byte: int, kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)
