"""A ledger in a database of PostgreSQL."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import psycopg
from psycopg.types.string import StrDumper
from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from rebuilder.errors import StoreError
from rebuilder.store.ledger.liveness import Liveness, SessionLiveness

_WRITER = "SELECT pg_advisory_xact_lock(1919247975, 0)"
"""The lock of whoever writes; the number is "reBg", as good as any to stay clear of other programs' locks."""
_WAIT = "Wait for the other process to finish, or end it."
_AGAIN = "Run the same command again when the server is back: what was finished is kept."
_COPY = ("cannot be written", "Name the server itself, not a read-only copy of it.")
_UNFIT = ("does not take a value", "A name or a text is longer than a database keeps: leave this artifact out.")
_SENTENCES = {
    "08": ("has lost its connection", _AGAIN),
    "22": _UNFIT,
    "0A000": _COPY,  # a copy refuses to begin, to lock, or to write, depending on what comes first
    "25006": _COPY,
    "54": _UNFIT,
    "55000": _COPY,
    "40P01": ("is locked by another process", _WAIT),
    "42501": ("cannot be used by this user", "Make this user the owner of the database."),
    "53100": ("is on a full disk", "Make room and run the same command again: what was finished is kept."),
    "53": ("has no room for another connection", "Raise max_connections of the server, or run fewer processes."),
    "55P03": ("is locked by another process", _WAIT),
    "57P": ("was shut down", _AGAIN),
    "58": ("cannot be read or written", "Check the server's disk and its log."),
    "XX": ("is damaged", "Check the server's disk and its log, or restore a copy."),
}
_REFUSED = (
    "cannot be opened",
    "Check the user name, the password and the name of the database; `createdb` makes one, and an empty one is enough.",
)
_SILENT = ("cannot be reached", "Start the server, or correct its address; then run the same command again.")
_SETTINGS = {
    "timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",  # a writer that hangs, or is gone with its machine, stops nobody
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}


class Postgresql:
    """Implements :class:`rebuilder.store.ledger.database.Dialect`.

    Args:
        url: Of the database; what it leaves out is taken from libpq's environment variables and files.
        busy_seconds: How long to wait for other processes that are writing.
    """

    def __init__(self, url: URL, busy_seconds: float) -> None:
        shown = {name: value for name, value in url.query.items() if name in {"host", "port"}}
        self.name = (
            URL.create("postgresql", url.username, None, url.host, url.port, url.database, shown)
            .render_as_string()
            .replace("%2F", "/")
        )
        settings = _SETTINGS | {"lock_timeout": f"{max(1, round(busy_seconds * 1000))}ms"}
        given = url.query.get("options", "")
        self._arguments = {
            "connect_timeout": 10,
            "application_name": "rebuilder",
            **url.query,
            "options": " ".join(
                [given if isinstance(given, str) else " ".join(given), *(f"-c {k}={v}" for k, v in settings.items())]
            ),
        }
        self._url = url
        self.engine = create_engine(url, connect_args=self._arguments, pool_pre_ping=True)
        self.reader: Engine = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        event.listen(self.engine, "connect", _without_nul)
        event.listen(self.engine, "begin", _begin)
        self.liveness: Liveness = SessionLiveness(self._session)

    def alone(self) -> AbstractContextManager[None]:
        """See :class:`Dialect`: whoever makes tables writes, and only one does that."""
        return contextlib.nullcontext()

    def prepare(self) -> None:
        """See :class:`Dialect`: other encodings cannot hold every text."""
        with self.engine.connect() as connection:
            encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
        if encoding != "UTF8":
            raise StoreError(
                f"The database {self.name} has the encoding {encoding}; a ledger needs UTF8.",
                hint="Make another one: createdb --encoding=UTF8 --template=template0 NAME",
            )

    def explain(self, error: exc.DBAPIError) -> tuple[str, str]:
        """See :class:`Dialect`."""
        words = " ".join(str(error.orig).split())[:400].rstrip(".")
        state = getattr(error.orig, "sqlstate", None)
        if state is None:
            # Without an answer there is no code. The server's refusals all say this word; only the advice hangs on it.
            what, hint = _REFUSED if "FATAL" in words and not error.connection_invalidated else _SILENT
        else:
            known = (_SENTENCES[state[:length]] for length in (5, 3, 2) if state[:length] in _SENTENCES)
            what, hint = next(known, ("cannot be used", "Check the database and the rights of this user."))
        return f"{what} ({words})", hint

    def _session(self) -> Connection:
        engine = create_engine(
            self._url, connect_args=self._arguments, poolclass=NullPool, isolation_level="AUTOCOMMIT"
        )
        return engine.connect()


class _WithoutNul(StrDumper):
    """PostgreSQL keeps no NUL in texts: another character that cannot be shown stands for it."""

    def dump(self, obj: str) -> bytes | bytearray | memoryview | None:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _without_nul(connection: psycopg.Connection[object], _record: object) -> None:
    connection.adapters.register_dumper(str, _WithoutNul)


def _begin(connection: Connection) -> None:
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql(_WRITER)
