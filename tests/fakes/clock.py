"""A clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class FixedClock:
    """Implements :class:`rebuilder.clock.Clock`; each look at it advances it by ``step``."""

    def __init__(
        self, start: datetime = datetime(2026, 11, 1, 12, tzinfo=UTC), *, step: timedelta = timedelta(0)
    ) -> None:
        self.time = start
        self.step = step

    def now(self) -> datetime:
        """The time it was set to."""
        now = self.time
        self.time += self.step
        return now
