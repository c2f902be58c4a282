"""The state of the queue, in a time that does not depend on how much is in it."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, select

from rebuilder.model.figures import QueueFigures
from rebuilder.model.operations import QueueEntry, QueueState
from rebuilder.model.work import Reason
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.queue.rows import ORDER, TASK, free

_ENTRY = [each for each in tables.task.c if each.name in QueueEntry.model_fields]


def read_state(connection: Connection, now: datetime, upcoming: int) -> QueueState:
    """What waits, what is delayed, what runs; counts by reason and watch are of what does not run."""
    reasons = by_reason(connection, now)
    watches = Counter(counted(connection, "watch"))
    entries = select(*_ENTRY, TASK.id.label("task"), TASK.lease_owner.label("owner"), TASK.lease_until.label("until"))
    running = entries.where(TASK.lease_until > now).order_by(TASK.lease_until, TASK.id)
    held = tuple(map(_entry, connection.execute(running).mappings()))
    watches.subtract(each.watch for each in held if each.watch is not None)
    return QueueState(
        waiting=sum(each.waiting for each in reasons.values()),
        delayed=sum(each.delayed for each in reasons.values()),
        running=held,
        upcoming=tuple(map(_entry, next_in_line(connection, now, upcoming, *_ENTRY, TASK.id.label("task")))),
        oldest=min((each.oldest for each in reasons.values() if each.oldest is not None), default=None),
        by_reason={name: each.waiting + each.delayed for name, each in reasons.items() if each.waiting + each.delayed},
        by_watch={name: number for name, number in sorted(watches.items()) if number > 0},
    )


def counted(connection: Connection, kind: str) -> dict[str, int]:
    """How many tasks there are, of one kind; see the table ``task_count``."""
    count = tables.task_count.c
    query = select(count.name, count.number).where(count.kind == kind, count.number > 0)
    return {name: number for name, number in connection.execute(query)}  # noqa: C416 - rows are not pairs to a type checker


def by_reason(connection: Connection, now: datetime) -> dict[Reason, QueueFigures]:
    """The queue in figures, in a time that does not depend on how many tasks wait."""
    running = Counter(connection.execute(select(TASK.reason).where(TASK.lease_until > now)).scalars())
    awake = Counter(connection.execute(select(TASK.reason).where(~TASK.ready, TASK.not_before <= now)).scalars())
    figures, resting = {reason: QueueFigures() for reason in Reason}, counted(connection, "resting")
    for name, number in counted(connection, "reason").items():
        rests = resting.get(name, 0) - awake[name]
        due = (TASK.reason == name, TASK.not_before <= now, free(now))
        first = select(TASK.created, TASK.not_before).where(*due).order_by(TASK.not_before).limit(1)
        oldest = connection.execute(first).first()
        figures[Reason(name)] = QueueFigures(
            waiting=max(0, number - running[name] - rests),
            delayed=rests,
            running=running[name],
            oldest=max(oldest) if oldest is not None else None,
        )
    return figures


def _entry(row: RowMapping) -> QueueEntry:
    return QueueEntry.model_validate({name: row[name] for name in QueueEntry.model_fields if name in row})


def next_in_line(connection: Connection, now: datetime, most: int, *columns: Any) -> list[RowMapping]:
    """The first tasks that could be worked on, in order, with these columns and those they are ordered by.

    What rests and is due becomes ready when somebody claims something; here it is both.
    """
    found: list[RowMapping] = []
    for ready in (TASK.ready, ~TASK.ready):
        due = select(*columns, *ORDER).where(ready, free(now), TASK.not_before <= now)
        found += connection.execute(due.order_by(*ORDER).limit(most)).mappings().all()
    return sorted(found, key=lambda row: tuple(row[each.name] for each in ORDER))[:most]
