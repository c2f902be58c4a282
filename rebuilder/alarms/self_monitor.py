"""Looks at our own operation now and then, and puts what the rules say into the alarm book."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rebuilder.alarms import rules
from rebuilder.alarms.rules import Judgement
from rebuilder.clock import Clock
from rebuilder.model.settings import ServiceSettings
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.alarm_book import AlarmBook


@dataclass(frozen=True)
class SelfMonitor:
    """Queue, failures, disk, key and watches; one look per step.

    Args:
        ledger: Where work and alarms are.
        settings: Limits.
        clock: The time.
        free_bytes: Gives what the disk of the store has free.
        needed_bytes: What must be free for new work to begin.
        key_made: Gives when the signing key was made; None when this process does not know.
        watches: Judges whether all watches looked when they should.
    """

    ledger: Ledger
    settings: ServiceSettings
    clock: Clock
    free_bytes: Callable[[], int]
    needed_bytes: int
    key_made: Callable[[], datetime | None] = lambda: None
    watches: Callable[[datetime], Judgement] = lambda _: Judgement()

    def step(self) -> Judgement:
        """Look, raise and clear; gives what was found.

        Raises:
            StoreError: the ledger cannot be used.
            OSError: the disk cannot be asked.
        """
        now, book = self.clock.now(), self.ledger.alarm_book
        found = rules.queue_age(self.ledger.queue.state(now), self.settings.queue_hours, now)
        found += rules.failure_rate(book.ended(rules.WINDOWS, now), self.settings.failure_share, now)
        found += rules.disk(self.free_bytes(), self.needed_bytes, now)
        if (made := self.key_made()) is not None:
            found += rules.key_age(made, self.settings.key_days, now)
        found += self.watches(now)
        settle(book, found, now)
        return found


def settle(book: AlarmBook, judgement: Judgement, now: datetime) -> None:
    """Put a judgement into the book.

    Raises:
        StoreError: the ledger cannot be used.
    """
    for alarm, severity in judgement.raised:
        book.raise_alarm(alarm, severity=severity)
    for kind, cause in judgement.passed:
        book.clear(kind, cause, now)
