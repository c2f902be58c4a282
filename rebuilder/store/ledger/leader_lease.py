"""Which of several services does what only one should do."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import RowMapping, delete, select

from rebuilder.store.ledger.database import Database, insert
from rebuilder.store.ledger.tables import leader

_TERM = timedelta(seconds=60)


def lead(database: Database, role: str, owner: str, now: datetime) -> bool:
    """Whether ``owner`` has the role from now on: for a minute, and again each time it asks before that is over.

    The term of a leader whose process has ended is not waited for. Nothing is written while more than half of the term
    is left, nor while another one leads.

    Args:
        database: Of the ledger.
        role: What only one does.
        owner: Who asks; alive as long as this ledger is open.
        now: The time.
    """
    query = select(leader).where(leader.c.role == role)

    def led_by_another(row: RowMapping | None) -> bool:
        # An end that lies too far ahead is what a clock that was set back leaves: it binds nobody.
        lasts = row is not None and row["owner"] != owner and now < row["until"] <= now + 2 * _TERM
        return row is not None and lasts and database.liveness.alive(row["owner"])

    with database.reading() as connection:
        row = connection.execute(query).mappings().first()
    if row is not None and row["owner"] == owner and now + _TERM / 2 < row["until"] <= now + _TERM:
        return True
    if led_by_another(row):
        return False
    with database.writing() as connection:
        if led_by_another(connection.execute(query).mappings().first()):
            return False
        database.liveness.claim(owner)
        columns = {"owner": owner, "until": now + _TERM}
        statement = insert(connection.dialect.name, leader).values(role=role, **columns)
        connection.execute(statement.on_conflict_do_update(index_elements=["role"], set_=columns))
    return True


def resign(database: Database, role: str, owner: str) -> None:
    """Give the role up, if ``owner`` has it: who asks next has it at once."""
    with database.writing() as connection:
        connection.execute(delete(leader).where(leader.c.role == role, leader.c.owner == owner))
