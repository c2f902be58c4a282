"""Alarms: raised once however often they are seen, acknowledged, escalated, cleared; and who is still to be told.

Rows of notifications are about the last time an alarm was open: when it opens again, those from before are gone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, case, delete, exists, func, or_, select, update

from rebuilder.errors import UsageError
from rebuilder.model.alarm import Alarm, AlarmKind, Event, Notice, RecordedAlarm, Severity, Undelivered
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.rows import insert_new

REMINDED_AFTER = timedelta(days=7)
"""What was acknowledged and is still so after this long is shown and told again."""
_LOG = logging.getLogger("rebuilder.alarms")
_LOG.addHandler(logging.NullHandler())  # a command at a terminal says by itself what it found
_LARGEST = 2**31 - 1
_NOTE_LENGTH = 2000
_alarm = tables.alarm.c
_row = tables.notification.c
_OPEN = (_alarm.acknowledged.is_(None), _alarm.cleared.is_(None))
_TROUBLE_LENGTH = 500


class AlarmBook:
    """Every method is one transaction; all raise :class:`StoreError` when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def raise_alarm(self, alarm: Alarm, *, severity: Severity | None = None) -> bool:
        """Keep an alarm; True when it is new or open again.

        The same one (:attr:`Alarm.key`) is counted and keeps the time it was first raised. One that had cleared
        opens again. One that was acknowledged stays so, unless it is about our own operation and had cleared, is
        more urgent than what was acknowledged, or a week has passed.

        Args:
            alarm: What happened.
            severity: How urgent it is; None for what its kind starts as. It never falls while the alarm is open.
        """
        wanted = severity or alarm.kind.severity
        row = {
            "key": alarm.key,
            **alarm.model_dump(),
            "kind": alarm.kind.value,
            "severity": wanted.value,
            "last_seen": alarm.raised,
        }
        with self._database.writing() as connection:
            known = select(tables.alarm).where(_alarm.key == alarm.key).with_for_update()
            event: Event | None = Event.RAISED
            if not insert_new(connection, tables.alarm, row):
                before = _recorded(connection.execute(known).mappings().one())
                event = _raised_again(connection, before, alarm, wanted)
            after = _recorded(connection.execute(known).mappings().one()) if event is not None else None
        if after is not None and event is not None:
            _tell(event, after)
        return event is Event.RAISED

    def open(self, purl: str | None = None) -> list[RecordedAlarm]:
        """Alarms somebody has to look at, or those of one release; newest first."""
        query = _newest_first().where(*_OPEN)
        return self._read(query if purl is None else query.where(_alarm.purl == purl))

    def about(self, *purls: str) -> list[RecordedAlarm]:
        """All alarms about releases, some hundred at most, dealt with or not; newest first."""
        return self._read(_newest_first().where(_alarm.purl.in_(purls)))

    def closed(self, limit: int) -> list[RecordedAlarm]:
        """Alarms that were acknowledged or have cleared; newest first."""
        query = _newest_first().where(or_(_alarm.acknowledged.is_not(None), _alarm.cleared.is_not(None)))
        return self._read(query.limit(limit))

    def all(self, limit: int | None = None) -> list[RecordedAlarm]:
        """All that are kept, dealt with or not; newest first."""
        return self._read(_newest_first().limit(limit))

    def lasting(self, kind: AlarmKind) -> list[RecordedAlarm]:
        """Alarms of a kind whose condition has not passed, acknowledged or not; newest first."""
        return self._read(_newest_first().where(_alarm.kind == kind.value, _alarm.cleared.is_(None)))

    def get(self, number: int) -> RecordedAlarm:
        """One alarm.

        Raises:
            UsageError: there is none with this number.
        """
        with self._database.reading() as connection:
            return _one(connection, number)

    def acknowledge(self, number: int, by: str, note: str | None, now: datetime) -> RecordedAlarm:
        """Somebody has seen it; what was not told yet is not told any more.

        Raises:
            UsageError: there is no such alarm, or the note is too long.
        """
        if max(len(note or ""), len(by)) > _NOTE_LENGTH:
            raise UsageError(f"A note on an alarm has at most {_NOTE_LENGTH:,} characters.")
        with self._database.writing() as connection:
            _one(connection, number, lock=True)
            _change(connection, number, acknowledged=now, acknowledged_by=by, note=note)
            _withdraw(connection, number)
            after = _one(connection, number)
        _LOG.info("Alarm %d is acknowledged by %s.", number, by, extra=_about(after))
        return after

    def clear(self, kind: AlarmKind, cause: str, now: datetime, *, purl: str | None = None) -> int:
        """The condition behind these alarms has passed; gives how many there were. Whoever was told is told.

        Args:
            kind: Of the alarms.
            cause: What they have in common.
            now: The time.
            purl: What they are about; None: whatever it is.
        """
        lasting = [_alarm.kind == kind.value, _alarm.cause == cause, _alarm.cleared.is_(None)]
        if purl is not None:
            lasting.append(_alarm.purl == purl)
        with self._database.reading() as connection:  # nearly always there is nothing to write
            if connection.execute(select(_alarm.id).where(*lasting).limit(1)).first() is None:
                return 0
        with self._database.writing() as connection:
            query = select(tables.alarm).where(*lasting).with_for_update()
            over = [_recorded(row) for row in connection.execute(query).mappings()]
            for each in over:
                _note_cleared(connection, each.number, now)
                _change(connection, each.number, cleared=now)
        for each in over:
            _tell(Event.CLEARED, each)
        return len(over)

    def fill(
        self, targets: Mapping[str, Collection[Severity]], quiet: Callable[[RecordedAlarm], bool], now: datetime
    ) -> int:
        """Put down which open alarms each target has not been told yet; gives how many that are.

        Args:
            targets: Names, and which severities each is told.
            quiet: Whether an alarm is told to nobody at this time.
            now: The time.
        """
        with self._database.reading() as connection:
            if not _untold(connection, targets, quiet, lock=False):
                return 0
        with self._database.writing() as connection:  # looked up again: somebody else may be at it too
            rows = _untold(connection, targets, quiet, lock=True)
            for name, recorded in rows:
                _add_notice(connection, recorded.number, name, Event.RAISED, now)
            return len(rows)

    def due(self, now: datetime, limit: int, *, targets: Collection[str], seconds: float = 300) -> list[Notice]:
        """Take what is to be sent now, for some targets: nobody else gets it within ``seconds``; a try is counted."""
        with self._database.reading() as connection:
            if not _rows_due(connection, now, 1, targets, lock=False):
                return []
        with self._database.writing() as connection:
            notices = _rows_due(connection, now, limit, targets, lock=True)
            ids, later = [each["notice"] for each in notices], now + timedelta(seconds=seconds)
            _settle(connection, ids, tries=_row.tries + 1, not_before=later)  # due again if whoever sends goes away
            return [_notice(each) for each in notices]

    def delivered(self, ids: Sequence[int]) -> None:
        """Notices were sent."""
        with self._database.writing() as connection:
            _settle(connection, ids, state="sent", trouble=None)

    def failed(self, ids: Sequence[int], trouble: str, not_before: datetime | None) -> None:
        """Notices were not sent: they are tried again at ``not_before``, or never when it is None."""
        with self._database.writing() as connection:
            if not_before is None:
                _settle(connection, ids, state="dead", trouble=trouble)
            else:
                _settle(connection, ids, trouble=trouble, not_before=not_before)

    def postponed(self, ids: Sequence[int], not_before: datetime) -> None:
        """Notices were not tried after all: nobody is told about them at this time."""
        with self._database.writing() as connection:
            _settle(connection, ids, not_before=not_before, tries=tables.notification.c.tries - 1)

    def undelivered(self) -> list[Undelivered]:
        """Which targets could not be told about alarms that are open; those that were given up first."""
        with self._database.reading() as connection:
            return _rows_undelivered(connection)

    def ended(self, windows: Sequence[timedelta], now: datetime) -> dict[timedelta, tuple[int, int]]:
        """How many verifications ended within each window, and how many of them failed on our side."""
        verification = tables.verification.c
        within = [case((verification.finished > now - window, 1), else_=0) for window in windows]
        failed = verification.state == "abandoned"
        query = select(
            *[func.coalesce(func.sum(each), 0) for each in within],
            *[func.coalesce(func.sum(case((failed, each), else_=0)), 0) for each in within],
        ).where(
            verification.finished > now - max(windows),
            verification.state.in_(("examined", "done", "abandoned")),
            # What was given back or thrown away says nothing; what failed has a verdict of its own.
            verification.verdict.is_not(None),
        )
        (row,) = self._database.rows(query)
        return {window: (int(row[at]), int(row[at + len(windows)])) for at, window in enumerate(windows)}

    def _read(self, query: Select[Any]) -> list[RecordedAlarm]:
        return [_recorded(row) for row in self._database.mappings(query)]


def _newest_first() -> Select[Any]:
    return select(tables.alarm).order_by(_alarm.raised.desc(), _alarm.id.desc())


def _one(connection: Connection, number: int, *, lock: bool = False) -> RecordedAlarm:
    query = select(tables.alarm).where(_alarm.id == number)
    row = None
    if 0 < number <= _LARGEST:
        row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise UsageError(f"There is no alarm {number}.", hint="`rebuilder alarms --all` lists all of them.")
    return _recorded(row)


def _recorded(row: RowMapping) -> RecordedAlarm:
    return RecordedAlarm(
        number=row["id"],
        alarm=Alarm.model_validate({name: row[name] for name in Alarm.model_fields}),
        severity=Severity(row["severity"]),
        count=row["count"],
        last_seen=row["last_seen"] or row["raised"],
        acknowledged=row["acknowledged"],
        acknowledged_by=row["acknowledged_by"],
        note=row["note"],
        cleared=row["cleared"],
    )


def _notice(row: RowMapping) -> Notice:
    return Notice(
        id=row["notice"], target=row["target"], event=row["event"], tries=row["tries"] + 1, recorded=_recorded(row)
    )


def _change(connection: Connection, number: int, **columns: Any) -> None:
    connection.execute(update(tables.alarm).where(_alarm.id == number).values(columns))


def _tell(event: Event, recorded: RecordedAlarm) -> None:
    """A line in the log; an alarm that is only seen once more is none."""
    words = {Event.RAISED: "is raised", Event.ESCALATED: "is more urgent", Event.CLEARED: "is cleared"}
    level = logging.INFO if event is Event.CLEARED else logging.WARNING
    sentence = recorded.alarm.sentence
    _LOG.log(level, "Alarm %d %s: %s", recorded.number, words[event], sentence, extra=_about(recorded))


def _about(recorded: RecordedAlarm) -> dict[str, object]:
    alarm = recorded.alarm
    about = {"kind": alarm.kind.value, "severity": recorded.severity.value, "cause": alarm.group}
    return {"alarm": recorded.number, **about, "purl": alarm.purl or None, "artifact": alarm.filename or None}


def _raised_again(connection: Connection, before: RecordedAlarm, alarm: Alarm, severity: Severity) -> Event | None:
    """Bring the row of a known alarm up to date; what became of it, None when it was only seen once more."""
    seen = {"count": before.count + 1, "last_seen": max(before.last_seen, alarm.raised), "sentence": alarm.sentence}
    urgent = _more_urgent(severity, before.severity)
    if before.acknowledged is None:
        again = before.cleared is not None
    else:
        passed = alarm.kind.about_us and before.cleared is not None
        again = passed or urgent or alarm.raised - before.acknowledged >= REMINDED_AFTER
    if again:
        _forget_told(connection, before.number)
        new = {"raised": alarm.raised, "severity": severity.value, "cleared": None}
        forgotten = {"acknowledged": None, "acknowledged_by": None, "note": None}
        _change(connection, before.number, **seen, **new, **forgotten)
    else:
        _change(connection, before.number, **seen, cleared=None)
        if urgent:
            _escalated(connection, before, severity, alarm.raised)
            return Event.ESCALATED
    return Event.RAISED if again else None


def _escalated(connection: Connection, before: RecordedAlarm, severity: Severity, now: datetime) -> None:
    """A more urgent alarm is told to those who know the less urgent one; what was acknowledged is open again."""
    columns: dict[str, Any] = {"severity": severity.value}
    if before.acknowledged is not None:
        _forget_told(connection, before.number)
        columns |= {"raised": now, "acknowledged": None, "acknowledged_by": None, "note": None}
    elif before.cleared is None:
        _note_escalated(connection, before.number, now)
    _change(connection, before.number, **columns)


def _more_urgent(one: Severity, other: Severity) -> bool:
    order = list(Severity)
    return order.index(one) < order.index(other)


def _untold(
    connection: Connection,
    targets: Mapping[str, Collection[Severity]],
    quiet: Callable[[RecordedAlarm], bool],
    *,
    lock: bool,
) -> list[tuple[str, RecordedAlarm]]:
    found = []
    for name in sorted(targets):
        rows = _rows_untold(connection, name, targets[name], lock=lock)
        found += [(name, recorded) for recorded in map(_recorded, rows) if not quiet(recorded)]
    return found


def _rows_untold(
    connection: Connection, target: str, severities: Collection[Severity], *, lock: bool
) -> list[RowMapping]:
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


def _forget_told(connection: Connection, number: int) -> None:
    """An alarm is open again: whatever was told about it before, everybody is told anew."""
    connection.execute(delete(tables.notification).where(_row.alarm_id == number))


def _note_escalated(connection: Connection, number: int, now: datetime) -> None:
    """Whoever was told about an alarm is told that it is more urgent; what was not sent yet is due at once."""
    for target, state in _told_targets(connection, number):
        if state != "waiting":
            _add_notice(connection, number, target, Event.ESCALATED, now)
    waiting = (_row.alarm_id == number, _row.state == "waiting", _row.not_before > now)
    connection.execute(update(tables.notification).where(*waiting).values(not_before=now))


def _note_cleared(connection: Connection, number: int, now: datetime) -> None:
    """Whoever was told about an alarm is told that it has passed; nobody hears of it only now."""
    for target, state in _told_targets(connection, number):
        if state == "sent":
            _add_notice(connection, number, target, Event.CLEARED, now)
    _withdraw(connection, number)


def _withdraw(connection: Connection, number: int) -> None:
    """Somebody knows of an alarm already, or nobody needs to: what was not sent yet is not sent."""
    unsent = (_row.alarm_id == number, _row.state == "waiting", _row.event != Event.CLEARED.value)
    connection.execute(delete(tables.notification).where(*unsent))


def _rows_due(
    connection: Connection, now: datetime, limit: int, targets: Collection[str], *, lock: bool
) -> list[RowMapping]:
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


def _settle(connection: Connection, ids: Sequence[int], **columns: Any) -> None:
    """Set columns of rows that wait; what was withdrawn meanwhile stays so."""
    if columns.get("trouble"):
        columns["trouble"] = columns["trouble"][:_TROUBLE_LENGTH]
    waiting = (_row.id.in_(ids), _row.state == "waiting")
    connection.execute(update(tables.notification).where(*waiting).values(columns))


def _rows_undelivered(connection: Connection) -> list[Undelivered]:
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


def _told_targets(connection: Connection, number: int) -> list[tuple[str, str]]:
    """Targets that were to be told when the alarm was raised last, and what came of it."""
    query = select(_row.target, _row.state).where(_row.alarm_id == number, _row.event == Event.RAISED.value)
    return [(target, state) for target, state in connection.execute(query)]


def _add_notice(connection: Connection, number: int, target: str, event: Event, when: datetime) -> None:
    row = {"alarm_id": number, "target": target, "event": event.value, "state": "waiting", "not_before": when}
    insert_new(connection, tables.notification, row)
