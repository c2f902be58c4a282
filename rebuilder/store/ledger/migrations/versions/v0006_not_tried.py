"""Hypotheses that could not be tried: recorded, so that a verification goes on in another process as it would have."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "not_tried",
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
