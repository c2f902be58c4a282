"""When each watch looks next, and how many bytes a verification fetched and wrote."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from rebuilder.store.ledger.tables import UtcDateTime

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Make room for both; nobody knows them of what was done before."""
    op.add_column("watch", sa.Column("planned", UtcDateTime))
    op.add_column("verification", sa.Column("fetched_bytes", sa.BigInteger))
    op.add_column("verification", sa.Column("written_bytes", sa.BigInteger))
