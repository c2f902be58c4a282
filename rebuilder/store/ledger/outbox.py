"""Rows of notifications: what each target is still to be told about alarms.

They are about the last time an alarm was open: when it opens again, those from before are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, exists, func, select, update

from rebuilder.model.alarm import Event, Severity, Undelivered
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.rows import insert_new

_row = tables.notification.c
_alarm = tables.alarm.c
_OPEN = (_alarm.acknowledged.is_(None), _alarm.cleared.is_(None))
_TROUBLE_LENGTH = 500


def untold(connection: Connection, target: str, severities: Collection[Severity], *, lock: bool) -> list[RowMapping]:
    """Alarms that are open, and of which a target has not been told; ``lock``: nobody else decides that meanwhile.

    The rows are locked first and looked at then: whoever waited for the lock sees what the other one wrote.
    """
    wanted = (*_OPEN, _alarm.severity.in_([each.value for each in severities]))
    known = exists().where(
        _row.alarm_id == _alarm.id,
        _row.target == target,
        _row.event == Event.RAISED.value,
    )
    if lock and connection.dialect.name != "sqlite":
        connection.execute(select(_alarm.id).where(*wanted).order_by(_alarm.id).with_for_update()).all()
    query = select(tables.alarm).where(*wanted, ~known).order_by(_alarm.id)
    return list(connection.execute(query).mappings())


def reopened(connection: Connection, number: int) -> None:
    """An alarm is open again: whatever was told about it before, everybody is told anew."""
    connection.execute(delete(tables.notification).where(_row.alarm_id == number))


def raised(connection: Connection, number: int, target: str, now: datetime) -> None:
    """A target is to be told that an alarm is open."""
    _add(connection, number, target, Event.RAISED, now)


def escalated(connection: Connection, number: int, now: datetime) -> None:
    """Whoever was told about an alarm is told that it is more urgent; what was not sent yet is due at once."""
    for target, state in _told(connection, number):
        if state != "waiting":
            _add(connection, number, target, Event.ESCALATED, now)
    waiting = (_row.alarm_id == number, _row.state == "waiting", _row.not_before > now)
    connection.execute(update(tables.notification).where(*waiting).values(not_before=now))


def cleared(connection: Connection, number: int, now: datetime) -> None:
    """Whoever was told about an alarm is told that it has passed; nobody hears of it only now."""
    for target, state in _told(connection, number):
        if state == "sent":
            _add(connection, number, target, Event.CLEARED, now)
    withdraw(connection, number)


def withdraw(connection: Connection, number: int) -> None:
    """Somebody knows of an alarm already, or nobody needs to: what was not sent yet is not sent."""
    unsent = (_row.alarm_id == number, _row.state == "waiting", _row.event != Event.CLEARED.value)
    connection.execute(delete(tables.notification).where(*unsent))


def due(connection: Connection, now: datetime, limit: int, targets: Collection[str], *, lock: bool) -> list[RowMapping]:
    """What is to be sent now, the longest due first, with the columns of the alarm; ``notice`` is the row's id."""
    query = (
        select(tables.alarm, _row.id.label("notice"), _row.target, _row.event, _row.tries)
        .join(tables.notification, _row.alarm_id == _alarm.id)
        .where(_row.state == "waiting", _row.not_before <= now, _row.target.in_(targets))
        .order_by(_row.not_before, _row.id)
        .limit(limit)
    )
    if lock:
        query = query.with_for_update(of=tables.notification, skip_locked=True)
    return list(connection.execute(query).mappings())


def take(connection: Connection, ids: Sequence[int], until: datetime) -> None:
    """These are being sent; should whoever does it go away, they are due again at ``until``."""
    settle(connection, ids, tries=_row.tries + 1, not_before=until)


def settle(connection: Connection, ids: Sequence[int], **columns: Any) -> None:
    """Set columns of rows that wait; what was withdrawn meanwhile stays so."""
    if columns.get("trouble"):
        columns["trouble"] = columns["trouble"][:_TROUBLE_LENGTH]
    waiting = (_row.id.in_(ids), _row.state == "waiting")
    connection.execute(update(tables.notification).where(*waiting).values(columns))


def undelivered(connection: Connection) -> list[Undelivered]:
    """What was tried in vain for alarms that are open, by target."""
    query = (
        select(_row.target, _row.state, func.count(_row.alarm_id.distinct()), func.max(_row.trouble))
        .join(tables.alarm, _row.alarm_id == _alarm.id)
        .where(*_OPEN, _row.state != "sent", _row.trouble.is_not(None))
        .group_by(_row.target, _row.state)
        .order_by(_row.state, _row.target)
    )
    return [
        Undelivered(target=target, alarms=number, given_up=state == "dead", trouble=trouble)
        for target, state, number, trouble in connection.execute(query)
    ]


def _told(connection: Connection, number: int) -> list[tuple[str, str]]:
    """Targets that were to be told when the alarm was raised last, and what came of it."""
    query = select(_row.target, _row.state).where(_row.alarm_id == number, _row.event == Event.RAISED.value)
    return [(target, state) for target, state in connection.execute(query)]


def _add(connection: Connection, number: int, target: str, event: Event, when: datetime) -> None:
    row = {"alarm_id": number, "target": target, "event": event.value, "state": "waiting", "not_before": when}
    insert_new(connection, tables.notification, row)
