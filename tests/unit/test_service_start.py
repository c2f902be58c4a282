"""A ledger that is away at the moment workers are to start is waited for, and that is told once."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rebuilder.errors import StoreError
from rebuilder.service import service
from rebuilder.service.service import Service


class Pool:
    """Workers whose ledger is away for a while."""

    size = 2

    def __init__(self, away: int) -> None:
        self.away, self.asked = away, 0

    def start(self) -> None:
        """Start, or find the ledger away."""
        self.asked += 1
        if self.asked <= self.away:
            raise StoreError("The ledger is away.")


def started(away: int, monkeypatch: pytest.MonkeyPatch, stopping: threading.Event | None = None) -> Pool:
    """Start the workers of a service and nothing else of it; nobody waits in earnest."""
    monkeypatch.setattr(service, "_LEDGER_SECONDS", 0)
    monkeypatch.setattr(service, "_LEDGER_TRIES", 5)
    it: Any = object.__new__(Service)
    it._workers = Pool(away)
    it._start_workers(stopping or threading.Event())
    pool: Pool = it._workers
    return pool


def test_it_comes_back(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Then the workers start; the log says once that they waited."""
    assert 4 == started(3, monkeypatch).asked
    assert 1 == caplog.text.count("The workers wait for the ledger")


def test_it_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait has an end, and the end is an error that a supervisor sees."""
    with pytest.raises(StoreError):
        started(99, monkeypatch)


def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a ledger to stop."""
    stopping = threading.Event()
    stopping.set()
    assert 1 == started(99, monkeypatch, stopping).asked
