"""What the ledger says about operations as a whole, in few queries that stay quick with many verifications."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, and_, case, func, select

from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.figures import EcosystemFigures, Figures, QueueFigures, together
from rebuilder.model.operations import Operations, QueueState, WatchState
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason
from rebuilder.store.ledger import current_results, recent_work, tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.queue.rows import free

_Answer = TypeVar("_Answer")

_HOURS = 48
_DAYS = 30
_MANY = 20_000
"""With more finished verifications than this, changes may take ``_WHILE`` to show."""
_WHILE = timedelta(seconds=5)
_ABOUT_SIGNERS = (
    AlarmKind.ATTESTATION_INVALID,
    AlarmKind.ATTESTATION_VANISHED,
    AlarmKind.PUBLISHER_CHANGED,
    AlarmKind.EXPECTATION_BROKEN,
)


class Statistics:
    """Figures as of now; every method raises :class:`StoreError` when the database cannot be used.

    What follows from the results that stand costs the most: it is kept until they change, and with many files for a
    few seconds at least.

    Args:
        database: Of the ledger.
        queue_state: Gives the queue at a moment.
    """

    def __init__(self, database: Database, queue_state: Callable[[datetime], QueueState]) -> None:
        self._database = database
        self._queue_state = queue_state
        self._kept: dict[Callable[[Connection], Any], tuple[datetime, Any, Any]] = {}

    def answers(self) -> None:
        """Ask the database for next to nothing: it raises when it does not answer."""
        with self._database.reading() as connection:
            connection.execute(select(tables.watch.c.name).limit(1)).all()

    def standing(self, now: datetime) -> EcosystemFigures:
        """All known files by what stands of them: what every count and every percentage is made from."""
        with self._database.reading() as connection:
            return together(self._standing(connection, now)[0].values())

    def operations(self, now: datetime) -> Operations:
        """What the Operate page shows."""
        queue = self._queue_state(now)
        with self._database.reading() as connection:
            ecosystems, oldest = self._standing(connection, now)
            known = together(ecosystems.values())
            return Operations(
                now=now,
                queue=queue,
                watches=_watches(connection),
                hours=recent_work.hours(connection, now, _HOURS),
                days=recent_work.days(connection, now, _DAYS),
                current={verdict: known.verdicts.get(verdict, 0) for verdict in Verdict if verdict.publishable},
                written=known.written,
                untested=known.untested,
                oldest=current_results.reached_at(connection, oldest) if oldest is not None else None,
                failures=self._kept_for_a_while(connection, now, current_results.failures),
                open_alarms=sum(_alarms(connection, _open()).values()),
            )

    def figures(self, now: datetime) -> Figures:
        """What metrics are made from."""
        with self._database.reading() as connection:
            ecosystems, oldest = self._standing(connection, now)
            finished, newest = connection.execute(_ended("done")).one()
            failed, _ = connection.execute(
                _ended("abandoned").where(tables.verification.c.verdict == Verdict.INFRA_ERROR.value)
            ).one()
            tally = tables.tally.c
            counted = connection.execute(select(tally.name, tally.label, tally.value))
            return Figures(
                now=now,
                ecosystems=ecosystems,
                finished=finished,
                failed=failed,
                newest=newest,
                oldest=oldest,
                lead=recent_work.lead(connection, now),
                sample=recent_work.sample(connection, now),
                queue=_queue(connection, now),
                watches=_watches(connection),
                alarms=_by_kind(_alarms(connection)),
                open_alarms=_alarms(connection, _open()),
                blocked=_blocked(connection),
                tallies={(name, label): value for name, label, value in counted},
            )

    def _standing(self, connection: Connection, now: datetime) -> tuple[dict[str, EcosystemFigures], datetime | None]:
        """By ecosystem; and when the oldest result that stands was reached."""
        seen, oldest = self._kept_for_a_while(connection, now, current_results.by_ecosystem)
        return _with_queued(seen, current_results.queued_unseen(connection)), oldest

    def _kept_for_a_while(self, connection: Connection, now: datetime, ask: Callable[[Connection], _Answer]) -> _Answer:
        version = current_results.version(connection)
        then, before, answer = self._kept.get(ask, (now, None, None))
        many = version[0] > _MANY and abs(now - then) < _WHILE
        if before is None or (before != version and not many):
            answer = ask(connection)
            self._kept[ask] = now, version, answer
        return cast("_Answer", answer)


def _with_queued(ecosystems: dict[str, EcosystemFigures], queued: dict[str, int]) -> dict[str, EcosystemFigures]:
    names = sorted({*ecosystems, *queued})
    figures = {name: ecosystems.get(name, EcosystemFigures()) for name in names}
    return {name: each.replace(untested=each.untested + queued.get(name, 0)) for name, each in figures.items()}


def _ended(state: str) -> Any:
    verification = tables.verification.c
    return select(func.count(), func.max(verification.finished)).where(verification.state == state)


def _queue(connection: Connection, now: datetime) -> dict[Reason, QueueFigures]:
    task = tables.task.c
    waits = and_(free(now), task.not_before <= now)
    since = case((waits, case((task.created > task.not_before, task.created), else_=task.not_before)))
    query = select(
        task.reason,
        func.count(case((waits, 1))),
        func.count(case((and_(free(now), task.not_before > now), 1))),
        func.count(case((task.lease_until > now, 1))),
        func.min(since, type_=task.created.type),
    ).group_by(task.reason)
    figures = {reason: QueueFigures() for reason in Reason}
    for reason, waiting, delayed, running, oldest in connection.execute(query):
        figures[Reason(reason)] = QueueFigures(waiting=waiting, delayed=delayed, running=running, oldest=oldest)
    return figures


def _watches(connection: Connection) -> tuple[WatchState, ...]:
    columns = [each for each in tables.watch.c if each.name in WatchState.model_fields]
    rows = connection.execute(select(*columns).order_by(tables.watch.c.name)).mappings()
    return tuple(WatchState.model_validate(dict(row)) for row in rows)


def _open() -> Any:
    return and_(tables.alarm.c.acknowledged.is_(None), tables.alarm.c.cleared.is_(None))


def _alarms(connection: Connection, *which: Any) -> dict[tuple[AlarmKind, Severity], int]:
    alarm = tables.alarm.c
    query = select(alarm.kind, alarm.severity, func.count()).where(*which).group_by(alarm.kind, alarm.severity)
    return {(AlarmKind(kind), Severity(severity)): count for kind, severity, count in connection.execute(query)}


def _by_kind(alarms: dict[tuple[AlarmKind, Severity], int]) -> dict[AlarmKind, int]:
    counted: Counter[AlarmKind] = Counter()
    for (kind, _), count in alarms.items():
        counted[kind] += count
    return dict(counted)


def _blocked(connection: Connection) -> dict[AlarmKind, int]:
    alarm = tables.alarm.c
    files = (
        select(alarm.kind, alarm.purl, alarm.filename)
        .where(alarm.kind.in_([each.value for each in _ABOUT_SIGNERS]), _open())
        .distinct()
        .subquery()
    )
    query = select(files.c.kind, func.count()).group_by(files.c.kind)
    return {AlarmKind(kind): count for kind, count in connection.execute(query)}
