"""The queue: what is to be done, in which order, and who is at it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select, update

from rebuilder.errors import StoreError
from rebuilder.model.operations import QueueState
from rebuilder.model.report import Report
from rebuilder.model.work import Lease, Order
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.liveness import process_of
from rebuilder.store.ledger.queue.rows import (
    FREED,
    GIVEN_UP,
    ORDER,
    TASK,
    abandon,
    add_orders,
    add_tallies,
    again,
    change,
    done,
    has_ended_well,
    leased,
    lost,
    note_given_up,
    order_columns,
    running_verifications,
    take_away_expired,
    task_of,
    wake,
)
from rebuilder.store.ledger.queue.state import read_state
from rebuilder.store.ledger.rows import UNFINISHED, keep_examined


class LeaseLostError(StoreError):
    """A worker's time with a task ran out and the task was taken from it; what it brought was not taken."""


class Queue:
    """Orders go in, leases come out; every method is one transaction, so that many processes can share one queue.

    A file is queued once, and a release is worked on by one worker at a time. A lease whose time has run out is still
    its owner's until somebody claims something: then it is taken away, and the task waits again for a little while.

    All methods raise :class:`StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, orders: Sequence[Order], now: datetime) -> int:
        """Queue orders, and give the number of new tasks.

        An order for a file that is queued already makes that task as urgent and as thorough as itself. If somebody is
        at that file just then, and less thoroughly, it will be looked at once more.
        """
        if not orders:
            return 0
        with self._database.writing() as connection:
            return add_orders(connection, orders, now)

    def claim(self, owner: str, now: datetime, lease_seconds: float) -> Lease | None:
        """Take the next task that may be worked on; None when there is none.

        Args:
            owner: Who takes it; alive as long as this ledger is open.
            now: Tasks that wait for a later time are left.
            lease_seconds: After so long without :meth:`renew` it is another's.
        """
        self._database.liveness.claim(owner)
        with self._database.writing() as connection:
            take_away_expired(connection, now)
            wake(connection, now)
            row = connection.execute(next_task(now)).mappings().first()
            if row is None:
                return None
            lease = Lease(task=task_of(row), owner=owner, until=now + timedelta(seconds=lease_seconds))
            change(connection, row, lease_owner=owner, lease_until=lease.until)
            return lease

    def renew(self, owner: str, now: datetime, lease_seconds: float) -> None:
        """Keep all leases of an owner for so long from now on; those that were taken away stay so."""
        with self._database.writing() as connection:
            of_owner = update(tables.task).where(TASK.lease_owner == owner, leased())
            connection.execute(of_owner.values(lease_until=now + timedelta(seconds=lease_seconds)))

    def holds(self, lease: Lease) -> bool:
        """Whether the lease has not been taken away."""
        return bool(self._database.rows(_own(lease)))

    def complete(
        self,
        lease: Lease,
        number: int,
        report: Report,
        tallies: Mapping[tuple[str, str], int],
        *,
        retry_at: datetime | None = None,
    ) -> None:
        """End a task with what came of it; all of it is written, or nothing.

        It may be called again with the same values when it is not known whether it was done, as when the connection to
        the database was lost.

        Args:
            lease: On the task.
            number: Of the verification; it becomes ``examined``, to be signed by whoever has a key.
            report: What was found.
            tallies: What is only counted, by name and label.
            retry_at: When the task is tried again; None: it is done.

        Raises:
            LeaseLostError: the task was given to another, or ended.
        """
        try:
            with self._ending(lease, number, report.finished) as (connection, row):
                keep_examined(connection, number, report)
                of_order = update(tables.verification).where(tables.verification.c.id == number)
                connection.execute(of_order.values(order_columns(lease.task.order)))
                add_tallies(connection, tallies)
                if retry_at is not None:
                    again(connection, lease, row, retry_at, report.finished)
                else:
                    done(connection, lease, row, None, report.finished)
        except LeaseLostError:
            with self._database.reading() as connection:
                if not has_ended_well(connection, number):
                    raise

    def discard(
        self,
        lease: Lease,
        number: int | None,
        sentence: str,
        now: datetime,
        tallies: Mapping[tuple[str, str], int],
        *,
        follow: Order | None,
    ) -> None:
        """End a task of which nothing is said about the artifact, such as a quick look that confirmed nothing.

        Args:
            lease: On the task.
            number: Of the verification; it becomes ``abandoned``, and counts neither as a result nor as our failure.
            sentence: Why.
            now: When.
            tallies: What is only counted, by name and label.
            follow: What takes the task's place.

        Raises:
            LeaseLostError: see :meth:`complete`.
        """
        with self._ending(lease, number, now) as (connection, row):
            abandon(connection, number, now, sentence)
            add_tallies(connection, tallies)
            done(connection, lease, row, follow, now)

    def put_back(
        self,
        lease: Lease,
        number: int | None,
        sentence: str | None,
        now: datetime,
        *,
        not_before: datetime | None,
        counts: bool,
    ) -> None:
        """Let a task wait again.

        Args:
            lease: On the task.
            number: Of the verification; it becomes ``abandoned``.
            sentence: Why; None: it was stopped.
            now: When.
            not_before: It waits until then; None: it can be taken at once.
            counts: It was our failure (``infra-error``) and a try; False: nothing was tried, as when a worker stops.

        Raises:
            LeaseLostError: see :meth:`complete`.
        """
        with self._ending(lease, number, now) as (connection, row):
            abandon(connection, number, now, sentence or "It was stopped.", ours=counts, kind=UNFINISHED)
            if counts:
                again(connection, lease, row, not_before or now, now)
            else:
                change(connection, row, not_before=not_before or row["not_before"], **FREED)

    def give_up(self, lease: Lease, number: int | None, sentence: str, now: datetime, *, ours: bool = True) -> None:
        """End a task without a result that is not tried again by itself.

        Args:
            lease: On the task.
            number: Of the verification; None: none was begun.
            sentence: Why.
            now: When.
            ours: It was our failure; False: there is nothing to verify, as when a release was taken back.

        Raises:
            LeaseLostError: see :meth:`complete`.
        """
        with self._ending(lease, number, now) as (connection, row):
            if number is None:
                note_given_up(connection, row, now, sentence, ours=ours)
            abandon(connection, number, now, sentence, ours=ours, kind=GIVEN_UP)
            done(connection, lease, row, None, now)

    def release(self, owner: str, now: datetime) -> int:
        """Let everything wait again that an owner holds who is no more; give the number of tasks.

        What its processes were verifying is ``abandoned``. That is a try, and the tasks wait a little.
        """
        with self._database.writing() as connection:
            held = select(tables.task).where(TASK.lease_owner == owner, leased())
            rows = connection.execute(held).mappings().all()
            for row in rows:
                for number in connection.execute(running_verifications(row)).scalars().all():
                    if not self._database.liveness.alive(process_of(number)):
                        abandon(connection, number, now, "Its process went away.", kind=UNFINISHED)
                lost(connection, row, now)
            return len(rows)

    def release_dead(self, now: datetime) -> int:
        """:meth:`release` what is held by owners whose process has ended; give the number of tasks."""
        dead = [owner for owner in self.owners() if not self._database.liveness.alive(owner)]
        return sum(self.release(owner, now) for owner in dead)

    def bury(self, now: datetime) -> int:
        """End all verifications whose process is no more, whoever began them; give their number."""
        running = select(tables.verification.c.id).where(tables.verification.c.state == "running")
        with self._database.writing() as connection:
            numbers = connection.execute(running).scalars().all()
            dead = [number for number in numbers if not self._database.liveness.alive(process_of(number))]
            for number in dead:
                abandon(connection, number, now, "Its process went away.", kind=UNFINISHED)
            return len(dead)

    def state(self, now: datetime, upcoming: int = 10) -> QueueState:
        """The queue as it is, with the next few tasks."""
        with self._database.reading() as connection:
            return read_state(connection, now, upcoming)

    def owners(self) -> set[str]:
        """Everybody who holds a lease."""
        return set(self._database.values(select(TASK.lease_owner).where(leased())))

    def _alive_elsewhere(self, number: int) -> bool:
        """Whether somebody else is at a verification, once this process is not: who took it up has the last word."""
        self._database.liveness.release(process_of(number))
        return self._database.liveness.alive(process_of(number))

    @contextlib.contextmanager
    def _ending(self, lease: Lease, number: int | None, now: datetime) -> Iterator[tuple[Connection, RowMapping]]:
        """One transaction on a task that is still the owner's; after it nobody works on the verification any more."""
        try:
            with self._database.writing() as connection:
                row = connection.execute(_own(lease)).mappings().first()
                if row is not None:
                    yield connection, row
                    return
                if number is not None and not self._alive_elsewhere(number):
                    abandon(connection, number, now, "The task was given to another.")
            order = lease.task.order
            raise LeaseLostError(
                f"The work on {order.filename} of {order.purl} took too long without a sign of life, and was "
                "given to another.",
                hint="Nothing is lost: it is done again.",
            )
        finally:
            if number is not None:
                self._database.liveness.release(process_of(number))


_HELD = tables.task.alias("held")


def next_task(now: datetime) -> Select[Any]:
    """The first task in order that may be worked on.

    ``lease_owner`` has no index on purpose: a database goes along ``task_next`` and stops at the first that fits; what
    rests is not in its way. Writers come one at a time anyway; ``SKIP LOCKED`` is for a row that somebody else has
    locked, by hand or with another tool: it does not stop the queue.
    """
    worked_on = select(_HELD.c.purl).where(leased(_HELD))
    query = select(tables.task).where(
        TASK.ready, TASK.lease_owner.is_(None), TASK.not_before <= now, TASK.purl.not_in(worked_on)
    )
    return query.order_by(*ORDER).limit(1).with_for_update(skip_locked=True)


def _own(lease: Lease) -> Select[Any]:
    return select(tables.task).where(TASK.id == lease.task.id, TASK.lease_owner == lease.owner)
