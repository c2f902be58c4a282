"""Runs that were asked of a fleet: which are open, and whose answer was accepted.

The broker carries orders; this is where it is decided which answer counts. The first one that is accepted for an order
closes it, and it is never open again.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update

from rebuilder.model.fleet import AcceptedRun, RunnerState, RunOrder
from rebuilder.model.work import Check, Order, Reason, Tier
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database

_ORDER = tables.run_order.c
_NEWEST = 1000
"""Orders that are looked at to see who serves a queue."""
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
            _ORDER.queue == queue,
            _ORDER.asked_of.is_not_distinct_from(asked_of),
        )
        liveness = self._database.liveness
        liveness.claim(owner)
        with self._database.writing() as connection:
            for row in connection.execute(select(tables.run_order).where(*same)).mappings().all():
                if row["owner"] != owner and not liveness.alive(row["owner"]):
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
            active = (tables.runner.c.id == runner_id, tables.runner.c.state == RunnerState.ACTIVE.value)
            is_active = select(tables.runner.c.id).where(*active).exists()
            values = {"runner_id": runner_id, "envelope": envelope, "log_sha256": log_sha256, "answered": now}
            accepted = update(tables.run_order).where(_OPEN, _ORDER.nonce == nonce, is_active).values(values)
            if not connection.execute(accepted).rowcount:
                return False
            connection.execute(
                update(tables.runner).where(*active).values(seen=now, reason=None, runs=tables.runner.c.runs + 1)
            )
            return True

    def drop(self, nonce: str) -> None:
        """No answer to this order will count, unless one did already."""
        with self._database.writing() as connection:
            connection.execute(delete(tables.run_order).where(_OPEN, _ORDER.nonce == nonce))

    def overtaken(self, order: RunOrder) -> bool:
        """Whether the newest answered order of the same queue was asked for later: then this one may be lost."""
        answered = (_ORDER.queue == order.queue, _ORDER.asked_of.is_(None), _ORDER.runner_id.is_not(None))
        newest = select(_ORDER.ordered).where(*answered).order_by(_ORDER.id.desc()).limit(1)
        with self._database.reading() as connection:
            ordered = connection.execute(newest).scalar_one_or_none()
        return ordered is not None and ordered > order.ordered

    def serving(self, queue: str, since: datetime) -> set[str]:
        """Runners that answered one of the newest orders of a queue since a moment."""
        newest = select(_ORDER.runner_id, _ORDER.answered).where(_ORDER.queue == queue, _ORDER.runner_id.is_not(None))
        with self._database.reading() as connection:
            rows = connection.execute(newest.order_by(_ORDER.id.desc()).limit(_NEWEST)).all()
        return {row.runner_id for row in rows if row.answered >= since}

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

    def touched(self, runner_id: str, since: datetime) -> list[Order]:
        """The published files in whose verification a run of a runner counts, as orders to verify them again."""
        artifact, attempt, verification = tables.artifact.c, tables.attempt.c, tables.verification.c
        query = (
            select(artifact.ecosystem, artifact.purl, artifact.name, artifact.version, artifact.filename)
            .select_from(tables.run_order)
            .join(
                tables.attempt,
                (attempt.definition_sha256 == _ORDER.definition_sha256) & (attempt.log_sha256 == _ORDER.log_sha256),
            )
            .join(tables.verification, verification.id == attempt.verification_id)
            .join(tables.artifact, artifact.id == verification.artifact_id)
            .where(_ORDER.runner_id == runner_id, _ORDER.answered >= since)
            .distinct()
            .order_by(artifact.purl, artifact.filename)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [Order(**row, reason=Reason.RECHECK, tier=Tier.FULL, check=Check.VERIFY) for row in rows]


def _order(row: Any) -> RunOrder:
    return RunOrder.model_validate({name: row[name] for name in RunOrder.model_fields})
