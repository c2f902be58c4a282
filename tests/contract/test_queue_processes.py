"""Several processes at one queue: each task is done once, and what a killed one had is done by another."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest

from rebuilder.clock import SystemClock
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process
from tests.fakes.orders import order
from tests.fakes.queue_worker import work

ROOT = Path(__file__).parent.parent.parent
TASKS = 300


class Worker:
    """A process at the queue of a ledger."""

    def __init__(self, place: str, *options: str) -> None:
        command = [sys.executable, "-m", "tests.fakes.queue_worker", place, *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.owner = self.line()

    def line(self) -> str:
        """What it says next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def full(ledger: Ledger) -> Ledger:
    """A ledger with tasks for 200 releases, every other with two files."""
    orders = [order(f"p{each}") for each in range(TASKS * 2 // 3)]
    orders += [order(f"p{each}", filename=f"p{each}-3.20.tar.gz") for each in range(0, TASKS * 2 // 3, 2)]
    assert TASKS == ledger.queue.add(orders, SystemClock().now())
    return ledger


def test_each_task_is_done_once_whoever_is_killed(full: Ledger, place: str) -> None:
    """Three processes work while a fourth is killed in the middle of a task; that is done last."""
    with ExitStack() as stack:
        killed = stack.enter_context(Worker(place, "--hold"))
        held = killed.line()
        workers = [stack.enter_context(Worker(place)) for _ in range(3)]
        assert 0 == full.queue.release_dead(SystemClock().now())
        killed.process.kill()
        killed.process.wait()
        done = [int(each.line()) for each in workers]
        assert all(each.process.wait() == 0 for each in workers)
    assert {killed.owner} == full.queue.owners()
    assert held not in _completed(full)
    assert 1 == full.queue.release_dead(SystemClock().now() - timedelta(minutes=1))
    assert work(full, this_process()) == TASKS - sum(done)
    completed = _completed(full)
    assert {1} == set(completed.values())
    assert TASKS == len(completed)
    assert set() == full.queue.owners()


def _completed(ledger: Ledger) -> Counter[str]:
    return Counter(report.artifact.filename for _, report in ledger.unsigned(TASKS * 2))
