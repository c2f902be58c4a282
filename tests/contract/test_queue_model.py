"""The queue against a model of it: whatever happens in whatever order, nothing is lost and nothing done twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from rebuilder.model.comparison import Level
from rebuilder.model.work import Lease, Reason, Tier
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.ledger.queue.queue import LeaseLostError
from rebuilder.store.ledger.queue.state import counted
from tests.fakes.orders import order, order_for, ordered
from tests.fakes.verifications import NOW, attempt, report

OWNERS = st.sampled_from("abc")
FILES = st.tuples(st.sampled_from(("idna", "other")), st.sampled_from(("a.whl", "b.whl", "c.tar.gz")))
WAITS = st.sampled_from((None, timedelta(0), timedelta(seconds=30), timedelta(minutes=5)))
WATCHES = st.sampled_from((None, "one", "other"))
LEASE_SECONDS = 60


@dataclass
class Expected:
    """What the model knows of a task."""

    project: str
    tier: Tier
    priority: int
    not_before: datetime
    tries: int = 0
    owner: str | None = None
    until: datetime = NOW


class QueueMachine(RuleBasedStateMachine):
    """Every public operation of the queue, also with leases that were lost long ago."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.queue, self.ledger, self.now = ledger.queue, ledger, NOW
        with ledger._database.writing() as connection:  # every example begins with nothing
            for table in (
                tables.task,
                tables.task_count,
                tables.stage,
                tables.blob_reference,
                tables.verification,
                tables.artifact,
            ):
                connection.execute(table.delete())
        self.tasks: dict[int, Expected] = {}
        self.leases: list[Lease] = []
        self.completed: list[int] = []

    @rule(file=FILES, reason=st.sampled_from(Reason), tier=st.sampled_from(Tier), watch=WATCHES)
    def add(self, file: tuple[str, str], reason: Reason, tier: Tier, watch: str | None) -> None:
        """A file that is queued is not queued again."""
        asked = order(file[0], filename=file[1], reason=reason, tier=tier, watch=watch)
        before = self._ids()
        new = self.queue.add([asked], self.now)
        known = self._ids()[file] in self.tasks
        assert int(not known) == new
        assert len(before) + new == len(self._ids())
        task = self.tasks.setdefault(self._ids()[file], Expected(file[0], tier, asked.priority, self.now))
        task.tier = max(task.tier, tier, key=list(Tier).index)
        task.priority = min(task.priority, asked.priority)
        if reason is Reason.ASKED:
            task.not_before, task.tries = min(task.not_before, self.now), 0

    @rule(owner=OWNERS)
    def claim(self, owner: str) -> None:
        """The most urgent of what may be worked on, and never a release that somebody is at."""
        for task in self.tasks.values():
            if task.owner is not None and task.until <= self.now:
                self._lost(task)
        worked_on = {each.project for each in self.tasks.values() if each.owner is not None}
        possible = {
            number: each
            for number, each in self.tasks.items()
            if each.project not in worked_on and each.not_before <= self.now
        }
        lease = self.queue.claim(owner, self.now, LEASE_SECONDS)
        if lease is None:
            assert {} == possible
            return
        taken = possible[lease.task.id]
        assert min(each.priority for each in possible.values()) == taken.priority
        assert (taken.tier, taken.priority, taken.tries) == (
            lease.task.order.tier,
            lease.task.order.priority,
            lease.task.tries,
        )
        taken.owner, taken.until = owner, lease.until
        self.leases.append(lease)

    @rule(owner=OWNERS)
    def renew(self, owner: str) -> None:
        """Only what the owner still has lasts longer."""
        self.queue.renew(owner, self.now, LEASE_SECONDS)
        for task in self.tasks.values():
            if task.owner == owner:
                task.until = self.now + timedelta(seconds=LEASE_SECONDS)

    @rule(owner=OWNERS)
    def release(self, owner: str) -> None:
        """Everything an owner has waits again."""
        held = [each for each in self.tasks.values() if each.owner == owner]
        assert len(held) == self.queue.release(owner, self.now)
        for task in held:
            self._lost(task)

    @rule(seconds=st.sampled_from((1, 29, 61, 3600)))
    def time_passes(self, seconds: int) -> None:
        """Leases run out, and tasks become due."""
        self.now += timedelta(seconds=seconds)

    @rule(data=st.data(), wait=WAITS)
    def complete(self, data: st.DataObject, wait: timedelta | None) -> None:
        """Ended by the one that has it, once; or kept for another try."""
        if (lease := self._any_lease(data)) is None:
            return
        of = ordered(lease.task.order)
        number = self.ledger.begin(of, self.now, lease.task.order)
        done = report(of, attempt(of, Level.IDENTICAL), finished=self.now)
        retry_at = None if wait is None else self.now + wait
        try:
            self.queue.complete(lease, number, done, {}, retry_at=retry_at)
        except LeaseLostError:
            assert not self._valid(lease)
            return
        assert self._valid(lease)
        self.completed.append(number)
        self._ended(lease, retry_at)

    @rule(data=st.data(), wait=WAITS, counts=st.booleans())
    def put_back(self, data: st.DataObject, wait: timedelta | None, *, counts: bool) -> None:
        """Waits again, with or without a try."""
        if (lease := self._any_lease(data)) is None:
            return
        not_before = None if wait is None else self.now + wait
        try:
            self.queue.put_back(lease, None, "Disk.", self.now, not_before=not_before, counts=counts)
        except LeaseLostError:
            assert not self._valid(lease)
            return
        assert self._valid(lease)
        if counts:
            self._ended(lease, not_before or self.now)
            return
        task = self.tasks[lease.task.id]
        task.owner, task.not_before = None, not_before or task.not_before

    @rule(data=st.data(), follow=st.booleans())
    def discard(self, data: st.DataObject, *, follow: bool) -> None:
        """Replaced by a full look, or gone."""
        if (lease := self._any_lease(data)) is None:
            return
        asked = lease.task.order
        after = order_for(ordered(asked), tier=Tier.FULL, reason=Reason.REGRESSION) if follow else None
        try:
            self.queue.discard(lease, None, "Nothing.", self.now, {}, follow=after)
        except LeaseLostError:
            assert not self._valid(lease)
            return
        assert self._valid(lease)
        self._ended(lease, None)
        if after is not None:
            number = self._ids()[after.name, after.filename]
            fresh = Expected(after.name, Tier.FULL, after.priority, self.now)
            task = self.tasks.setdefault(number, fresh)
            task.tier, task.priority = Tier.FULL, min(task.priority, after.priority)

    @invariant()
    def every_task_is_there_once(self) -> None:
        """The table has exactly the model's tasks, held by whom the model says, one of a release at a time."""
        with self.ledger._database.reading() as connection:
            rows = connection.execute(select(tables.task)).mappings().all()
        expected = {number: (each.owner, each.not_before, each.tries) for number, each in self.tasks.items()}
        assert expected == {row["id"]: (row["lease_owner"], row["not_before"], row["tries"]) for row in rows}
        held = [row["purl"] for row in rows if row["lease_owner"] is not None]
        assert len(set(held)) == len(held)

    @invariant()
    def what_was_completed_is_kept_once(self) -> None:
        """One report for each completion, and none for a lost lease."""
        assert self.completed == [number for number, _ in self.ledger.unsigned(1000)]

    @invariant()
    def the_state_counts_every_task(self) -> None:
        """Running, waiting and delayed are all there is."""
        state = self.queue.state(self.now)
        running = {n: each for n, each in self.tasks.items() if each.owner is not None and each.until > self.now}
        assert set(running) == {each.task for each in state.running}
        due = [each for n, each in self.tasks.items() if n not in running and each.not_before <= self.now]
        assert (len(due), len(self.tasks) - len(due) - len(running)) == (state.waiting, state.delayed)
        assert min((each.not_before for each in due), default=None) == state.oldest

    @invariant()
    def what_is_counted_is_right(self) -> None:
        """Counts that are kept say what counting anew would say."""
        with self.ledger._database.reading() as connection:
            rows = connection.execute(select(tables.task)).mappings().all()
            artifact = tables.artifact.c
            seen = set(map(tuple, connection.execute(select(artifact.purl, artifact.filename))))
            kept = {kind: counted(connection, kind) for kind in ("reason", "watch", "resting", "unseen")}
        for kind in ("reason", "watch"):
            assert Counter(row[kind] for row in rows if row[kind] is not None) == kept[kind]
        assert Counter(row["reason"] for row in rows if not row["ready"]) == kept["resting"]
        assert all(row["not_before"] <= self.now for row in rows if row["ready"])
        unseen = Counter(row["ecosystem"] for row in rows if (row["purl"], row["filename"]) not in seen)
        assert unseen == kept["unseen"]

    def _ids(self) -> dict[tuple[str, str], int]:
        with self.ledger._database.reading() as connection:
            columns = tables.task.c
            rows = connection.execute(select(columns.name, columns.filename, columns.id))
            return {(name, filename): number for name, filename, number in rows}

    def _any_lease(self, data: st.DataObject) -> Lease | None:
        return data.draw(st.sampled_from(self.leases)) if self.leases else None

    def _valid(self, lease: Lease) -> bool:
        task = self.tasks.get(lease.task.id)
        return task is not None and task.owner == lease.owner

    def _lost(self, task: Expected) -> None:
        """Its worker went away."""
        task.owner, task.not_before = None, self.now + timedelta(seconds=min(60, 2**task.tries))
        task.tries += 1

    def _ended(self, lease: Lease, retry_at: datetime | None) -> None:
        """A task goes, unless it is tried again or more was asked for while somebody was at it."""
        task = self.tasks[lease.task.id]
        tiers = list(Tier)
        if tiers.index(task.tier) > tiers.index(lease.task.order.tier):
            task.owner, task.tries = None, 0
        elif retry_at is None:
            del self.tasks[lease.task.id]
        else:
            task.owner, task.not_before, task.tries = None, retry_at, task.tries + 1
            task.priority = max(task.priority, Reason.RETRY.priority)


def test_nothing_is_lost_and_nothing_done_twice(ledger: Ledger) -> None:
    """Orders, leases, signs of life, endings and time, in any order and by several owners."""

    class OnThisLedger(QueueMachine):
        def __init__(self) -> None:
            super().__init__(ledger)

    run_state_machine_as_test(
        OnThisLedger,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
