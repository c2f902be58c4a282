"""The append-only log: its entries, the tiles of its tree, and where each signed statement stands in it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables; what was signed before is logged the next time something is published."""
    op.create_table(
        "log_entry",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id")),
        sa.Column("entry", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "log_tile",
        sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hashes", sa.LargeBinary, nullable=False),
    )
    op.add_column("signed", sa.Column("logged", sa.BigInteger))
    op.create_index("signed_logged", "signed", ["logged"])
