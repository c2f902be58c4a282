"""The runners of a fleet, and the runs that were asked of them: whose answers count, and which was accepted.

The broker carries orders; this is where it is decided which answer counts. The first one that is accepted for an order
closes it, and it is never open again.
"""

from __future__ import annotations

import random
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, func, select, update

from rebuilder.errors import UsageError
from rebuilder.model.fleet import (
    AcceptedRun,
    EnrolledRunner,
    FleetFigures,
    OpenRuns,
    RunnerFigures,
    RunnerState,
    RunOrder,
)
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database

_SHORTEST = 8
_RECENT = timedelta(days=7)
"""How long a queue is shown after its last order."""
_NEWEST = 1000
"""Orders that are looked at for that."""
_RUNNER = tables.runner.c


class Runners:
    """Every method is one transaction; all raise :class:`StoreError` when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def enroll(self, runner: EnrolledRunner) -> None:
        """Let the answers of a runner count.

        Raises:
            UsageError: its key or its name is enrolled already; one that was revoked needs a new key.
        """
        with self._database.writing() as connection:
            same = select(_RUNNER.name).where((_RUNNER.id == runner.id) | (_RUNNER.name == runner.name))
            known = connection.execute(same).scalar()
            if known is not None:
                raise UsageError(
                    f"A runner {known} with this key or this name is enrolled already.",
                    hint="`rebuilder runners list` shows all. One that was revoked needs a new key and a new name.",
                )
            connection.execute(tables.runner.insert().values(runner.model_dump() | {"state": runner.state.value}))

    def all(self) -> list[EnrolledRunner]:
        """All that were ever enrolled, by name."""
        rows = self._database.mappings(select(tables.runner).order_by(_RUNNER.name))
        return [_runner(row) for row in rows]

    def get(self, runner_id: str) -> EnrolledRunner | None:
        """The one with this id, whatever its state; None when it was never enrolled."""
        row = self._database.first(select(tables.runner).where(_RUNNER.id == runner_id))
        return _runner(row) if row is not None else None

    def named(self, name: str) -> EnrolledRunner:
        """The one that a person means: by name, or by the beginning of its id (8 digits or more).

        Raises:
            UsageError: there is none, or more than one.
        """
        found = [each for each in self.all() if each.name == name]
        if not found and re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},64}}", name):
            found = [each for each in self.all() if each.id.startswith(name)]
        if len(found) != 1:
            raise UsageError(
                f"{'No' if not found else 'More than one'} runner is called {name[:80]!r}.",
                hint="`rebuilder runners list` shows all.",
            )
        return found[0]

    def change(self, runner_id: str, state: RunnerState, now: datetime, *, reason: str | None) -> bool:
        """Bring a runner into another state; False when it is in it already, or was revoked.

        What a revoked runner says never counts again.
        """
        others = (_RUNNER.id == runner_id, _RUNNER.state != state.value, _RUNNER.state != RunnerState.REVOKED.value)
        row = {"state": state.value, "changed": now, "reason": reason}
        with self._database.writing() as connection:
            return bool(connection.execute(update(tables.runner).where(*others).values(row)).rowcount)

    def note_trouble(self, runner_id: str, sentence: str) -> None:
        """Keep what an active runner had trouble with last; its next answer that counts takes it away."""
        active = (_RUNNER.id == runner_id, _RUNNER.state == RunnerState.ACTIVE.value)
        self._database.run(update(tables.runner).where(*active).values(reason=sentence))


def fleet_figures(connection: Connection, now: datetime) -> FleetFigures:
    """The fleet at a moment, as metrics and the page about the service show it."""
    order = tables.run_order.c
    enrolled = connection.execute(select(tables.runner).order_by(_RUNNER.name)).mappings().all()
    newest = select(order.queue, order.ordered).order_by(order.id.desc()).limit(_NEWEST).subquery().c
    recent = select(newest.queue).where(newest.ordered >= now - _RECENT).distinct()
    queues = {name: OpenRuns() for name in connection.execute(recent).scalars()}
    waiting = select(order.queue, func.count(), func.min(order.ordered)).where(order.runner_id.is_(None))
    for name, number, oldest in connection.execute(waiting.group_by(order.queue)):
        queues[name] = OpenRuns(waiting=number, oldest=oldest)
    return FleetFigures(
        runners=tuple(
            RunnerFigures.model_validate({name: row[name] for name in RunnerFigures.model_fields}) for row in enrolled
        ),
        queues=dict(sorted(queues.items())),
    )


def _runner(row: RowMapping) -> EnrolledRunner:
    return EnrolledRunner.model_validate({name: row[name] for name in EnrolledRunner.model_fields})


_ORDER = tables.run_order.c
_TRIES = 10
"""So many runners are asked whether they serve a queue, before all are."""
_OPEN = _ORDER.runner_id.is_(None)


class RunOrders:
    """Every method is one transaction; all raise :class:`StoreError` when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, definition_sha256: str, queue: str, *, asked_of: str | None, owner: str, now: datetime
    ) -> tuple[RunOrder, bool]:
        """Ask for a run; one that a process waited for that is no more is taken over instead.

        Args:
            definition_sha256: What is to be run.
            queue: Where it is put.
            asked_of: The only runner whose answer will count; None: any.
            owner: The process that waits for it; it must have claimed that name.
            now: The time.

        Returns:
            The order, and whether it is new.
        """
        same = (
            _OPEN,
            _ORDER.definition_sha256 == definition_sha256,
            _ORDER.asked_of.is_not_distinct_from(asked_of),
        )
        liveness = self._database.liveness
        liveness.claim(owner)
        with self._database.writing() as connection:
            for row in connection.execute(select(tables.run_order).where(*same)).mappings().all():
                if row["queue"] == queue and row["owner"] != owner and not liveness.alive(row["owner"]):
                    taken = update(tables.run_order).where(_ORDER.id == row["id"]).values(owner=owner)
                    connection.execute(taken)
                    return _order(row), False
            values: dict[str, Any] = {
                "nonce": secrets.token_hex(16),
                "definition_sha256": definition_sha256,
                "queue": queue,
                "asked_of": asked_of,
                "ordered": now,
            }
            connection.execute(tables.run_order.insert().values(values | {"owner": owner}))
        return RunOrder(**values), True

    def accept(self, nonce: str, runner_id: str, envelope: str, log_sha256: str, now: datetime) -> bool:
        """Let an answer count; False when the order is not open any more, or the runner is not active any more."""
        with self._database.writing() as connection:
            active = (_RUNNER.id == runner_id, _RUNNER.state == RunnerState.ACTIVE.value)
            is_active = select(_RUNNER.id).where(*active).exists()
            values = {"runner_id": runner_id, "envelope": envelope, "log_sha256": log_sha256, "answered": now}
            accepted = update(tables.run_order).where(_OPEN, _ORDER.nonce == nonce, is_active).values(values)
            if not connection.execute(accepted).rowcount:
                return False
            connection.execute(
                update(tables.runner).where(*active).values(seen=now, reason=None, runs=_RUNNER.runs + 1)
            )
            return True

    def drop(self, nonce: str) -> None:
        """No answer to this order will count, unless one did already."""
        self._database.run(delete(tables.run_order).where(_OPEN, _ORDER.nonce == nonce))

    def overtaken(self, order: RunOrder) -> bool:
        """Whether an order of the same queue that was asked for later was answered: then this one may be lost."""
        this = select(_ORDER.id).where(_ORDER.nonce == order.nonce).scalar_subquery()
        answered = (_ORDER.queue == order.queue, _ORDER.asked_of.is_(None), _ORDER.runner_id.is_not(None))
        later = select(_ORDER.id).where(_ORDER.id > this, *answered).order_by(_ORDER.id.desc()).limit(1)
        return bool(self._database.rows(later))

    def another_runner(self, queue: str, than: Collection[str], since: datetime) -> str | None:
        """An active runner other than these, by chance; None when there is none.

        Not every runner serves every queue: one that answered an order of the queue goes first. Everybody who waits
        asks for one at once when the broker was wiped, so neither runners nor orders are read for it, only indexes.

        Args:
            queue: What it is to serve.
            than: Those that it must not be.
            since: Answers that are older do not count.
        """
        other = select(_RUNNER.id).where(
            _RUNNER.state == RunnerState.ACTIVE.value, *(_RUNNER.id != each for each in than)
        )
        answered = (_ORDER.runner_id == _RUNNER.id, _ORDER.answered >= since, _ORDER.queue == queue)
        serves = select(_ORDER.id).where(*answered).exists()
        chosen: str | None = None
        with self._database.reading() as connection:
            number = connection.execute(select(func.count()).select_from(other.subquery())).scalar_one()
            for _ in range(min(number, _TRIES)):
                one = other.order_by(_RUNNER.id).offset(random.randrange(number)).limit(1)  # noqa: S311 - no secret
                chosen = connection.execute(one).scalar_one()
                if connection.execute(select(_RUNNER.id).where(_RUNNER.id == chosen, serves)).first() is not None:
                    return chosen
            found = connection.execute(other.where(serves)).scalars().all()
        return random.choice(found) if found else chosen  # noqa: S311 - no secret

    def open(self) -> list[RunOrder]:
        """Those that are waited for, oldest first."""
        rows = self._database.mappings(select(tables.run_order).where(_OPEN).order_by(_ORDER.id))
        return [_order(row) for row in rows]

    def bury(self, before: datetime) -> None:
        """Drop those from before a moment whose process is no more, and that no other has taken over since."""
        old = select(_ORDER.nonce, _ORDER.owner).where(_OPEN, _ORDER.ordered < before)
        rows = self._database.rows(old)
        for nonce in [row.nonce for row in rows if not self._database.liveness.alive(row.owner)]:
            self.drop(nonce)

    def accepted(self, runner_id: str, since: datetime) -> list[AcceptedRun]:
        """What a runner did since a moment, oldest first."""
        columns = (_ORDER[name] for name in AcceptedRun.model_fields)
        done = (_ORDER.runner_id == runner_id, _ORDER.answered >= since)
        rows = self._database.mappings(select(*columns).where(*done).order_by(_ORDER.id))
        return [AcceptedRun.model_validate(dict(row)) for row in rows]


def _order(row: Any) -> RunOrder:
    return RunOrder.model_validate({name: row[name] for name in RunOrder.model_fields})
