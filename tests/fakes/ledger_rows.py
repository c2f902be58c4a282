"""Rows for every column of every table, whatever the tables are: for tests that move or widen them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    select,
)
from sqlalchemy.types import TypeDecorator

_WHEN = datetime(2026, 2, 28, 23, 59, 59, 123456, tzinfo=UTC)


def fill(connection: Connection, metadata: MetaData, count: int) -> None:
    """Insert ``count`` rows into each table; what refers to others refers to rows with the same position."""
    for table in metadata.sorted_tables:
        if table.name != "alembic_version":
            connection.execute(table.insert(), [_row(table, number) for number in range(1, count + 1)])


def content(connection: Connection, metadata: MetaData) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, in the order of their keys."""
    return {
        table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
        for table in metadata.sorted_tables
        if table.name != "alembic_version"
    }


def _row(table: Table, number: int) -> dict[str, Any]:
    return {column.name: _value(column, number) for column in table.columns}


def _value(column: Column[Any], number: int) -> Any:
    if column.nullable and number % 3 == 0:
        return None
    when = _WHEN + timedelta(hours=number)
    name = next((each.column.name for each in column.foreign_keys), column.name)
    text = f"{number} {name} Ü\N{SNOWMAN}'%s:x\\"
    values: dict[type[Any], Any] = {  # the first that fits
        TypeDecorator: when,
        DateTime: when.replace(tzinfo=None),  # as SQLite gives it
        Boolean: number % 2 == 0,
        Float: number / 7,
        BigInteger: number + (1 << 40),
        Integer: number,
        LargeBinary: bytes(range(256)) * (number % 10),
        String: text[: getattr(column.type, "length", None)],
    }
    return next(value for kind, value in values.items() if isinstance(column.type, kind))
