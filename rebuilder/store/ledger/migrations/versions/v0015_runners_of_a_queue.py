"""Who answers the orders of a queue is found in indexes; neither orders nor runners are read for it."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make them."""
    op.create_index("runner_state", "runner", ["state", "id"])
    op.drop_index("run_order_runner", "run_order")
    op.create_index("run_order_runner", "run_order", ["runner_id", "queue", "answered"])
