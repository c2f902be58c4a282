"""The first tables: artifacts, alarms, verifications, attempts, signed reports, cache."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_DIGEST = sa.String(64)


def upgrade() -> None:
    """Make all tables."""
    _artifacts()
    _verifications()
    op.create_table(
        "cache",
        sa.Column("kind", sa.String(64), primary_key=True),
        sa.Column("key", _DIGEST, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("created", _TIME, nullable=False),
    )


def _artifacts() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ecosystem", sa.String, nullable=False),
        sa.Column("purl", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("sha256", _DIGEST, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger),
        sa.Column("uploaded", _TIME),
        sa.Column("first_seen", _TIME, nullable=False),
        sa.UniqueConstraint("ecosystem", "purl", "filename", "sha256", name="artifact_bytes"),
    )
    op.create_index("artifact_project", "artifact", ["ecosystem", "name"])
    op.create_index("artifact_sha256", "artifact", ["sha256"])
    op.create_table(
        "alarm",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", _DIGEST, nullable=False, unique=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("purl", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("sentence", sa.Text, nullable=False),
        sa.Column("raised", _TIME, nullable=False),
    )
    op.create_index("alarm_purl", "alarm", ["purl"])


def _verifications() -> None:
    op.create_table(
        "verification",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("artifact_id", sa.Integer, sa.ForeignKey("artifact.id"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("finished", _TIME),
        sa.Column("verdict", sa.String(32)),
        sa.Column("kind", sa.String(32)),
        sa.Column("sentence", sa.Text),
        sqlite_autoincrement=True,
    )
    op.create_index("verification_artifact", "verification", ["artifact_id", "state", "id"])
    op.create_index("verification_finished", "verification", ["state", "finished"])
    op.create_table(
        "attempt",
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), primary_key=True),
        sa.Column("ordinal", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("hypothesis", sa.String, nullable=False),
        sa.Column("definition_sha256", _DIGEST, nullable=False),
        sa.Column("repeat", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("limit_reached", sa.String(32)),
        sa.Column("exit_code", sa.Integer),
        sa.Column("level", sa.String(32)),
        sa.Column("rebuilt_sha256", _DIGEST),
        sa.Column("log_sha256", _DIGEST, nullable=False),
        sa.Column("wall_seconds", sa.Float, nullable=False),
        sa.Column("cpu_seconds", sa.Float, nullable=False),
        sa.Column("peak_memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("attempt_definition", "attempt", ["definition_sha256"])
    op.create_table(
        "signed",
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), primary_key=True),
        sa.Column("report", sa.LargeBinary, nullable=False),
        sa.Column("vsa", sa.Text, nullable=False),
        sa.Column("provenance", sa.Text),
        sa.Column("key_id", _DIGEST, nullable=False),
    )
