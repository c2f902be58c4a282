"""Which blobs the ledger refers to."""

from __future__ import annotations

import re
import zlib
from datetime import datetime

from sqlalchemy import Connection, delete, select

from rebuilder.store.ledger.database import Database, insert
from rebuilder.store.ledger.tables import blob_reference, cache, verification

_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


def refer(connection: Connection, number: int, document: bytes) -> None:
    """Keep what a report or an attempt of a verification refers to, in the transaction that keeps the document.

    Digests of anything else are among them: keeping too much is harmless.

    Args:
        connection: In a transaction that writes.
        number: Of the verification.
        document: JSON, zlib.
    """
    rows = [
        {"sha256": digest, "verification_id": number} for digest in sorted(_digests(zlib.decompress(document).decode()))
    ]
    if rows:
        connection.execute(insert(connection.dialect.name, blob_reference).on_conflict_do_nothing(), rows)


def references(database: Database) -> set[bytes]:
    """Every SHA-256 digest (32 bytes) that reports, attempts of running verifications, and cached values refer to."""
    with database.reading() as connection:
        found = set(connection.execute(select(blob_reference.c.sha256).distinct()).scalars())
        for value in connection.execution_options(yield_per=1000).execute(select(cache.c.value)).scalars():
            found |= _digests(value)
    return found


def forget(database: Database, before: datetime) -> int:
    """Delete what was cached before a moment, and what is referred to by what was abandoned before it.

    Until then another process may take up again what was abandoned.

    Args:
        database: Of the ledger.
        before: The moment.

    Returns:
        How many cached values there were.
    """
    abandoned = select(verification.c.id).where(verification.c.state == "abandoned", verification.c.finished < before)
    with database.writing() as connection:
        connection.execute(delete(blob_reference).where(blob_reference.c.verification_id.in_(abandoned)))
        return connection.execute(delete(cache).where(cache.c.created < before)).rowcount


def _digests(text: str) -> set[bytes]:
    return set(map(bytes.fromhex, _DIGEST.findall(text)))
