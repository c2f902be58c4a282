"""A ledger's database: what all kinds have in common, SQLite, versions, transactions, and errors as sentences."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Executable, RowMapping, Table, create_engine, event, exc, inspect, text
from sqlalchemy.engine import URL, make_url

from rebuilder.errors import StoreError, UsageError
from rebuilder.store.ledger.liveness import FileLiveness, Liveness
from rebuilder.store.ledger.tables import metadata

_LOG = logging.getLogger("rebuilder.ledger")
_EXAMPLES = "Write sqlite:////path/to/ledger or postgresql://user@host/database."


class Dialect(Protocol):
    """One kind of database, not connected yet.

    The engine knows the execution option ``writes``: a transaction that has it waits until it is the only one that
    writes to the ledger, so whatever it reads stays true until it ends. That is how SQLite works anyway; having it
    everywhere means that no method of the ledger needs locks of its own.
    """

    name: str
    """The address in messages; never with a password."""
    engine: Engine
    """Used by transactions that write."""
    reader: Engine
    """Used by transactions that see one state of the database and change nothing."""
    liveness: Liveness

    def alone(self) -> AbstractContextManager[None]:
        """Only one process at a time is in here, with tables to be made or changed."""

    def prepare(self) -> None:
        """What is to be done before tables are made or changed.

        Raises:
            StoreError: this database is not fit for a ledger.
        """

    def explain(self, error: exc.DBAPIError) -> tuple[str, str]:
        """An error of the driver: the rest of a sentence that begins with the ledger, and what to do."""


def choose(where: str | Path, *, busy_seconds: float) -> Dialect:
    """What an address means; nothing is opened yet.

    Args:
        where: A file, or a database URL.
        busy_seconds: How long to wait for other processes that are writing.

    Raises:
        UsageError: it is no address, or one of a database that is not supported.
        OSError: the directory of a file cannot be used.
    """
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        return Sqlite(url, busy_seconds)
    from rebuilder.store.ledger.postgresql import Postgresql

    return Postgresql(url, busy_seconds)


def insert(dialect: str, table: Table) -> Any:
    """An insert that can say what to do about a row that exists: SQL has no common form for that."""
    return importlib.import_module(f"sqlalchemy.dialects.{dialect}").insert(table)


def _url(where: str | Path) -> URL:
    if not isinstance(where, str) or "://" not in where:
        return URL.create("sqlite", database=str(where))
    kind = where.partition("://")[0]
    try:
        url = make_url(where)
    except (exc.ArgumentError, ValueError):  # not repeated: there may be a password in it
        raise UsageError(f"The address of the ledger ({kind}://…) is not a database URL.", hint=_EXAMPLES) from None
    if url.drivername == "sqlite":
        return url
    if url.drivername not in {"postgresql", "postgresql+psycopg", "postgres"}:
        raise UsageError(f"A ledger in {kind} is not supported.", hint=_EXAMPLES)
    if "@" in f"{url.host}{url.database}":  # the rest of a password would be shown as the host
        raise UsageError(
            "The address of the ledger has more than one @.", hint="Write %40 for an @ in the user name or password."
        )
    return url.set(drivername="postgresql+psycopg")


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
    """Implements :class:`rebuilder.store.ledger.database.Dialect`.

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


REVISIONS = tuple(f"{number:04}" for number in range(5, 18))
"""All migrations this program knows, oldest first; kept here so that Alembic is loaded only to run one."""


_WITH_ENGINES = weakref.WeakSet["Database"]()


def _disconnect() -> None:
    """No process inherits a connection: two would speak over it at once. It is made again when it is needed."""
    for each in tuple(_WITH_ENGINES):
        each.engine.dispose()


os.register_at_fork(before=_disconnect)


class Database:
    """An open, up-to-date database.

    Args:
        where: A file, or a database URL (``sqlite:///…``, ``postgresql://…``).
        busy_seconds: How long to wait for other processes that are writing.
        upgrade: Whether one of an older version is brought up to date; otherwise it is refused.

    Raises:
        StoreError: it cannot be opened, is damaged, or was made by a newer version of this program.
        UsageError: the address cannot be meant, or it is of an older version and is to stay so.
    """

    def __init__(self, where: str | Path, *, busy_seconds: float, upgrade: bool = True) -> None:
        try:
            self._dialect = choose(where, busy_seconds=busy_seconds)
        except OSError as error:
            raise _out_of_reach(str(where), error) from error
        self.name = self._dialect.name
        self.liveness = self._dialect.liveness
        self.engine = self._dialect.engine
        _WITH_ENGINES.add(self)
        try:
            with self.explained():
                self._bring_up_to_date(upgrade=upgrade)
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes, the only one at that time: all of it happens, or nothing."""
        with self.explained(), self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database."""
        with self.explained(), self._dialect.reader.connect() as connection:
            yield connection

    def rows(self, query: Executable) -> Sequence[Any]:
        """What one query finds."""
        with self.reading() as connection:
            return connection.execute(query).all()

    def mappings(self, query: Executable) -> Sequence[RowMapping]:
        """The same, each by the names of its columns."""
        with self.reading() as connection:
            return connection.execute(query).mappings().all()

    def first(self, query: Executable) -> RowMapping | None:
        """The first of them; None where there is none."""
        with self.reading() as connection:
            return connection.execute(query).mappings().first()

    def values(self, query: Executable) -> Sequence[Any]:
        """What one query for one column finds."""
        with self.reading() as connection:
            return connection.execute(query).scalars().all()

    def value(self, query: Executable) -> Any:
        """The first of them; None where there is none."""
        with self.reading() as connection:
            return connection.execute(query).scalar()

    def run(self, statement: Executable) -> None:
        """One statement that writes."""
        with self.writing() as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of the database and of the file system become sentences."""
        try:
            yield
        except exc.DBAPIError as error:
            what, hint = self._dialect.explain(error)
            raise StoreError(f"The ledger {self.name} {what}.", hint=hint) from error
        except OSError as error:
            raise _out_of_reach(self.name, error) from error

    def close(self) -> None:
        """Close all connections and give up what this process was working on."""
        self.engine.dispose()
        self.liveness.close()

    def _bring_up_to_date(self, *, upgrade: bool) -> None:
        with self.engine.connect() as connection:
            before = _version(connection)
            if before == REVISIONS[-1]:
                return
        with self._dialect.alone():
            with self.engine.connect() as connection:
                self._refuse_what_is_not_ours(connection)
            if before is not None and not upgrade:
                raise UsageError(
                    f"The ledger {self.name} is of an older version of rebuilder (its tables are version {before}), "
                    "and this one would change it.",
                    hint="Use the version that wrote it; docs/operate/upgrade.md says what to do without it.",
                )
            self._dialect.prepare()
            with self.engine.execution_options(writes=True).begin() as connection:
                if (found := _version(connection)) != REVISIONS[-1]:
                    _migrate(connection, new=found is None)
        if before is not None:
            _LOG.info("The ledger %s was brought from version %s to %s.", self.name, before, REVISIONS[-1])

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
        if version is not None and version < REVISIONS[0]:
            raise StoreError(
                f"The ledger {self.name} is too old to be brought up to date (its tables are version {version}, and "
                f"the oldest this rebuilder knows are version {REVISIONS[0]}).",
                hint="Name another store, and verify again.",
            )
        if version is not None and version not in REVISIONS:
            raise StoreError(
                f"The ledger {self.name} was made by a newer version of rebuilder (its tables are version {version}).",
                hint="Use that version, or restore the backup from before the upgrade into another store.",
            )


def _out_of_reach(name: str, error: OSError) -> StoreError:
    return StoreError(
        f"The ledger {name} cannot be used: {error.strerror or error}.",
        hint="Make its directory exist and writable for this user, or name another store.",
    )


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    version: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return version


def _migrate(connection: Connection, *, new: bool) -> None:
    """Bring the tables up to date; those of a ``new`` ledger are made as they are today."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    if new:
        metadata.create_all(connection)
        command.stamp(config, "head")
    else:
        command.upgrade(config, "head")
