"""When the desk with the key writes the pages that are about everything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from rebuilder.model.alarm import Alarm, AlarmKind
from rebuilder.press import Press
from rebuilder.service.signing import SigningDesk
from rebuilder.storage.ledger import Ledger

NOW = datetime(2026, 11, 22, 5, 0, tzinfo=UTC)


class _Press:
    """Counts how often the index, and with it the page of alarms, was written."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.written = 0

    def write_index(self) -> None:
        self.written += 1


@pytest.fixture
def press(tmp_path: Path) -> Iterator[_Press]:
    """Over an empty ledger."""
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        yield _Press(ledger)


def test_alarms_reach_their_page_without_any_verdict(press: _Press) -> None:
    """Raised and dealt with; an alarm that is only seen again changes no page."""
    times = iter(range(0, 10_000, 100))
    desk = SigningDesk(cast("Press", press), monotonic=lambda: next(times))
    book, written = press.ledger.alarm_book, []

    def step() -> None:
        desk.step()
        written.append(press.written)

    step()
    step()
    alarm = Alarm(kind=AlarmKind.DISK, sentence="The disk is full.", raised=NOW)
    book.raise_alarm(alarm)
    step()
    book.raise_alarm(alarm)
    step()
    book.acknowledge(book.open()[0].number, "Ada", None, NOW)
    step()
    assert [1, 1, 2, 2, 3] == written
