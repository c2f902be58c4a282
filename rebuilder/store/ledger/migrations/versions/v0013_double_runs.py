"""Whether each build of a task is to be made by two runners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """What is queued was not asked to."""
    op.add_column("task", sa.Column("double_runs", sa.Boolean, nullable=False, server_default=sa.false()))
