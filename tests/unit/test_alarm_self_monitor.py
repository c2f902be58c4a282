"""The watchman puts into the book what the rules say about the figures of the moment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rebuilder.alarms.rules import SelfMonitor
from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.settings import ServiceSettings
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger
from tests.fakes.verifications import NOW, artifact


def test_conditions_come_and_go(tmp_path: Path) -> None:
    """Full disk, failures and an old key are alarms; when they have passed nothing is left to do by hand."""
    clock, free = FixedClock(NOW), [10]
    made = [NOW - timedelta(days=400)]
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        for number in range(20):
            ledger.fail(ledger.begin(artifact(version=str(number)), NOW), "The disk is full.", NOW)
        watchman = SelfMonitor(ledger, ServiceSettings(), clock, lambda: free[0], 100, lambda: made[0])
        for _ in range(2):
            watchman.step()
        expected = {AlarmKind.DISK: 2, AlarmKind.FAILURE_RATE: 2, AlarmKind.KEY_EXPIRY: 2}
        assert expected == {each.alarm.kind: each.count for each in ledger.alarm_book.open()}
        assert {Severity.PAGE} == {each.severity for each in ledger.alarm_book.open()}
        clock.time += timedelta(hours=7)
        free[0], made[0] = 200, NOW
        watchman.step()
        assert [] == ledger.alarm_book.open()
