"""The runners of a fleet: whose answers count, and since when not any more."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlalchemy import Connection, RowMapping, func, select, update

from rebuilder.errors import UsageError
from rebuilder.model.fleet import EnrolledRunner, FleetFigures, OpenRuns, RunnerFigures, RunnerState
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
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.runner).order_by(_RUNNER.name)).mappings().all()
        return [_runner(row) for row in rows]

    def get(self, runner_id: str) -> EnrolledRunner | None:
        """The one with this id, whatever its state; None when it was never enrolled."""
        with self._database.reading() as connection:
            row = connection.execute(select(tables.runner).where(_RUNNER.id == runner_id)).mappings().first()
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
        with self._database.writing() as connection:
            connection.execute(update(tables.runner).where(*active).values(reason=sentence))


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
