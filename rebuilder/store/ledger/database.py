"""An open database: its version, its transactions, and its errors as sentences."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, exc, inspect, text

from rebuilder.errors import StoreError
from rebuilder.store.ledger.dialects import choose

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
"""All migrations this program knows, oldest first; kept here so that Alembic is loaded only to run one."""


class Database:
    """An open, up-to-date database.

    Args:
        where: A file, or a database URL (``sqlite:///…``, ``postgresql://…``).
        busy_seconds: How long to wait for other processes that are writing.

    Raises:
        StoreError: it cannot be opened, is damaged, or was made by a newer version of this program.
    """

    def __init__(self, where: str | Path, *, busy_seconds: float) -> None:
        try:
            self._dialect = choose(where, busy_seconds=busy_seconds)
        except OSError as error:
            raise _out_of_reach(str(where), error) from error
        self.name = self._dialect.name
        self.liveness = self._dialect.liveness
        self.engine = self._dialect.engine
        try:
            with self.explained():
                self._bring_up_to_date()
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

    def _bring_up_to_date(self) -> None:
        with self.engine.connect() as connection:
            if _version(connection) == REVISIONS[-1]:
                return
        with self._dialect.alone():
            with self.engine.connect() as connection:
                self._refuse_what_is_not_ours(connection)
            self._dialect.prepare()
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


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("path_separator", "os")
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")
