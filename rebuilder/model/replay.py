"""What running published reports again came to, and how that is told by their age."""

from __future__ import annotations

from rebuilder.model.value import Value, Worded

AGES = (30, 180, 365, None)
"""Ends of the groups by age, in days; the last one has no end."""


class ReplayOutcome(Worded):
    """What running a report again came to."""

    sentence: str
    """Behind the name of a file."""

    AGREES = "agrees", "Run again from the stored inputs: the same bytes."
    """The same bytes as then."""
    DIFFERS = "differs", "Run again from the stored inputs: OTHER bytes than were signed."
    """Other bytes than then."""
    VARIES = "varies", "Run again from the stored inputs: other bytes each time, as the report says."
    """Other bytes than then, of a build that gave other bytes each time then, too: they tell nothing."""
    NOT_REPLAYED = "not-replayed", "It could not be run again."
    """Something it needs cannot be had, or its build did not complete."""


class ReplayedByAge(Value):
    """Reports that were run again by the service, by how old they were when that was last done."""

    days: int | None = None
    """Up to so many days; None: older."""
    outcomes: dict[ReplayOutcome, int]
    """What came of each the last time; zeroes are left out."""

    @property
    def total(self) -> int:
        """All whose bytes tell something."""
        return sum(self.outcomes.values()) - self.outcomes.get(ReplayOutcome.VARIES, 0)

    @property
    def agreeing(self) -> int:
        """Those that gave the same bytes."""
        return self.outcomes.get(ReplayOutcome.AGREES, 0)
