"""The first verified publisher of every project."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "publisher",
        sa.Column("ecosystem", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("forge", sa.String(32), nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("account", sa.Text),
        sa.Column("repository", sa.Text),
        sa.Column("repository_id", sa.Text),
        sa.Column("workflow", sa.Text),
        sa.Column("environment", sa.Text),
        sa.Column("purl", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uploaded", _TIME),
        sa.Column("remembered", _TIME, nullable=False),
    )
