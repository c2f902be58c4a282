"""How a task ends: done, replaced, kept for another try; what becomes of its verification."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, func, select, update

from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Lease, Order
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.queue.adding import Turns, add_orders
from rebuilder.store.ledger.queue.rows import (
    TASK,
    leased,
    more_thorough,
    order_columns,
    order_of,
    retried,
    task_columns,
)

FREED = {"lease_owner": None, "lease_until": None}
"""Nobody holds the task."""
GIVEN_UP = "given-up"
"""Kind of a verification whose task was ended without a result; it is not ordered again by itself."""
_LONGEST_REST = 60
"""Seconds; see :func:`lost`."""


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


def lost(connection: Connection, row: RowMapping, now: datetime) -> None:
    """Let a task wait whose worker went away: that is a try, and the next one comes later each time.

    What ends its worker whenever it is touched must not keep all workers from everything else.
    """
    rest = timedelta(seconds=min(_LONGEST_REST, 2 ** min(row["tries"], 10)))
    change(connection, row, tries=row["tries"] + 1, not_before=now + rest, **FREED)


def take_away_expired(connection: Connection, now: datetime) -> None:
    """Take tasks from owners that gave no sign of life for too long."""
    expired = select(tables.task).where(leased(), TASK.lease_until <= now)
    for row in connection.execute(expired).mappings().all():
        lost(connection, row, now)


def abandon(
    connection: Connection,
    number: int | None,
    now: datetime,
    sentence: str,
    *,
    ours: bool = False,
    kind: str | None = None,
) -> None:
    """End a verification without a result, unless it has one."""
    verification = tables.verification
    going = (verification.c.id == number, verification.c.state == "running")
    if number is not None:
        columns = _ending(now, sentence, ours=ours, kind=kind)
        connection.execute(update(verification).where(*going).values(columns))


def note_given_up(connection: Connection, row: RowMapping, now: datetime, sentence: str, *, ours: bool) -> None:
    """Keep that a file was given up before a verification was begun, if its bytes were ever seen."""
    artifact = tables.artifact.c
    same = (artifact[each] == row[each] for each in ("ecosystem", "purl", "filename"))
    newest = connection.execute(select(func.max(artifact.id)).where(*same)).scalar()
    if newest is not None:
        columns = _ending(now, sentence, ours=ours, kind=GIVEN_UP) | order_columns(order_of(row))
        connection.execute(tables.verification.insert().values(columns | {"artifact_id": newest, "started": now}))


def has_ended_well(connection: Connection, number: int) -> bool:
    """Whether a verification has its result."""
    verification = tables.verification.c
    state = connection.execute(select(verification.state).where(verification.id == number)).scalar()
    return state in {"examined", "done"}


def _ending(now: datetime, sentence: str, *, ours: bool, kind: str | None) -> dict[str, Any]:
    return {
        "state": "abandoned",
        "finished": now,
        "verdict": Verdict.INFRA_ERROR.value if ours else None,
        "kind": kind,
        "sentence": sentence,
    }


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
