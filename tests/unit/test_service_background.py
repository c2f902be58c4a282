"""BackgroundLoops that cannot stop each other."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rebuilder.errors import StoreError
from rebuilder.service.service import BackgroundLoops, Loop

PATIENCE = 20


def failing(error: Exception, rounds: threading.Semaphore) -> Callable[[], None]:
    """A step that fails each time."""

    def step() -> None:
        rounds.release()
        raise error

    return step


@pytest.mark.parametrize("error", [StoreError("The disk is full."), ZeroDivisionError("a defect")])
def test_a_loop_that_fails_goes_on(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and tried again; another loop does not notice."""
    loops, bad, good = BackgroundLoops(), threading.Semaphore(0), threading.Semaphore(0)
    loops.start(Loop("bad", 0.001, failing(error, bad)))
    loops.start(Loop("good", 0.001, good.release))
    for rounds in (bad, good):
        assert all(rounds.acquire(timeout=PATIENCE) for _ in range(3))
    loops.stop(PATIENCE)
    traceback = any(record.exc_info for record in caplog.records)
    assert isinstance(error, ZeroDivisionError) == traceback
    assert "bad:" in caplog.text


def test_a_loop_that_fails_for_days_goes_on() -> None:
    """The wait after so many failures is still a number: two to the power of a thousand is more than a float holds."""
    loops, rounds = BackgroundLoops(), threading.Semaphore(0)
    loops.start(Loop("bad", 1e-306, failing(StoreError("The database is away."), rounds)))
    assert all(rounds.acquire(timeout=PATIENCE) for _ in range(1100))
    loops.stop(PATIENCE)


def test_stopping_ends_the_wait() -> None:
    """Nobody waits for an hour because the next round is due in an hour."""
    loops, rounds = BackgroundLoops(), threading.Semaphore(0)
    loops.start(Loop("hourly", 3600, rounds.release))
    assert rounds.acquire(timeout=PATIENCE)
    loops.stop(PATIENCE)
    assert not any(thread.is_alive() for thread in loops._threads)
    assert not rounds.acquire(blocking=False)
