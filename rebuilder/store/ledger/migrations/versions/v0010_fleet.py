"""Runners of a fleet, and the runs that were asked of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from rebuilder.store.ledger.tables import UtcDateTime

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make both tables; a ledger from before has no runners."""
    op.create_table(
        "runner",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False, unique=True),
        sa.Column("public_key", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("enrolled", UtcDateTime, nullable=False),
        sa.Column("changed", UtcDateTime, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("seen", UtcDateTime),
    )
    op.create_table(
        "run_order",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("nonce", sa.String(32), nullable=False, unique=True),
        sa.Column("definition_sha256", sa.String(64), nullable=False),
        sa.Column("queue", sa.String(64), nullable=False),
        sa.Column("asked_of", sa.String(64), sa.ForeignKey("runner.id")),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("ordered", UtcDateTime, nullable=False),
        sa.Column("runner_id", sa.String(64), sa.ForeignKey("runner.id")),
        sa.Column("answered", UtcDateTime),
        sa.Column("log_sha256", sa.String(64)),
        sa.Column("envelope", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("run_order_definition", "run_order", ["definition_sha256"])
    op.create_index("run_order_runner", "run_order", ["runner_id", "answered"])
