"""Runs that were asked of a fleet: which are open, and whose answer was accepted.

The broker carries orders; this is where it is decided which answer counts. The first one that is accepted for an order
closes it, and it is never open again.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update

from rebuilder.model.fleet import AcceptedRun, RunnerState, RunOrder
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database

_ORDER = tables.run_order.c
_RUNNER = tables.runner.c
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
        with self._database.writing() as connection:
            connection.execute(delete(tables.run_order).where(_OPEN, _ORDER.nonce == nonce))

    def overtaken(self, order: RunOrder) -> bool:
        """Whether an order of the same queue that was asked for later was answered: then this one may be lost."""
        this = select(_ORDER.id).where(_ORDER.nonce == order.nonce).scalar_subquery()
        answered = (_ORDER.queue == order.queue, _ORDER.asked_of.is_(None), _ORDER.runner_id.is_not(None))
        with self._database.reading() as connection:
            later = select(_ORDER.id).where(_ORDER.id > this, *answered).order_by(_ORDER.id.desc()).limit(1)
            return connection.execute(later).first() is not None

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
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.run_order).where(_OPEN).order_by(_ORDER.id)).mappings().all()
        return [_order(row) for row in rows]

    def bury(self, before: datetime) -> None:
        """Drop those from before a moment whose process is no more, and that no other has taken over since."""
        old = select(_ORDER.nonce, _ORDER.owner).where(_OPEN, _ORDER.ordered < before)
        with self._database.reading() as connection:
            rows = connection.execute(old).all()
        for nonce in [row.nonce for row in rows if not self._database.liveness.alive(row.owner)]:
            self.drop(nonce)

    def accepted(self, runner_id: str, since: datetime) -> list[AcceptedRun]:
        """What a runner did since a moment, oldest first."""
        columns = (_ORDER[name] for name in AcceptedRun.model_fields)
        done = (_ORDER.runner_id == runner_id, _ORDER.answered >= since)
        with self._database.reading() as connection:
            rows = connection.execute(select(*columns).where(*done).order_by(_ORDER.id)).mappings().all()
        return [AcceptedRun.model_validate(dict(row)) for row in rows]


def _order(row: Any) -> RunOrder:
    return RunOrder.model_validate({name: row[name] for name in RunOrder.model_fields})
