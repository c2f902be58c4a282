"""How a task ends: done, replaced, kept for another try; what becomes of its verification."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, select, update

from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Lease, Order
from rebuilder.storage.ledger import tables
from rebuilder.storage.ledger.queue_adding import Turns, add_orders
from rebuilder.storage.ledger.queue_rows import TASK, more_thorough, order_of, retried, task_columns

FREED = {"lease_owner": None, "lease_until": None}
"""Nobody holds the task."""


def running_verifications(row: RowMapping) -> Select[Any]:
    """Verifications that are going on of a task's file."""
    verification, artifact = tables.verification.c, tables.artifact.c
    return (
        select(verification.id)
        .join(tables.artifact, artifact.id == verification.artifact_id)
        .where(
            artifact.ecosystem == row["ecosystem"],
            artifact.purl == row["purl"],
            artifact.filename == row["filename"],
            verification.state == "running",
        )
    )


def change(connection: Connection, row: RowMapping, **columns: Any) -> None:
    """Set columns of one task."""
    connection.execute(update(tables.task).where(TASK.id == row["id"]).values(columns))


def abandon(connection: Connection, number: int | None, now: datetime, sentence: str, *, ours: bool = False) -> None:
    """End a verification without a result, unless it has one."""
    verification = tables.verification
    going = (verification.c.id == number, verification.c.state == "running")
    columns = {
        "state": "abandoned",
        "finished": now,
        "verdict": Verdict.INFRA_ERROR.value if ours else None,
        "sentence": sentence,
    }
    if number is not None:
        connection.execute(update(verification).where(*going).values(columns))


def _asked_more(lease: Lease, row: RowMapping) -> bool:
    """Whether more was asked for while somebody was at it: a more thorough look, or other bytes."""
    queued, worked_on = order_of(row), lease.task.order
    return more_thorough(queued, worked_on) or queued.sha256 != worked_on.sha256


def done(connection: Connection, lease: Lease, row: RowMapping, follow: Order | None, now: datetime) -> None:
    """Take a task out of the queue, unless more was asked for; put in what follows."""
    if _asked_more(lease, row):
        change(connection, row, tries=0, **FREED)
    else:
        connection.execute(delete(tables.task).where(TASK.id == row["id"]))
    if follow is not None:
        add_orders(connection, [follow], now, since={(row["purl"], row["filename"]): row["created"]})


def again(connection: Connection, lease: Lease, row: RowMapping, not_before: datetime, now: datetime) -> None:
    """Keep a task to be tried again then; at once if more was asked for meanwhile."""
    if _asked_more(lease, row):
        change(connection, row, tries=0, **FREED)
        return
    before = order_of(row)
    order = retried(before)
    turn = row["turn"] if order.priority == before.priority else Turns(connection, now).after(order)
    columns = task_columns(order) | {"turn": turn, "tries": row["tries"] + 1, "not_before": not_before}
    change(connection, row, **columns, **FREED)
