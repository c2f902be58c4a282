"""What the service needs: the queue, what watches found, alarms that are dealt with, figures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime(timezone=True)
_VERIFICATION = ("reason", "tier", "check", "watch", "report", "provenance", "published")
_ALARM = ("cause", "severity", "count", "last_seen", "acknowledged", "acknowledged_by", "note", "cleared")
_PAGES = ("digest-changed", "attestation-invalid", "publisher-changed", "expectation-broken", "store-corrupt")


def upgrade() -> None:
    """Make and widen tables."""
    with op.batch_alter_table("verification") as table:
        table.add_column(sa.Column("reason", sa.String(16)))
        table.add_column(sa.Column("tier", sa.String(16)))
        table.add_column(sa.Column("check", sa.String(16)))
        table.add_column(sa.Column("watch", sa.String))
        table.add_column(sa.Column("report", sa.LargeBinary))
        table.add_column(sa.Column("provenance", sa.String(16)))
        table.add_column(sa.Column("published", _TIME))
    verification = sa.table("verification", sa.column("finished", _TIME), sa.column("published", _TIME))
    op.execute(verification.update().values(published=verification.c.finished))
    op.create_index("verification_unpublished", "verification", ["state", "published", "id"])
    _alarms()
    _queue()
    op.create_table(
        "stage",
        sa.Column("verification_id", sa.Integer, sa.ForeignKey("verification.id"), primary_key=True),
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "tally",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("label", sa.String(64), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )


def _alarms() -> None:
    with op.batch_alter_table("alarm") as table:
        table.add_column(sa.Column("cause", sa.String, nullable=False, server_default=""))
        table.add_column(sa.Column("severity", sa.String(16), nullable=False, server_default="ticket"))
        table.add_column(sa.Column("count", sa.Integer, nullable=False, server_default="1"))
        table.add_column(sa.Column("last_seen", _TIME))
        table.add_column(sa.Column("acknowledged", _TIME))
        table.add_column(sa.Column("acknowledged_by", sa.String))
        table.add_column(sa.Column("note", sa.Text))
        table.add_column(sa.Column("cleared", _TIME))
    alarm = sa.table("alarm", sa.column("kind", sa.String), sa.column("severity", sa.String))
    op.execute(alarm.update().where(alarm.c.kind.in_(_PAGES)).values(severity="page"))
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("alarm_id", sa.Integer, sa.ForeignKey("alarm.id"), nullable=False),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("not_before", _TIME, nullable=False),
        sa.Column("trouble", sa.Text),
        sa.UniqueConstraint("alarm_id", "target", "event", "not_before", name="notification_once"),
    )
    op.create_index("notification_due", "notification", ["state", "not_before"])


def _queue() -> None:
    op.create_table(
        "task",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("ecosystem", sa.String, nullable=False),
        sa.Column("purl", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("filename", sa.String, nullable=False),
        sa.Column("sha256", sa.String(64)),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("tier", sa.String(16), nullable=False),
        sa.Column("check", sa.String(16), nullable=False),
        sa.Column("watch", sa.String),
        sa.Column("limits", sa.Text),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("not_before", _TIME, nullable=False),
        sa.Column("lease_owner", sa.String),
        sa.Column("lease_until", _TIME),
        sa.UniqueConstraint("purl", "filename", name="task_artifact"),
        sqlite_autoincrement=True,
    )
    op.create_index("task_next", "task", ["priority", "turn", "id"])
    op.create_index("task_lease", "task", ["lease_until"])
    op.create_table(
        "watch",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("checked", _TIME, nullable=False),
        sa.Column("projects", sa.Integer, nullable=False),
        sa.Column("queued", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("trouble", sa.Text),
        sa.Column("seen", sa.LargeBinary, nullable=False),
    )
