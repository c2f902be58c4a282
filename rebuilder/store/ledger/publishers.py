"""The first verified publisher of each project: what a later one is compared with."""

from __future__ import annotations

from pydantic import ValidationError
from sqlalchemy import Connection, select

from rebuilder.errors import StoreError
from rebuilder.model.provenance import RememberedPublisher
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.rows import insert_new


def read(connection: Connection, ecosystem: str, name: str) -> RememberedPublisher | None:
    """The publisher remembered for a project; None when no verified one was seen yet.

    Raises:
        StoreError: what is kept cannot be read.
    """
    column = tables.publisher.c
    query = select(tables.publisher).where(column.ecosystem == ecosystem, column.name == name)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    try:
        return RememberedPublisher.model_validate(dict(row))
    except ValidationError:
        raise StoreError(
            f"The publisher of {ecosystem}:{name} in the ledger cannot be read: it is damaged, or another version of "
            "rebuilder wrote it.",
            hint="Use that version, or restore a copy of the ledger.",
        ) from None


def add(connection: Connection, publisher: RememberedPublisher) -> RememberedPublisher:
    """Remember a publisher unless the project has one; give the one that is remembered now."""
    insert_new(connection, tables.publisher, publisher.model_dump() | {"forge": publisher.forge.value})
    kept = read(connection, publisher.ecosystem, publisher.name)
    assert kept is not None  # noqa: S101 - one transaction
    return kept
