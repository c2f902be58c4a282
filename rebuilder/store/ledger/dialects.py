"""What the databases a ledger can be kept in have in common, and which one an address means."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, Table, exc
from sqlalchemy.engine import URL, make_url

from rebuilder.errors import StoreError
from rebuilder.store.ledger.liveness import Liveness

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
        StoreError: it is no address, or one of a database that is not supported.
        OSError: the directory of a file cannot be used.
    """
    url = _url(where)
    if url.get_backend_name() == "sqlite":
        from rebuilder.store.ledger.sqlite import Sqlite

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
        raise StoreError(f"The address of the ledger ({kind}://…) is not a database URL.", hint=_EXAMPLES) from None
    if url.drivername == "sqlite":
        return url
    if url.drivername not in {"postgresql", "postgresql+psycopg", "postgres"}:
        raise StoreError(f"A ledger in {kind} is not supported.", hint=_EXAMPLES)
    if "@" in f"{url.host}{url.database}":  # the rest of a password would be shown as the host
        raise StoreError(
            "The address of the ledger has more than one @.", hint="Write %40 for an @ in the user name or password."
        )
    return url.set(drivername="postgresql+psycopg")
