"""A worker over a real ledger: what becomes of a task when the examination, the ledger or the worker fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from rebuilder.errors import StoreError, UsageError
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.artifact import Subject
from rebuilder.service.worker import Worker
from rebuilder.store.ledger import Ledger, tables
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.clock import FixedClock
from tests.fakes.idle import IdleEcosystem, idle_parts
from tests.fakes.ledgers import open_ledger
from tests.fakes.orders import order

FILE = "idna-3.20-py3-none-any.whl"


class Harness:
    """A worker, its clock, and what it is looking at."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.clock, self.ecosystem = ledger, FixedClock(), IdleEcosystem()
        self.waits: list[float] = []
        self.worker = self.another("a")
        ledger.queue.add([order()], self.clock.time)

    def another(self, owner: str) -> Worker:
        """One more worker on the same ledger."""
        parts = idle_parts(self.ledger, MemoryBlobs(), self.clock, self.ecosystem)
        return Worker(parts, owner=owner, lease_seconds=60, wait=self.waits.append)

    def failing(self, error: Exception) -> None:
        """From now on every look fails."""

        def fail(_: Subject) -> None:
            raise error

        self.ecosystem.during = fail

    def passes(self, **time: float) -> None:
        """Time passes."""
        self.clock.time += timedelta(**time)

    def verifications(self) -> list[tuple[str, str | None]]:
        """State and verdict of each, in order."""
        columns = tables.verification.c
        with self.ledger._database.reading() as connection:
            rows = connection.execute(select(columns.state, columns.verdict).order_by(columns.id))
            return [(state, verdict) for state, verdict in rows]

    def tries(self) -> int | None:
        """Of the task; None when there is none."""
        with self.ledger._database.reading() as connection:
            return connection.execute(select(tables.task.c.tries)).scalar()

    def given_up(self) -> list[str]:
        """What the alarms about files that were given up say."""
        return [each.sentence for each in self.ledger.alarms() if each.kind is AlarmKind.GIVEN_UP]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """One task in the queue, and a worker who has not begun."""
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Harness(ledger)


def lose_answers(monkeypatch: pytest.MonkeyPatch, harness: Harness, name: str, *, done: bool, times: int = 1) -> None:
    """Let the next calls of a method of the queue fail, though what was asked for was done, or before it was."""
    real, left = getattr(harness.ledger.queue, name), [times]

    def lossy(*arguments: Any, **named: Any) -> Any:
        if left[0] == 0:
            return real(*arguments, **named)
        left[0] -= 1
        if done:
            real(*arguments, **named)
        raise StoreError("The ledger has lost its connection.")

    monkeypatch.setattr(harness.ledger.queue, name, lossy)


def test_a_task_is_done(harness: Harness) -> None:
    """What was found waits for its signature, and the queue is empty."""
    assert [True, False] == [harness.worker.step() for _ in range(2)]
    [(number, report)] = harness.ledger.unsigned(9)
    assert (1, FILE) == (number, report.artifact.filename)
    assert (None, []) == (harness.tries(), harness.given_up())


def test_no_room_no_work(harness: Harness) -> None:
    """Nothing is begun on a full disk."""
    harness.worker.room = lambda: "The disk is full."
    assert not harness.worker.step()
    assert 0 == harness.tries()


def test_a_full_disk_is_told_once(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    """A worker asks every second; a log that fills the disk would not help."""
    caplog.set_level("INFO", "rebuilder.worker")
    troubles = iter(("1 byte free", "2 bytes free", None, "1 byte free"))
    harness.worker.room = lambda: next(troubles)
    for _ in range(4):
        harness.worker.step()
    told = [each for each in caplog.records if each.levelname in {"INFO", "WARNING"}]
    full = [each for each in told if "1 byte free" in each.getMessage()]
    assert (2, told[0], told[-1]) == (len(full), *full)
    assert not [each for each in told if "2 bytes free" in each.getMessage()]


def test_a_release_that_is_gone(harness: Harness) -> None:
    """It is taken out of the queue; that is neither an alarm nor our failure."""
    harness.failing(UsageError("There is no version 3.20."))
    assert harness.worker.step()
    assert (None, [], []) == (harness.tries(), harness.given_up(), harness.verifications())


@pytest.mark.parametrize("error", [StoreError("The disk is full."), ZeroDivisionError("a defect")])
def test_our_failure_is_tried_again_and_given_up_at_last(harness: Harness, error: Exception) -> None:
    """Later each time; then it is an alarm, which names the file."""
    harness.failing(error)
    waits = []
    while harness.tries() is not None:
        before = harness.clock.time
        while not harness.worker.step():
            harness.passes(minutes=1)
        waits.append((harness.clock.time - before) / timedelta(minutes=1))
    assert [0, 1, 5, 30, 120, 720] == waits
    [sentence] = harness.given_up()
    assert sentence.startswith(f"{FILE} could not be tried 6 times")


def test_what_ends_every_worker_is_given_up(harness: Harness) -> None:
    """A task that each of its workers dies of does not go round for ever."""

    class KilledError(BaseException):
        pass

    def die(_: Subject) -> None:
        raise KilledError

    harness.ecosystem.during = die
    deaths = 0
    while harness.tries() is not None:
        owner = f"worker {deaths}"
        try:
            harness.another(owner).step()
        except KilledError:
            deaths += 1
        harness.ledger.queue.release(owner, harness.clock.time)
        harness.passes(minutes=1)
    assert 21 == deaths
    assert [f"{FILE} could not be tried 21 times; the last reason: Its worker died 21 times."] == harness.given_up()


def test_an_answer_that_got_lost(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result was kept though nobody said so: saying it again is not an error, and nothing is done twice."""
    lose_answers(monkeypatch, harness, "complete", done=True)
    assert harness.worker.step()
    assert ([("examined", "unsupported")], None, [1.0]) == (harness.verifications(), harness.tries(), harness.waits)


def test_a_ledger_that_is_away_for_a_moment_costs_no_build(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is written when it is back."""
    lose_answers(monkeypatch, harness, "complete", done=False, times=3)
    assert harness.worker.step()
    assert ([("examined", "unsupported")], [1.0, 2.0, 5.0]) == (harness.verifications(), harness.waits)


@pytest.mark.parametrize("done", [True, False])
def test_no_task_stays_with_a_worker_who_is_not_at_it(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, *, done: bool
) -> None:
    """The ledger was away when the task was to be put back, or was taken: the worker lives, and lets go of it."""
    harness.failing(StoreError("The disk is full."))
    lose_answers(monkeypatch, harness, "claim" if done else "put_back", done=done)
    with pytest.raises(StoreError, match="lost its connection"):
        harness.worker.step()
    harness.ecosystem.during = lambda _: None
    assert {"a"} == harness.ledger.queue.owners()
    assert not harness.worker.step()
    assert (set(), 1) == (harness.ledger.queue.owners(), harness.tries())
    harness.passes(seconds=1)
    assert harness.worker.step()
    assert ("examined", "unsupported") == harness.verifications()[-1]


def test_stopping_gives_back_and_counts_nothing(harness: Harness) -> None:
    """Another worker has it at once."""
    harness.ecosystem.during = lambda _: harness.worker.give_back()
    assert harness.worker.step()
    assert (0, set()) == (harness.tries(), harness.ledger.queue.owners())
    assert not harness.worker.step(), "it was stopped"
    harness.ecosystem.during = lambda _: None
    assert harness.another("b").step()
    assert [("abandoned", None), ("examined", "unsupported")] == harness.verifications()


def interrupted(harness: Harness) -> Callable[[Subject], None]:
    """While ``a`` is looking, its lease runs out and ``b`` does the same task from start to end."""

    def during(_: Subject) -> None:
        harness.ecosystem.during = lambda _: None
        harness.passes(minutes=2)
        other = harness.another("b")
        assert not other.step(), "the task rests for a moment"
        harness.passes(seconds=1)
        assert other.step()

    return during


def test_a_lost_lease_leaves_one_result(harness: Harness) -> None:
    """What the slow one found is dropped, and does not look as if it went on."""
    harness.ecosystem.during = interrupted(harness)
    assert harness.worker.step()
    assert [("examined", "unsupported"), ("abandoned", None)] == harness.verifications()
    assert (None, []) == (harness.tries(), harness.given_up())
