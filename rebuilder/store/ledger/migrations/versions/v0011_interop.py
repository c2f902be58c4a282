"""Statements that are of no verification, and what was reproduced as in-toto link metadata."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make both tables; links of what was reproduced before are signed the next time something is published."""
    op.create_table(
        "issued",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("envelope", sa.Text, nullable=False),
        sa.Column("logged", sa.BigInteger),
        sqlite_autoincrement=True,
    )
    op.create_index("issued_logged", "issued", ["logged"])
    op.create_table(
        "rebuild_link",
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), primary_key=True),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
