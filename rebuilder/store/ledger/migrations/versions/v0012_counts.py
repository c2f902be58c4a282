"""A queue of a million: tasks that rest are told apart, all are counted as they change, and so are runs of runners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

_NEW = {
    "task_oldest": ("reason", "not_before"),
    "task_turn": ("priority", "watch", "turn"),
    "task_project": ("ecosystem", "name"),
    "task_sha256": ("sha256",),
}


def upgrade() -> None:
    """Let what waits for its time rest, and count what is there."""
    op.add_column("task", sa.Column("ready", sa.Boolean, nullable=False, server_default=sa.true()))
    op.drop_index("task_next", "task")
    for name, columns in _NEW.items():
        op.create_index(name, "task", list(columns))
    for name, columns, sqlite, postgresql in (
        ("task_next", ("priority", "turn", "id"), "ready = 1", "ready"),
        ("task_resting", ("not_before",), "ready = 0", "NOT ready"),
    ):
        where = sa.text(postgresql)
        op.create_index(name, "task", list(columns), sqlite_where=sa.text(sqlite), postgresql_where=where)
    op.create_table(
        "task_count",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.add_column("runner", sa.Column("runs", sa.BigInteger, nullable=False, server_default="0"))
    _count()


def _rest() -> None:
    """What was put off; whose time has come is found ready by the next claim."""
    task = sa.table("task", *map(sa.column, ("ready", "not_before", "created")))
    op.execute(task.update().where(task.c.not_before > task.c.created).values(ready=sa.false()))


def _count() -> None:
    names = ("ecosystem", "purl", "filename", "reason", "watch")
    task = sa.table("task", *map(sa.column, names), sa.column("ready", sa.Boolean))
    artifact = sa.table("artifact", *map(sa.column, ("ecosystem", "purl", "filename")))
    runner, order = (
        sa.table("runner", sa.column("id"), sa.column("runs")),
        sa.table("run_order", sa.column("runner_id")),
    )
    count = sa.table("task_count", *map(sa.column, ("kind", "name", "number")))
    number = sa.func.count()
    seen = sa.exists().where(
        artifact.c.ecosystem == task.c.ecosystem,
        artifact.c.purl == task.c.purl,
        artifact.c.filename == task.c.filename,
    )
    _rest()
    for query in (
        sa.select(sa.literal("reason"), task.c.reason, number).group_by(task.c.reason),
        sa.select(sa.literal("resting"), task.c.reason, number).where(~task.c.ready).group_by(task.c.reason),
        sa.select(sa.literal("watch"), task.c.watch, number).where(task.c.watch.is_not(None)).group_by(task.c.watch),
        sa.select(sa.literal("unseen"), task.c.ecosystem, number).where(~seen).group_by(task.c.ecosystem),
    ):
        op.execute(count.insert().from_select(["kind", "name", "number"], query))
    runs = sa.select(number).where(order.c.runner_id == runner.c.id).scalar_subquery()
    op.execute(runner.update().values(runs=runs))
