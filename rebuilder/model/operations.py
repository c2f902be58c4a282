"""What the service is doing, and how it is going: the value that the Operate page, JSON and metrics are made from."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from rebuilder.model.alarm import Alarm, RecordedAlarm
from rebuilder.model.fleet import FleetFigures, RunnerFigures
from rebuilder.model.replay import ReplayedByAge
from rebuilder.model.report import Summary
from rebuilder.model.value import Value
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Reason, Tier


class Spread(Value):
    """How values are spread, by nearest rank: each figure is a value that occurred."""

    count: int
    """Values it was made from; never 0."""
    median: float
    p95: float
    """95 of 100 values are no larger."""


def spread(values: Iterable[float]) -> Spread | None:
    """Median and 95th percentile; None when there are no values."""
    ranked = sorted(values)
    if not ranked:
        return None
    median, p95 = (ranked[math.ceil(share * len(ranked)) - 1] for share in (0.5, 0.95))
    return Spread(count=len(ranked), median=median, p95=p95)


class Cost(Value):
    """What verifications of one kind cost, one published file at a time; None: it was measured for none of them."""

    files: int
    cpu: Spread | None = None
    """Processor seconds of all builds of a file, where there were any."""
    fetched: Spread | None = None
    """Bytes that came over the network: from indexes, registries and repositories."""
    written: Spread | None = None
    """Bytes of what is new in the store."""


class QueueEntry(Value):
    """One task, as a page shows it."""

    task: int
    purl: str
    filename: str
    reason: Reason
    tier: Tier
    check: Check
    priority: int | None = None
    """Smaller goes first; see :attr:`rebuilder.model.work.Order.priority`."""
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
    """The first reason why, or what else has to be known of the registry."""
    planned: datetime | None = None
    """When it looks next; None: it is in no schedule any more, or nobody leads."""


class Bucket(Value):
    """What ended within one hour or one day."""

    start: datetime
    verdicts: dict[Verdict, int]
    """Finished verifications, and ``infra-error`` for those that failed on our side; zeroes are left out."""


MOST_DAYS = 400
"""Days of which is remembered what stood then."""


def standing_by_day(ended: Iterable[tuple[object, datetime, Verdict]]) -> tuple[Bucket, ...]:
    """What stood at the end of each day (UTC) on which something ended, oldest first.

    Args:
        ended: Verifications in the order in which they count: which file each is about, when it ended, and what it
            came to.
    """
    stands: dict[object, Verdict] = {}
    numbers = Counter[Verdict]()
    days: dict[datetime, dict[Verdict, int]] = {}
    day: datetime | None = None
    for file, finished, verdict in ended:
        if (before := stands.get(file)) is not None:
            numbers[before] -= 1
        stands[file] = verdict
        numbers[verdict] += 1
        day = max(day or day_of(finished), day_of(finished))
        days[day] = dict(+numbers)
    kept = list(days.items())[-MOST_DAYS:]
    return tuple(Bucket(start=day, verdicts=verdicts) for day, verdicts in kept)


Project = tuple[str, str]
"""Ecosystem and name."""
Days = Mapping[Project | None, tuple[Bucket, ...]]
"""What stood at the end of each day of the files of a project; of all files under None."""


def days_of(ended: Iterable[tuple[Project, object, datetime, Verdict]]) -> Days:
    """As :func:`standing_by_day`, for each project and all together."""
    found: dict[Project | None, list[tuple[object, datetime, Verdict]]] = {None: []}
    for project, file, finished, verdict in ended:
        each = (file, finished, verdict)
        found[None].append(each)
        found.setdefault(project, []).append(each)
    return {project: standing_by_day(each) for project, each in found.items()}


def moved(days: Iterable[Bucket], before: Verdict | None, finished: datetime, verdict: Verdict) -> tuple[Bucket, ...]:
    """The same with one verification more, of a file of which ``before`` stood; no day is after it."""
    known = {each.start: Counter(each.verdicts) for each in days}
    numbers = known.get(day_of(finished)) or Counter(known[max(known)] if known else ())
    numbers[before if before is not None else verdict] -= before is not None
    numbers[verdict] += 1
    known[day_of(finished)] = +numbers
    return tuple(Bucket(start=day, verdicts=dict(known[day])) for day in sorted(known)[-MOST_DAYS:])


def day_of(moment: datetime) -> datetime:
    """The day (UTC) a moment is in, by its beginning."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


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
    revoked: int = 0
    """Files whose verdict nobody should believe, since its key was revoked: they are in no other number."""
    untested: int
    """Files that are queued or were seen and have no verdict."""
    oldest: Summary | None = None
    """The result that has not been looked at for longest."""
    failures: tuple[FailureGroup, ...]
    open_alarms: int
    fleet: FleetFigures = FleetFigures()
    """Runners on other machines, and what they were asked for."""
    replays: tuple[ReplayedByAge, ...] = ()
    """Published reports that were run again, by age."""
    costs: dict[Tier, Cost] = {}
    """What one published file cost in the last seven days, by how thoroughly it was looked at."""


SOMEBODY = "a worker"
"""In place of a machine and a process."""
_SENTENCE = "The operator of this service has the details."


def public_alarm(alarm: Alarm) -> Alarm:
    """An alarm about what was published as it is; of the others, the kind and the file."""
    if not alarm.kind.for_operators:
        return alarm
    about = {"purl": "", "filename": ""} if alarm.kind.about_us else {}
    return alarm.replace(sentence=_SENTENCE, cause=alarm.kind.value, **about)


def public_alarms(alarms: Iterable[RecordedAlarm]) -> list[RecordedAlarm]:
    """The same of recorded ones; who acknowledged them and what was written is the operator's, too."""
    hidden = {"acknowledged_by": None, "note": None}
    return [each.replace(alarm=public_alarm(each.alarm), **hidden) for each in alarms]


def public_entry(entry: QueueEntry) -> QueueEntry:
    """A task without its worker's machine and process, and without its watch."""
    return entry.replace(owner=SOMEBODY if entry.owner else None, watch=None)


def public_queue(queue: QueueState) -> QueueState:
    """The queue, with such tasks."""
    return queue.replace(
        running=tuple(map(public_entry, queue.running)), upcoming=tuple(map(public_entry, queue.upcoming)), by_watch={}
    )


def public_operations(operations: Operations) -> Operations:
    """What the service does, with such a queue; watches and runners have numbers in place of names."""
    watches = tuple(_watch(number, each) for number, each in enumerate(operations.watches, 1))
    runners = tuple(_runner(number, each) for number, each in enumerate(operations.fleet.runners, 1))
    fleet = operations.fleet.replace(runners=runners)
    return operations.replace(queue=public_queue(operations.queue), watches=watches, fleet=fleet)


def _runner(number: int, runner: RunnerFigures) -> RunnerFigures:
    return runner.replace(name=f"runner-{number}", reason=_SENTENCE if runner.reason else None)


def _watch(number: int, watch: WatchState) -> WatchState:
    return watch.replace(name=f"watch {number}", trouble=_SENTENCE if watch.trouble else None)
