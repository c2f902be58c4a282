"""The two digests that an alarm about bytes is about, and the diagnosed cause of a verdict."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_COLUMNS = ("known_sha256", "found_sha256")


def upgrade() -> None:
    """Widen the tables."""
    with op.batch_alter_table("alarm") as table:
        for name in _COLUMNS:
            table.add_column(sa.Column(name, sa.String(64)))
    with op.batch_alter_table("verification") as table:
        table.add_column(sa.Column("cause", sa.String(64)))
