"""Whether recorded metadata was written into a finished archive, so that counts can tell it from the build alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Widen the table; nothing was written before this."""
    # Not as a batch: that makes the table anew, and rows of others refer to it.
    op.add_column("verification", sa.Column("written", sa.Boolean, nullable=False, server_default=sa.false()))
