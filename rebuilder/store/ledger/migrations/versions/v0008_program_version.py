"""Which version of the program began a verification: what another one tried and compared is not gone on with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the column; of verifications from before it is not known."""
    op.add_column("verification", sa.Column("program_version", sa.String(64)))
