"""Moving a whole ledger into another database, row by row."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Table, func, select, text

from rebuilder.errors import StoreError, UsageError
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.liveness import process_of

_BATCH = 100
"""Rows at a time; a row may be a report of a megabyte."""

Progress = Callable[[str, int, int], None]
"""Told the name of a table, how many of its rows are copied, and how many it has."""


def copy(source: Database, target: Database, progress: Progress, *, in_use: bool = False) -> dict[str, int]:
    """Copy everything; the target has all of it afterwards, or is as empty as it was.

    The source is read as it is at one moment. Numbers keep their meaning: the target counts on where the source is.

    Args:
        source: What is copied.
        target: What is to have it; it has to be empty.
        progress: Is told how far it is.
        in_use: What is running in the source may be: for a backup, in which it is work that somebody has to take up.

    Returns:
        How many rows each table has, in the source and in the target.

    Raises:
        UsageError: the target has rows already, or somebody is working on what is in the source.
        StoreError: one of them cannot be used, or not every row arrived.
    """
    copied: dict[str, int] = {}
    with source.reading() as old:
        if not in_use:
            _refuse_running(source, old)
        with target.writing() as new:
            _refuse_rows(target, new)
            for table in tables.metadata.sorted_tables:  # what is referred to comes first
                copied[table.name] = _copy_table(old, new, table, progress)
                _count_on(old, new, table)
            _compare(new, copied)
    return copied


def _refuse_running(source: Database, connection: Connection) -> None:
    verification = tables.verification.c
    running = connection.execute(select(verification.id).where(verification.state == "running")).scalars().all()
    alive = [number for number in running if source.liveness.alive(process_of(number))]
    if alive:
        raise UsageError(
            f"The ledger {source.name} is in use: {len(alive)} of its verifications are running.",
            hint="Stop the service and wait for running commands to end, then copy; a database server that was started "
            "just now needs a minute to know who is alive.",
        )


def _refuse_rows(target: Database, connection: Connection) -> None:
    for table in tables.metadata.sorted_tables:
        if connection.execute(select(text("1")).select_from(table).limit(1)).first() is not None:
            raise UsageError(
                f"The ledger {target.name} is not empty: its table {table.name!r} has rows.",
                hint="Copy into a new database.",
            )


def _copy_table(old: Connection, new: Connection, table: Table, progress: Progress) -> int:
    total = _rows(old, table)
    done = 0
    progress(table.name, done, total)
    query = select(table).order_by(*table.primary_key.columns)
    for batch in old.execute(query, execution_options={"yield_per": _BATCH}).mappings().partitions():
        new.execute(table.insert(), [dict(row) for row in batch])
        done += len(batch)
        progress(table.name, done, total)
    return done


def _compare(new: Connection, copied: dict[str, int]) -> None:
    for table in tables.metadata.sorted_tables:
        arrived = _rows(new, table)
        if arrived != copied[table.name]:
            raise StoreError(
                f"Of {copied[table.name]} rows of {table.name!r}, {arrived} arrived; nothing was kept.",
                hint="Run the same command again.",
            )


def _rows(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _count_on(old: Connection, new: Connection, table: Table) -> None:
    """Rows to come get numbers that were never used, also where the last rows are gone."""
    column = table.autoincrement_column
    if column is None:
        return
    last = max(old.execute(select(func.max(column))).scalar() or 0, _last_given(old, table.name, column.name) or 0)
    if new.dialect.name == "postgresql":
        statement = text("SELECT setval(pg_get_serial_sequence(:table, :column), :last, :given)")
        values = {"last": max(last, 1), "given": last > 0}
        new.execute(statement, {"table": table.name, "column": column.name, **values})
    elif table.dialect_options["sqlite"]["autoincrement"]:  # other tables count on from their last row
        new.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), {"table": table.name})
        statement = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)")
        new.execute(statement, {"table": table.name, "last": last})


def _last_given(connection: Connection, table: str, column: str) -> int | None:
    if connection.dialect.name == "postgresql":
        query = "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(:table, :column) AS regclass))"
        last = connection.execute(text(query), {"table": table, "column": column}).scalar()
    else:
        last = connection.execute(
            text("SELECT seq FROM sqlite_sequence WHERE name = :table"), {"table": table}
        ).scalar()
    return None if last is None else int(last)
