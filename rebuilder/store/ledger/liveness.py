"""Which processes are alive, told by locks that end with the process that took them, however it ends.

A running verification, a worker that holds tasks and whoever leads are each a name that a process claims. What is
claimed by nobody belongs to nobody: the verification is abandoned, the tasks wait again, another leads.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, TextClause, exc, text

_FLOCK = "hhqqi"  # struct flock of <fcntl.h>: type, whence, start, length, process
_SCHEMA_BYTE = 0
_CLAIM = text("SELECT pg_advisory_lock_shared(:lock)")
_RELEASE = text("SELECT pg_advisory_unlock_shared(:lock)")
_RELEASE_ALL = text("SELECT pg_advisory_unlock_all()")
_ALIVE = text(
    "SELECT clock_timestamp() - pg_postmaster_start_time() < make_interval(secs => :grace) OR EXISTS ("
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 1 AND granted"
    " AND classid = CAST(:lock AS bigint) >> 32 AND objid = CAST(:lock AS bigint) & 4294967295)"
)
_BEAT, _BEAT_SECONDS = text("SELECT 1"), 5.0
"""How a connection is looked after, and how often."""
_RUN = secrets.token_hex(4)


class Liveness(Protocol):
    """Who is alive, by name; a name may be claimed by several, and is alive as long as one of them is."""

    def claim(self, name: str) -> None:
        """This process goes by ``name`` from now on; nothing happens when it did before."""

    def release(self, name: str) -> None:
        """This process gives ``name`` up; nothing happens when it did not claim it."""

    def alive(self, name: str) -> bool:
        """Whether some process, maybe this one, goes by it."""

    def close(self) -> None:
        """Give up all names."""


class FileLiveness:
    """Implements :class:`Liveness` on one machine: shared locks on single bytes of one file.

    The kernel drops a lock when its process ends, however it ends: no process id that could be used again, no
    heart beat, and it works across containers on one machine. Open file description locks are used (fcntl(2)),
    so two ledgers opened by one process do not take each other's locks for their own.

    Args:
        path: The lock file; None for a ledger in memory, which only one process can see.
    """

    def __init__(self, path: Path | None) -> None:
        self._mine: set[str] = set()
        self._descriptor = None if path is None else os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def claim(self, name: str) -> None:
        """See :class:`Liveness`."""
        if name not in self._mine:
            self._mine.add(name)
            self._set(_lock(name), fcntl.F_RDLCK, fcntl.F_OFD_SETLK)

    def release(self, name: str) -> None:
        """See :class:`Liveness`."""
        if name in self._mine:
            self._mine.remove(name)
            self._set(_lock(name), fcntl.F_UNLCK, fcntl.F_OFD_SETLK)

    def alive(self, name: str) -> bool:
        """See :class:`Liveness`."""
        if name in self._mine or self._descriptor is None:
            return name in self._mine
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, _request(_lock(name), fcntl.F_WRLCK))
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
        """See :class:`Liveness`."""
        self._mine.clear()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _set(self, byte: int, kind: int, command: int) -> None:
        if self._descriptor is not None:
            fcntl.fcntl(self._descriptor, command, _request(byte, kind))


class SessionLiveness:
    """Implements :class:`Liveness` with advisory locks of PostgreSQL that last as long as a connection.

    They are seen from every machine, and the server drops them when the connection ends. When it is the server that
    ended, all names are free at once; so a thread looks after the connection, makes a new one and claims the names
    again, and for a while after a start of the server nobody is taken for dead.

    Args:
        connect: Opens a connection that commits each statement.
    """

    grace_seconds: float = 60
    """How long after its start a server does not know yet who is alive."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._mine: set[str] = set()
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def claim(self, name: str) -> None:
        """See :class:`Liveness`."""
        with self._lock:
            if name not in self._mine:
                self._run(_CLAIM, lock=_lock(name))
                self._mine.add(name)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="liveness", daemon=True)
                self._keeper.start()

    def release(self, name: str) -> None:
        """See :class:`Liveness`."""
        with self._lock:
            if name in self._mine:
                with contextlib.suppress(exc.DBAPIError):  # a lost connection has released it already
                    self._run(_RELEASE, lock=_lock(name))
                self._mine.discard(name)

    def alive(self, name: str) -> bool:
        """See :class:`Liveness`."""
        with self._lock:
            return name in self._mine or bool(self._run(_ALIVE, lock=_lock(name), grace=self.grace_seconds))

    def close(self) -> None:
        """See :class:`Liveness`."""
        self._closed.set()
        with self._lock:
            self._mine.clear()
            if self._connection is not None:
                with contextlib.suppress(exc.DBAPIError):  # the server ends the session some time after the connection
                    self._connection.execute(_RELEASE_ALL)
            self._drop()
        if self._keeper is not None:
            self._keeper.join()

    def beat(self) -> None:
        """Look after the connection now; without a server, the next beat tries again."""
        with self._lock, contextlib.suppress(exc.DBAPIError):
            if self._mine:
                self._run(_BEAT)

    def _keep(self) -> None:
        while not self._closed.wait(_BEAT_SECONDS):
            self.beat()

    def _run(self, statement: TextClause, **values: float) -> Any:
        if self._connection is not None:
            try:
                return self._connection.execute(statement, values).scalar()
            except exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                self._drop()
        self._connection = self._connect()
        for name in self._mine:
            self._connection.execute(_CLAIM, {"lock": _lock(name)})
        return self._connection.execute(statement, values).scalar()

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(exc.DBAPIError):
                self._connection.close()
            self._connection = None


def process_of(number: int) -> str:
    """What the process that is at a verification goes by."""
    return f"verification/{number}"


def _lock(name: str) -> int:
    """The byte of the file, or the key of the advisory lock, for a name: 62 bits, never one that means something else.

    Locks on a file end at byte 2**63 - 1; the keys of whoever writes (see :mod:`postgresql`) are pairs.
    """
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) >> 2 | 1 << 62


def _request(byte: int, kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)


def this_process() -> str:
    """``machine/process/run``: no two processes have the same, and a person can find the one that is meant.

    Whether it is still there is told by a lock under this name, never by the name itself.
    """
    host = re.sub(r"[^\w.-]", "_", os.uname().nodename)[:64] or "localhost"
    return f"{host}/{os.getpid()}/{_RUN}"
