"""Putting orders into the queue: nothing twice, and every watch in its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update

from rebuilder.model.work import Order, Reason
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.queue.rows import ORDER, TASK, merged, order_of, task_columns

_File = tuple[str, str]
_AT_ONCE = 500
"""Releases that are looked up with one query."""


def add_orders(
    connection: Connection, orders: Sequence[Order], now: datetime, *, since: Mapping[_File, datetime] | None = None
) -> int:
    """Queue orders; one for a file that is queued already makes that task as urgent and thorough as itself.

    Args:
        connection: In a transaction that writes.
        orders: What is asked.
        now: When.
        since: For files (release and name) that were in the queue before: since when.

    Returns:
        The number of new tasks.
    """
    wanted: dict[_File, Order] = {}
    for order in orders:
        file = (order.purl, order.filename)
        wanted[file] = merged(wanted[file], order) if file in wanted else order
    queued = _queued(connection, sorted({purl for purl, _ in wanted}))
    turns = Turns(connection, now)
    for file, order in wanted.items():
        if file in queued:
            _raise(connection, queued[file], order, turns, now)
    rows = [_row(order, turns, now, since or {}) for file, order in wanted.items() if file not in queued]
    if rows:
        connection.execute(tables.task.insert(), rows)
    return len(rows)


class Turns:
    """Places in the round among the watches of one priority.

    A watch's next order comes one turn after its last one, and one turn after whatever is next now: a watch that
    queues 10,000 files gets 10,000 turns, and another that queues three gets the next three of them too.
    """

    def __init__(self, connection: Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._last: dict[tuple[int, str | None], int] = {}

    def after(self, order: Order) -> int:
        """The turn of one more order."""
        key = (order.priority, order.watch)
        if key not in self._last:
            self._last[key] = max(self._scalar(self._last_of(order)), self._scalar(self._next_of(order)))
        self._last[key] += 1
        return self._last[key]

    def _last_of(self, order: Order) -> Any:
        same = (TASK.priority == order.priority, TASK.watch.is_not_distinct_from(order.watch))
        return select(func.max(TASK.turn)).where(*same)

    def _next_of(self, order: Order) -> Any:
        waiting = (TASK.priority == order.priority, TASK.lease_owner.is_(None), TASK.not_before <= self._now)
        return select(TASK.turn).where(*waiting).order_by(*ORDER).limit(1)

    def _scalar(self, query: Any) -> int:
        return int(self._connection.execute(query).scalar() or 0)


def _queued(connection: Connection, purls: Sequence[str]) -> dict[_File, RowMapping]:
    found: dict[_File, RowMapping] = {}
    for start in range(0, len(purls), _AT_ONCE):
        query = select(tables.task).where(TASK.purl.in_(purls[start : start + _AT_ONCE]))
        found |= {(row["purl"], row["filename"]): row for row in connection.execute(query).mappings()}
    return found


def _raise(connection: Connection, row: RowMapping, order: Order, turns: Turns, now: datetime) -> None:
    before = order_of(row)
    after = merged(before, order)
    columns = task_columns(after)
    if after.priority != before.priority:
        columns["turn"] = turns.after(after)
    if order.reason is Reason.ASKED:  # somebody is waiting for it: it starts afresh, now
        columns |= {"not_before": min(row["not_before"], now), "tries": 0}
    if any(row[key] != value for key, value in columns.items()):
        connection.execute(update(tables.task).where(TASK.id == row["id"]).values(columns))


def _row(order: Order, turns: Turns, now: datetime, since: Mapping[_File, datetime]) -> dict[str, Any]:
    same = {key: getattr(order, key) for key in ("ecosystem", "purl", "name", "version", "filename")}
    times = {"created": since.get((order.purl, order.filename), now), "not_before": now}
    return same | task_columns(order) | times | {"turn": turns.after(order), "tries": 0}
