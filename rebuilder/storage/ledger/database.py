"""Opening the database: its settings, its version, and its errors as sentences."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, text
from sqlalchemy.engine import URL, make_url

from rebuilder.errors import StoreError
from rebuilder.storage.ledger.owners import Owners

REVISIONS = ("0001", "0002", "0003")
"""All migrations this program knows, oldest first; kept here so that Alembic is loaded only to run one."""

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


class Database:
    """An open, up-to-date database.

    Args:
        where: A file, or a database URL.
        busy_seconds: How long to wait for other processes that are writing.

    Raises:
        StoreError: it cannot be opened, is damaged, or was made by a newer version of this program.
    """

    def __init__(self, where: str | Path, *, busy_seconds: float) -> None:
        self._url = _url(where)
        self.name = self._url.database or "in memory"
        with self.explained():
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            self.owners = Owners(self._file.with_name(self._file.name + ".lock") if self._file else None)
        self.engine = _engine(self._url, busy_seconds)
        try:
            with self.explained():
                self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    @property
    def _file(self) -> Path | None:
        database = self._url.database
        return None if database in {None, "", ":memory:"} else Path(str(database))

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: all of it happens, or nothing."""
        with self.explained(), self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self.explained(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of the database and of the file system become sentences."""
        try:
            yield
        except exc.DBAPIError as error:
            raise self._sentence(error) from error
        except OSError as error:
            raise StoreError(
                f"The ledger {self.name} cannot be used: {error.strerror or error}.",
                hint="Make its directory exist and writable for this user, or name another store.",
            ) from error

    def close(self) -> None:
        """Close all connections and give up what this process was working on."""
        self.engine.dispose()
        self.owners.close()

    def _sentence(self, error: exc.DBAPIError) -> StoreError:
        code = _code(error)
        what, hint = _SENTENCES.get(code & 0xFF, ("cannot be used", "Check the file and its permissions."))
        return StoreError(f"The ledger {self.name} {what} ({error.orig}).", hint=hint)

    def _bring_up_to_date(self) -> None:
        with self.engine.connect() as connection:
            if _version(connection) == REVISIONS[-1]:
                return
        with self.owners.schema_lock():  # changing to WAL, below, fails at once when another process is at it
            with self.engine.connect() as connection:
                self._refuse_what_is_not_ours(connection)
            with contextlib.closing(self.engine.raw_connection()) as raw:
                raw.cursor().execute("PRAGMA journal_mode = WAL").close()  # kept in the file
            with self.engine.execution_options(writes=True).begin() as connection:
                if _version(connection) != REVISIONS[-1]:
                    _migrate(connection)

    def _refuse_what_is_not_ours(self, connection: Connection) -> None:
        tables = inspect(connection).get_table_names()
        if "alembic_version" not in tables:
            if tables:
                raise StoreError(
                    f"The database {self.name} belongs to another program (it has a table {tables[0]!r}).",
                    hint="Name another store.",
                )
            return
        version = _version(connection)
        if version is not None and version not in REVISIONS:
            raise StoreError(
                f"The ledger {self.name} was made by a newer version of rebuilder (its tables are version {version}).",
                hint="Use that version, or name another store.",
            )


def _url(where: str | Path) -> URL:
    if isinstance(where, str) and "://" in where:
        try:
            url = make_url(where)
        except exc.ArgumentError:
            raise StoreError(f"{where!r} is not a database URL.", hint="Write sqlite:////path/to/ledger.") from None
    else:
        url = URL.create("sqlite", database=str(where))
    if url.get_backend_name() != "sqlite":
        raise StoreError(f"A ledger in {url.get_backend_name()} is not supported yet.", hint="Use a file (SQLite).")
    return url


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


def _version(connection: Connection) -> str | None:
    try:
        version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    except exc.OperationalError as error:
        if _code(error) == sqlite3.SQLITE_ERROR:  # no such table
            return None
        raise
    return version


def _code(error: exc.DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", 0) or 0


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
