"""Which of several services does what only one should do."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from sqlalchemy import select

from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.storage.ledger import tables
from rebuilder.storage.ledger.database import Database
from rebuilder.storage.ledger.rows import insert

_KIND = "leader"
_TERM = timedelta(seconds=60)


def lead(database: Database, role: str, owner: str, now: datetime) -> bool:
    """Whether ``owner`` has the role from now on: for a minute, and again each time it asks before that is over.

    Nothing is written while more than half of the term is left.
    """
    cache = tables.cache.c
    key = sha256_hex(canonical_json(role))
    query = select(cache.value).where(cache.kind == _KIND, cache.key == key)
    with database.reading() as connection:
        leader, until = _read(connection.execute(query).scalar())
    if leader == owner and until is not None and now + _TERM / 2 < until <= now + _TERM:
        return True
    with database.writing() as connection:
        leader, until = _read(connection.execute(query).scalar())
        # An end that lies too far ahead is what a clock that was set back leaves: it binds nobody.
        if leader not in {owner, None} and until is not None and now < until <= now + 2 * _TERM:
            return False
        value = json.dumps({"owner": owner, "until": (now + _TERM).isoformat()})
        row = {"kind": _KIND, "key": key, "value": value, "created": now}
        statement = insert(connection.dialect.name, tables.cache).values(row)
        statement = statement.on_conflict_do_update(
            index_elements=["kind", "key"], set_={"value": value, "created": now}
        )
        connection.execute(statement)
    return True


def _read(value: str | None) -> tuple[str | None, datetime | None]:
    try:
        document = json.loads(value or "{}")
        return document["owner"], datetime.fromisoformat(document["until"])
    except (ValueError, KeyError, TypeError):
        return None, None
