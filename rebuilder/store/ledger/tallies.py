"""Things that are only counted, such as cache hits."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import insert


def add_tallies(connection: Connection, counted: Mapping[tuple[str, str], int]) -> None:
    """Add to what was counted before, by name and label."""
    for (name, label), value in counted.items():
        if not value:
            continue
        row = {"name": name, "label": label, "value": value}
        statement = insert(connection.dialect.name, tables.tally).values(row)
        total = tables.tally.c.value + statement.excluded.value
        connection.execute(statement.on_conflict_do_update(index_elements=["name", "label"], set_={"value": total}))
