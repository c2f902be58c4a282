"""Figures about what is known, tried and found: the value that metrics are made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.fleet import FleetFigures
from rebuilder.model.operations import Cost, Spread, WatchState
from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.model.replay import ReplayedByAge
from rebuilder.model.report import Stage
from rebuilder.model.value import Value
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason, Tier


class EcosystemFigures(Value):
    """The published files of one ecosystem, as they stand now."""

    verdicts: dict[Verdict, int] = {}
    """Newest verdict of each file; zeroes are left out."""
    written: int = 0
    """Of the reproduced ones, those with recorded metadata written into the finished archive."""
    untested: int = 0
    """Files that are queued or were seen and have no verdict, such as those that only met faults of ours."""
    provenance: dict[ProvenanceStatus, int] = {}
    """What upstream signed, of the files with a verdict; those where it was not checked are left out."""

    @property
    def known(self) -> int:
        """All files: the denominator of every percentage."""
        return self.tested + self.untested

    @property
    def tested(self) -> int:
        """Files with a verdict, whichever it is."""
        return sum(self.verdicts.values())

    @property
    def alone(self) -> int:
        """Files reproduced by the build alone."""
        return self.verdicts.get(Verdict.REPRODUCED, 0) - self.written

    @property
    def confirmed(self) -> int:
        """Files that a rebuild confirms."""
        return sum(number for verdict, number in self.verdicts.items() if verdict.confirms)


def together(figures: Iterable[EcosystemFigures]) -> EcosystemFigures:
    """The files of several ecosystems as if they were one."""
    verdicts: Counter[Verdict] = Counter()
    provenance: Counter[ProvenanceStatus] = Counter()
    untested = written = 0
    for each in figures:
        verdicts.update(each.verdicts)
        provenance.update(each.provenance)
        untested += each.untested
        written += each.written
    return EcosystemFigures(verdicts=dict(verdicts), written=written, untested=untested, provenance=dict(provenance))


class QueueFigures(Value):
    """The tasks that are queued for one reason."""

    waiting: int = 0
    delayed: int = 0
    """Wait for their time."""
    running: int = 0
    oldest: datetime | None = None
    """Since when the oldest task that could be worked on has been waiting."""


class SampleFigures(Value):
    """Effort, taken from the newest verifications of the last seven days, up to a fixed number of them."""

    verifications: int = 0
    stages: dict[Stage, Spread] = {}
    """Seconds."""
    wall: Spread | None = None
    """Seconds of an attempt."""
    cpu: Spread | None = None
    """Seconds of an attempt."""
    costs: dict[Tier, Cost] = {}
    """Of one published file, by how thoroughly it was looked at; only tiers that occur."""
    memory: Spread | None = None
    """Peak bytes of an attempt."""
    attempts: Spread | None = None
    """Attempts of a verification."""
    repeated: int = 0
    """Definitions among them that have ever been run more than once."""
    flaky: int = 0
    """Of those, the ones that ended in different ways or gave different bytes."""


class Figures(Value):
    """Everything that is counted or measured, at one moment."""

    now: datetime
    ecosystems: dict[str, EcosystemFigures]
    finished: int
    """Verifications that came to a verdict, ever."""
    failed: int
    """Verifications that failed on our side, ever."""
    newest: datetime | None = None
    """When the newest verdict was reached."""
    oldest: datetime | None = None
    """When the oldest verdict that still stands was reached."""
    lead: Spread | None = None
    """Seconds from publication to first verdict, of the first verdicts of the last seven days.

    Only files count that were published when another file of their project was known already: the backlog of a
    project that is new to us says nothing about how quick we are.
    """
    sample: SampleFigures
    queue: dict[Reason, QueueFigures]
    """Every reason has an entry."""
    watches: tuple[WatchState, ...]
    alarms: dict[AlarmKind, int]
    """Raised ever, each once; zeroes are left out."""
    open_alarms: dict[tuple[AlarmKind, Severity], int]
    """Zeroes are left out."""
    blocked: dict[AlarmKind, int]
    """Files with an open alarm about who signed them; zeroes are left out."""
    fleet: FleetFigures = FleetFigures()
    replays: tuple[ReplayedByAge, ...] = ()
    """Published reports that were run again, by age."""
    tallies: dict[tuple[str, str], int]
    """What is only counted, by name and label."""


class ProcessFigures(Value):
    """What one process sees beside the ledger: its workers, its disk, its key. What is None is not known."""

    workers: int | None = None
    """That are alive."""
    workers_wanted: int | None = None
    store_free_bytes: int | None = None
    store_size_bytes: int | None = None
    key_due: datetime | None = None
    """When the signing key is to be replaced."""
