"""What a service does at one moment, made up: idle, busy, in trouble, and with strings somebody hostile chose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from rebuilder.model.alarm import Alarm, AlarmKind, RecordedAlarm, Severity
from rebuilder.model.fleet import FleetFigures, OpenRuns, RunnerFigures, RunnerState
from rebuilder.model.operations import (
    Bucket,
    Cost,
    FailureGroup,
    Operations,
    QueueEntry,
    QueueState,
    WatchState,
    spread,
)
from rebuilder.model.replay import ReplayedByAge, ReplayOutcome
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Reason, Tier
from tests.fakes.reports import HOSTILE, NOW

LONG = HOSTILE + "x" * 10_000
"""Longer than anything a page shows."""
NO_QUEUE = QueueState(waiting=0, delayed=0, running=(), upcoming=())


def recorded(
    number: int,
    kind: AlarmKind = AlarmKind.DIGEST_CHANGED,
    *,
    cause: str = "",
    hours: float = 2,
    about: Summary | None = None,
    sentence: str = "The index now lists other bytes under this name than on 2026-03-09; both are kept.",
    **fields: object,
) -> RecordedAlarm:
    """An alarm as the ledger keeps it, raised some ``hours`` ago."""
    alarm = Alarm(
        kind=kind,
        purl=about.purl if about else "",
        filename=about.filename if about else "",
        sentence=sentence,
        raised=NOW - timedelta(hours=hours),
        cause=cause,
    )
    found = RecordedAlarm(number=number, alarm=alarm, severity=kind.severity, last_seen=NOW - timedelta(minutes=number))
    return found.replace(**fields)


def entry(task: int, name: str = "spindle", **fields: object) -> QueueEntry:
    """A task that waits; with an ``owner`` it runs."""
    waits = QueueEntry(
        task=task,
        purl=f"pkg:pypi/{name}@1.{task}",
        filename=f"{name}-1.{task}-py3-none-any.whl",
        reason=list(Reason)[task % 5],
        tier=list(Tier)[task % 3],
        check=list(Check)[task % 3],
        watch="top-projects" if task % 2 else None,
        created=NOW - timedelta(minutes=7 * task),
        not_before=NOW - timedelta(minutes=7 * task),
        tries=task % 3,
    )
    return waits.replace(**fields)


def buckets(
    number: int, length: timedelta, outcomes: Sequence[dict[Verdict, int]], end: datetime
) -> tuple[Bucket, ...]:
    """That many, the last of which begins at ``end``; outcomes go round."""
    starts = [end - length * (number - 1 - index) for index in range(number)]
    return tuple(Bucket(start=each, verdicts=outcomes[at % len(outcomes)]) for at, each in enumerate(starts))


REPLAYS = (
    ReplayedByAge(days=30, outcomes={ReplayOutcome.AGREES: 40}),
    ReplayedByAge(
        days=None, outcomes={ReplayOutcome.AGREES: 17, ReplayOutcome.DIFFERS: 1, ReplayOutcome.NOT_REPLAYED: 2}
    ),
)
FLEET = FleetFigures(
    runners=(
        RunnerFigures(name="north", state=RunnerState.ACTIVE, seen=NOW - timedelta(minutes=2), runs=4711),
        RunnerFigures(name="south", state=RunnerState.ACTIVE),
        RunnerFigures(
            name="west",
            state=RunnerState.QUARANTINED,
            reason="Another runner gave other bytes for the same definition.",
            seen=NOW - timedelta(days=3),
            runs=1,
        ),
    ),
    queues={"linux-amd64": OpenRuns(waiting=3, oldest=NOW - timedelta(minutes=7))},
)


def operations(**fields: object) -> Operations:
    """A service that has just begun: nothing at all yet."""
    this_hour = NOW.replace(minute=0, second=0)
    nothing = Operations(
        now=NOW,
        queue=NO_QUEUE,
        watches=(),
        hours=buckets(48, timedelta(hours=1), [{}], this_hour),
        days=buckets(30, timedelta(days=1), [{}], this_hour.replace(hour=0)),
        current=dict.fromkeys((each for each in Verdict if each.publishable), 0),
        untested=0,
        failures=(),
        open_alarms=0,
    )
    return nothing.replace(**fields)


def idle(summary: Summary) -> Operations:
    """All is done, and nothing happened today."""
    yesterday = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=4)
    current = {Verdict.REPRODUCED: 11, Verdict.EQUIVALENT: 2}
    watch = WatchState(name="top-projects", checked=NOW - timedelta(minutes=9), projects=13, queued=0, failed=0)
    days = (*buckets(26, timedelta(days=1), [current, {}, {}], yesterday), *operations().days[-4:])
    return operations(days=days, current=current, watches=(watch,), oldest=summary)


def busy(summaries: Sequence[Summary]) -> Operations:
    """Ten thousand files wait, and all verdicts occur."""
    every: list[dict[Verdict, int]] = [
        {Verdict.REPRODUCED: 31 + 7 * at, Verdict.EQUIVALENT: 5 + at, Verdict.DIFFERS: at, Verdict.BUILD_FAILED: 2}
        for at in range(5)
    ]
    every += [dict.fromkeys(Verdict, 6), {}, {Verdict.REPRODUCED: 1}]
    this_hour = NOW.replace(minute=0, second=0)
    running = tuple(entry(each, owner=f"build-{each}.example.org/48{each}/91824", tries=0) for each in range(3))
    waiting = tuple(entry(each) for each in range(40, 50))
    watches = (
        WatchState(
            name="re-verify",
            checked=NOW - timedelta(hours=3),
            projects=1,
            queued=40,
            failed=0,
            planned=NOW + timedelta(hours=21),
        ),
        WatchState(
            name="top-projects",
            checked=NOW - timedelta(minutes=4),
            projects=1000,
            queued=37,
            failed=2,
            trouble="https://pypi.example.org/simple/loom/ answered 503 three times.",
        ),
    )
    failing = [each for each in summaries if not each.verdict.confirms]
    return operations(
        queue=QueueState(
            waiting=10_000,
            delayed=37,
            running=running,
            upcoming=waiting,
            oldest=NOW - timedelta(minutes=343),
            by_reason={Reason.ASKED: 1, Reason.RELEASE: 380, Reason.RETRY: 37, Reason.RECHECK: 9619},
            by_watch={"re-verify": 9619, "top-projects": 418},
        ),
        watches=watches,
        fleet=FLEET,
        replays=REPLAYS,
        costs={
            Tier.QUICK: Cost(files=412, fetched=spread([1 << 20, 3 << 20]), written=spread([70_000])),
            Tier.FULL: Cost(files=88, cpu=spread([8.25, 61.5]), fetched=spread([5 << 20]), written=spread([900])),
        },
        hours=buckets(48, timedelta(hours=1), every, this_hour),
        days=buckets(30, timedelta(days=1), every[:5], this_hour.replace(hour=0)),
        current={each: 100 + 7 * len(each.value) for each in Verdict if each.publishable},
        untested=10_037,
        oldest=min(summaries, key=lambda each: each.finished),
        failures=tuple(
            FailureGroup(verdict=each.verdict, cause=each.sentence, count=max(1, 40 - at), examples=(each,))
            for at, each in enumerate(failing)
        ),
        open_alarms=9,
    )


def failing(summary: Summary) -> Operations:
    """Nothing works any more."""
    outcome = [{Verdict.INFRA_ERROR: 30}, {Verdict.INFRA_ERROR: 25, Verdict.BUILD_FAILED: 12}]
    this_hour = NOW.replace(minute=0, second=0)
    return operations(
        hours=buckets(48, timedelta(hours=1), outcome, this_hour),
        days=buckets(30, timedelta(days=1), outcome, this_hour.replace(hour=0)),
        current={Verdict.BUILD_FAILED: 40},
        failures=(
            FailureGroup(verdict=Verdict.BUILD_FAILED, cause="No build environment.", count=40, examples=(summary,)),
        ),
    )


def hostile(summary: Summary) -> Operations:
    """Every string is somebody else's, and long."""
    bad = summary.replace(filename=LONG, purl=LONG, sentence=LONG, name=LONG[-60:], version=LONG[-60:])
    queued = entry(7, purl=LONG, filename=LONG, watch=LONG)
    queue = QueueState(
        waiting=1,
        delayed=0,
        running=(entry(6, purl=LONG, filename=LONG, watch=LONG, owner=LONG),),
        upcoming=(queued,),
        by_reason={Reason.ASKED: 1},
        by_watch={LONG: 1, "<b>" + LONG: 2},
    )
    watch = WatchState(name=LONG, checked=NOW, projects=1, queued=1, failed=1, trouble=LONG)
    group = FailureGroup(verdict=Verdict.DIFFERS, cause=LONG, count=1, examples=(bad,))
    current = {Verdict.DIFFERS: 1}
    return operations(queue=queue, watches=(watch,), current=current, failures=(group,), oldest=bad)


def alarms(summaries: Sequence[Summary]) -> list[RecordedAlarm]:
    """Open ones of both severities and with a common cause, acknowledged and cleared ones, and a hostile one."""
    gone = "The registry pypi has not answered for 40 minutes."
    bad = summaries[0].replace(filename=LONG, purl=LONG)
    return [
        recorded(1, about=summaries[0]),
        *(
            recorded(
                2 + at, AlarmKind.GIVEN_UP, cause="given-up:pypi", about=each, sentence="Tried 6 times.", count=at + 1
            )
            for at, each in enumerate(summaries[:5])
        ),
        recorded(10, AlarmKind.INDEX_UNREACHABLE, cause="index-unreachable:pypi", sentence=gone, count=40),
        recorded(
            11, AlarmKind.DISK, hours=1, sentence="93 % of the disk of the store are used.", severity=Severity.PAGE
        ),
        recorded(12, AlarmKind.EXPECTATION_BROKEN, about=bad, sentence=LONG, cause=LONG, hours=9),
        recorded(
            13,
            AlarmKind.PUBLISHER_CHANGED,
            about=summaries[1],
            sentence="The repository is another one than for the nine releases before.",
            acknowledged=NOW - timedelta(hours=1),
            acknowledged_by="ada",
            note="The project moved; announced on its page.",
        ),
        recorded(14, sentence=LONG, acknowledged=NOW - timedelta(hours=3), acknowledged_by=LONG, note=LONG),
        recorded(15, AlarmKind.QUEUE_AGE, sentence="Work waits for 7 hours.", cleared=NOW - timedelta(minutes=40)),
        recorded(
            16,
            AlarmKind.KEY_EXPIRY,
            hours=900,
            sentence="The signing key is to be replaced within 10 days.",
            acknowledged=NOW - timedelta(hours=800),
            acknowledged_by="ada",
            cleared=NOW - timedelta(hours=700),
        ),
    ]
