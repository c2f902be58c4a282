"""What running published reports again came to, and how that is told by their age."""

from __future__ import annotations

from enum import StrEnum

from rebuilder.model.value import Value

AGES = (30, 180, 365, None)
"""Ends of the groups by age, in days; the last one has no end."""


class ReplayOutcome(StrEnum):
    """What running a report again came to."""

    AGREES = "agrees"
    """The same bytes as then."""
    DIFFERS = "differs"
    """Other bytes than then."""
    VARIES = "varies"
    """Other bytes than then, of a build that gave other bytes each time then, too: they tell nothing."""
    NOT_REPLAYED = "not-replayed"
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
