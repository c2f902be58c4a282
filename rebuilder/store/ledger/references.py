"""Which blobs the ledger refers to."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import delete, select

from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_LASTING = "public-key"
"""Kind of cache entries that are no cache: reports outlive the keys that signed them."""


def references(database: Database) -> set[bytes]:
    """Every SHA-256 digest (32 bytes) that stands in a report, in an attempt of a running verification, or in a cache.

    Digests of anything else are among them: keeping too much is harmless.
    """
    found: set[bytes] = set()
    for text in _texts(database):
        found.update(bytes.fromhex(digest.decode()) for digest in _DIGEST.findall(text))
    return found


def forget(database: Database, before: datetime) -> int:
    """Delete cache entries from before a moment; give how many there were."""
    cache = tables.cache
    with database.writing() as connection:
        return connection.execute(delete(cache).where(cache.c.created < before, cache.c.kind != _LASTING)).rowcount


def _texts(database: Database) -> Iterator[bytes]:
    verification, attempt = tables.verification, tables.attempt
    going = verification.c.state.in_(("running", "examined"))
    packed = (
        select(tables.signed.c.report),
        select(verification.c.report).where(verification.c.report.is_not(None)),
        select(attempt.c.document).join(verification).where(going),
    )
    with database.reading() as connection:
        for query in packed:
            for data in connection.execution_options(yield_per=100).execute(query).scalars():
                yield _unpacked(data)
        for value in connection.execution_options(yield_per=1000).execute(select(tables.cache.c.value)).scalars():
            yield value.encode()


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return b""  # what is damaged is told when it is read; it must not stop the tidying
