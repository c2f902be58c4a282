"""Who leads, and which blobs verifications refer to, in tables of their own; the cache only holds what is cached."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_TIME = sa.DateTime(timezone=True)
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_BATCH = 500


def upgrade() -> None:
    """Make the tables and fill them from what is there."""
    op.create_table(
        "leader",
        sa.Column("role", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("until", _TIME, nullable=False),
    )
    op.create_table(
        "blob_reference",
        sa.Column("sha256", sa.LargeBinary(32), primary_key=True),
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), primary_key=True),
    )
    op.create_index("blob_reference_verification", "blob_reference", ["verification_id"])
    connection = op.get_bind()
    _fill(connection)
    # Who led before is no more; public keys are read from files beside the signing key, and nothing has read these.
    cache = sa.table("cache", sa.column("kind"))
    op.execute(cache.delete().where(cache.c.kind.in_(("leader", "public-key"))))


def _fill(connection: sa.Connection) -> None:
    """Reports, and attempts of what is not finished; what cannot be read is told when somebody asks for it."""
    reference = sa.table("blob_reference", *map(sa.column, ("sha256", "verification_id")))
    verification = sa.table("verification", *map(sa.column, ("id", "state", "report")))
    newest = connection.execute(sa.select(sa.func.max(verification.c.id))).scalar() or 0
    for first in range(0, newest + 1, _BATCH):
        found: set[tuple[bytes, int]] = set()
        for number, data in _documents(connection, first):
            try:
                found.update((bytes.fromhex(each.decode()), number) for each in _DIGEST.findall(zlib.decompress(data)))
            except zlib.error:
                continue
        if found:
            rows = [{"sha256": digest, "verification_id": number} for digest, number in sorted(found)]
            connection.execute(reference.insert(), rows)


def _documents(connection: sa.Connection, first: int) -> Iterator[tuple[int, bytes]]:
    signed = sa.table("signed", *map(sa.column, ("verification_id", "report")))
    verification = sa.table("verification", *map(sa.column, ("id", "state", "report")))
    attempt = sa.table("attempt", *map(sa.column, ("verification_id", "document")))
    going = sa.select(verification.c.id).where(verification.c.state.in_(("running", "examined")))
    last = first + _BATCH - 1
    queries = (
        sa.select(signed.c.verification_id, signed.c.report).where(signed.c.verification_id.between(first, last)),
        sa.select(verification.c.id, verification.c.report).where(
            verification.c.id.between(first, last), verification.c.report.is_not(None)
        ),
        sa.select(attempt.c.verification_id, attempt.c.document).where(
            attempt.c.verification_id.between(first, last), attempt.c.verification_id.in_(going)
        ),
    )
    for query in queries:
        for row in connection.execute(query):
            yield row[0], row[1]
