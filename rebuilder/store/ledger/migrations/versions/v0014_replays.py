"""Published reports that the service ran again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from rebuilder.store.ledger.tables import UtcDateTime

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Make the table; nothing was run again before."""
    op.create_table(
        "replay",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), nullable=False),
        sa.Column("replayed", UtcDateTime, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("replay_verification", "replay", ["verification_id"])
