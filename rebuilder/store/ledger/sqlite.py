"""A ledger in a file of SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL

from rebuilder.store.ledger.liveness import FileLiveness, Liveness

_REPAIR = "Move it aside and run again, or restore a copy; blobs and published pages are not affected."
_SENTENCES = {
    sqlite3.SQLITE_BUSY: ("is locked by another process", "Wait for the other process to finish, or end it."),
    sqlite3.SQLITE_LOCKED: ("is locked", "Wait for the other process to finish, or end it."),
    sqlite3.SQLITE_READONLY: ("cannot be written", "Make the file and its directory writable for this user."),
    sqlite3.SQLITE_PERM: ("cannot be used", "Make the file and its directory writable for this user."),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Make its directory exist and writable for this user."),
    sqlite3.SQLITE_FULL: ("is on a full disk", "Make room and run the same command again: what was finished is kept."),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk: it may be full or failing."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _REPAIR),
    sqlite3.SQLITE_NOTADB: ("is not a database", _REPAIR),
}


class Sqlite:
    """Implements :class:`rebuilder.store.ledger.dialects.Dialect`.

    Args:
        url: Of the file; without a path it is in memory.
        busy_seconds: How long to wait for other processes that are writing.

    Raises:
        OSError: the directory cannot be used.
    """

    def __init__(self, url: URL, busy_seconds: float) -> None:
        self.name = url.database or "in memory"
        file = None if url.database in {None, "", ":memory:"} else Path(str(url.database))
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._locks = FileLiveness(file.with_name(file.name + ".lock") if file else None)
        self.liveness: Liveness = self._locks
        self.engine = self.reader = _engine(url, busy_seconds)

    def alone(self) -> AbstractContextManager[None]:
        """See :class:`Dialect`: changing to WAL fails at once when another process is at it."""
        return self._locks.schema_lock()

    def prepare(self) -> None:
        """See :class:`Dialect`: the journal mode is kept in the file."""
        with contextlib.closing(self.engine.raw_connection()) as raw:
            raw.cursor().execute("PRAGMA journal_mode = WAL").close()

    def explain(self, error: exc.DBAPIError) -> tuple[str, str]:
        """See :class:`Dialect`."""
        code = getattr(error.orig, "sqlite_errorcode", 0) or 0
        what, hint = _SENTENCES.get(code & 0xFF, ("cannot be used", "Check the file and its permissions."))
        return f"{what} ({error.orig})", hint


def _engine(url: URL, busy_seconds: float) -> Engine:
    engine = create_engine(url, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def _settings(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin below, not behind our back in the driver
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = NORMAL")  # a kill loses nothing; a power cut may lose the last moments

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A transaction that reads first and writes later cannot wait for another writer; one that says so can.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
