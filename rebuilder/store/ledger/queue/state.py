"""The queue at one moment, for pages and figures."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, case, func, select

from rebuilder.model.operations import QueueEntry, QueueState
from rebuilder.model.work import Reason
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.queue.rows import ORDER, TASK, free

_ENTRY = [each for each in tables.task.c if each.name in QueueEntry.model_fields]


def read_state(connection: Connection, now: datetime, upcoming: int) -> QueueState:
    """What waits, what is delayed, what runs; counts by reason and watch are of what does not run."""
    due = TASK.not_before <= now
    waiting_since = case((due, case((TASK.created > TASK.not_before, TASK.created), else_=TASK.not_before)))
    counts = (
        select(
            TASK.reason,
            TASK.watch,
            func.count(),
            func.count(case((due, 1))),
            func.min(waiting_since, type_=TASK.created.type),
        )
        .where(free(now))
        .group_by(TASK.reason, TASK.watch)
    )
    reasons, watches, waiting, oldest = Counter[Reason](), Counter[str](), 0, list[datetime]()
    for reason, watch, count, waits, since in connection.execute(counts):
        reasons[Reason(reason)] += count
        watches.update({watch: count} if watch is not None else {})
        waiting += waits
        oldest += [since] if since is not None else []
    running = _entries().where(TASK.lease_until > now).order_by(TASK.lease_until, TASK.id)
    following = _entries().where(TASK.lease_owner.is_(None), due).order_by(*ORDER).limit(upcoming)
    return QueueState(
        waiting=waiting,
        delayed=reasons.total() - waiting,
        running=tuple(map(_entry, connection.execute(running).mappings())),
        upcoming=tuple(map(_entry, connection.execute(following).mappings())),
        oldest=min(oldest, default=None),
        by_reason={each: reasons[each] for each in Reason if each in reasons},
        by_watch=dict(sorted(watches.items())),
    )


def _entries() -> Any:
    return select(*_ENTRY, TASK.id.label("task"), TASK.lease_owner.label("owner"), TASK.lease_until.label("until"))


def _entry(row: RowMapping) -> QueueEntry:
    return QueueEntry.model_validate(dict(row))
