"""Which of several services does what only one should do."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select

from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.rows import insert

_KIND = "leader"
_TERM = timedelta(seconds=60)


def lead(
    database: Database, role: str, owner: str, now: datetime, gone: Callable[[str], bool] = lambda _: False
) -> bool:
    """Whether ``owner`` has the role from now on: for a minute, and again each time it asks before that is over.

    Nothing is written while more than half of the term is left, nor while another one leads.

    Args:
        database: Of the ledger.
        role: What only one does.
        owner: Who asks.
        now: The time.
        gone: Whether an owner is certainly no more: its term is not waited for.
    """
    query = select(tables.cache.c.value).where(*_row(role))

    def led_by_another(leader: str | None, until: datetime | None) -> bool:
        # An end that lies too far ahead is what a clock that was set back leaves: it binds nobody.
        lasts = until is not None and now < until <= now + 2 * _TERM
        return leader is not None and leader != owner and lasts and not gone(leader)

    with database.reading() as connection:
        leader, until = _read(connection.execute(query).scalar())
    if leader == owner and until is not None and now + _TERM / 2 < until <= now + _TERM:
        return True
    if led_by_another(leader, until):
        return False
    with database.writing() as connection:
        if led_by_another(*_read(connection.execute(query).scalar())):
            return False
        value = json.dumps({"owner": owner, "until": (now + _TERM).isoformat()})
        row = {"kind": _KIND, "key": _key(role), "value": value, "created": now}
        statement = insert(connection.dialect.name, tables.cache).values(row)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "key"], set_={"value": value, "created": now}
        )
        connection.execute(statement)
    return True


def resign(database: Database, role: str, owner: str) -> None:
    """Give the role up, if ``owner`` has it: who asks next has it at once."""
    with database.writing() as connection:
        leader, _ = _read(connection.execute(select(tables.cache.c.value).where(*_row(role))).scalar())
        if leader == owner:
            connection.execute(delete(tables.cache).where(*_row(role)))


def _key(role: str) -> str:
    return sha256_hex(canonical_json(role))


def _row(role: str) -> tuple[ColumnElement[bool], ...]:
    return tables.cache.c.kind == _KIND, tables.cache.c.key == _key(role)


def _read(value: str | None) -> tuple[str | None, datetime | None]:
    try:
        document = json.loads(value or "{}")
        return document["owner"], datetime.fromisoformat(document["until"])
    except (ValueError, KeyError, TypeError):
        return None, None
