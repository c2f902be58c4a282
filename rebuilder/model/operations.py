"""What the service is doing, and how it is going: the value that the Operate page, JSON and metrics are made from."""

from __future__ import annotations

from datetime import datetime

from rebuilder.model.report import Summary
from rebuilder.model.value import Value
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Reason, Tier


class QueueEntry(Value):
    """One task, as a page shows it."""

    task: int
    purl: str
    filename: str
    reason: Reason
    tier: Tier
    check: Check
    watch: str | None = None
    created: datetime
    not_before: datetime
    tries: int = 0
    owner: str | None = None
    """Worker that holds it; None while it waits."""
    until: datetime | None = None
    """End of the lease."""


class QueueState(Value):
    """The queue at one moment."""

    waiting: int
    """Could be worked on now."""
    delayed: int
    """Waits for its time: a retry."""
    running: tuple[QueueEntry, ...]
    upcoming: tuple[QueueEntry, ...]
    """The next few, in order."""
    oldest: datetime | None = None
    """Since when the oldest task that could be worked on has been waiting."""
    by_reason: dict[Reason, int] = {}
    by_watch: dict[str, int] = {}


class WatchState(Value):
    """What a watch found when it last looked."""

    name: str
    checked: datetime
    projects: int
    queued: int
    """New tasks."""
    failed: int
    """Projects that could not be looked at."""
    trouble: str | None = None
    """The first reason why."""


class Bucket(Value):
    """What ended within one hour or one day."""

    start: datetime
    verdicts: dict[Verdict, int]
    """Finished verifications, and ``infra-error`` for those that failed on our side; zeroes are left out."""


class FailureGroup(Value):
    """Current results that are not confirmations, grouped by what stood in the way."""

    verdict: Verdict
    cause: str
    """The sentence, with names and figures of the single case taken out."""
    count: int
    examples: tuple[Summary, ...]
    """Up to three, newest first."""


class Operations(Value):
    """Everything at one moment."""

    now: datetime
    queue: QueueState
    watches: tuple[WatchState, ...]
    hours: tuple[Bucket, ...]
    """The last 48 hours, oldest first, one each."""
    days: tuple[Bucket, ...]
    """The last 30 days, oldest first, one each."""
    current: dict[Verdict, int]
    """Verdict of each known file as it is now; zeroes are there."""
    written: int = 0
    """Of the reproduced ones, those with recorded metadata written into the finished archive."""
    untested: int
    """Files that are queued or were seen and have no verdict."""
    oldest: Summary | None = None
    """The result that has not been looked at for longest."""
    failures: tuple[FailureGroup, ...]
    open_alarms: int
