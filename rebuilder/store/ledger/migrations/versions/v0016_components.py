"""What builds were made with, by package URL; what a key signed is found in an index."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Make them; what earlier reports were made with is filled in when their pages are written."""
    op.create_table(
        "component",
        sa.Column("purl", sa.String, primary_key=True),
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("reached", sa.String(64), primary_key=True),
    )
    op.create_index("component_sha256", "component", ["sha256"])
    op.create_index("component_reached", "component", ["reached"])
    op.create_index("signed_key", "signed", ["key_id"])
    op.create_index("artifact_purl", "artifact", ["purl"])
