"""Which running verifications still have a living process behind them, told by a PostgreSQL server."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, TextClause, exc, text

_KIND = 1919247976
"""First half of the lock's key, the verification's number being the second; see the lock of whoever writes."""
_CLAIM = text("SELECT pg_try_advisory_lock(:kind, :number)").bindparams(kind=_KIND)
_RELEASE = text("SELECT pg_advisory_unlock(:kind, :number)").bindparams(kind=_KIND)
_ALIVE = text(
    "SELECT clock_timestamp() - pg_postmaster_start_time() < make_interval(secs => :grace) OR EXISTS ("
    "SELECT 1 FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE datname = current_database() AND locktype = 'advisory' AND objsubid = 2 AND granted"
    " AND classid = CAST(:kind AS bigint) AND objid = CAST(:number AS bigint))"
).bindparams(kind=_KIND)
_BEAT = text("SELECT 1")


class SessionOwners:
    """Implements :class:`rebuilder.store.ledger.liveness.Owners` with locks that last as long as a connection.

    They are seen from every machine, and the server drops them when the connection ends. When it is the server that
    ended, all claims are gone at once; so a thread looks after the connection, makes a new one and takes the claims
    again, and for a while after a start of the server nobody is taken for dead.

    Args:
        connect: Opens a connection that commits each statement.
        beat_seconds: How often the connection is looked after.
    """

    grace_seconds: float = 60
    """How long after its start a server does not know yet who is alive."""

    def __init__(self, connect: Callable[[], Connection], *, beat_seconds: float = 5) -> None:
        self._connect = connect
        self._beat_seconds = beat_seconds
        self._connection: Connection | None = None
        self._mine: set[int] = set()
        self._held: set[int] = set()
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._keeper: threading.Thread | None = None

    def claim(self, number: int) -> None:
        """See :class:`Owners`."""
        with self._lock:
            self._take(number)
            self._mine.add(number)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="claims", daemon=True)
                self._keeper.start()

    def release(self, number: int) -> None:
        """See :class:`Owners`."""
        with self._lock:
            if number in self._mine:
                self._mine.remove(number)
                with contextlib.suppress(exc.DBAPIError):  # a lost connection has released it already
                    self._run(_RELEASE, number=number)
                self._held.discard(number)

    def alive(self, number: int) -> bool:
        """See :class:`Owners`."""
        with self._lock:
            return number in self._mine or bool(self._run(_ALIVE, number=number, grace=self.grace_seconds))

    def close(self) -> None:
        """See :class:`Owners`."""
        self._closed.set()
        with self._lock:
            self._mine.clear()
            self._drop()
        if self._keeper is not None:
            self._keeper.join()

    def beat(self) -> None:
        """Look after the connection now; without a server, the next beat tries again."""
        with self._lock, contextlib.suppress(exc.DBAPIError):
            if self._mine:
                self._run(_BEAT)
                for number in self._mine - self._held:  # the server may not have noticed yet that we were cut off
                    self._take(number)

    def _keep(self) -> None:
        while not self._closed.wait(self._beat_seconds):
            self.beat()

    def _take(self, number: int) -> None:
        if self._run(_CLAIM, number=number):
            self._held.add(number)

    def _run(self, statement: TextClause, **values: float) -> Any:
        if self._connection is not None:
            try:
                return self._connection.execute(statement, values).scalar()
            except exc.DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                self._drop()
        self._connection = self._connect()
        for lost in self._mine:
            self._take(lost)
        return self._connection.execute(statement, values).scalar()

    def _drop(self) -> None:
        self._held.clear()
        if self._connection is not None:
            with contextlib.suppress(exc.DBAPIError):
                self._connection.close()
            self._connection = None
