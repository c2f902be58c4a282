"""The page "Operate": what the service is doing and how it is going, for somebody who has ten seconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.model.alarm import RecordedAlarm
from rebuilder.model.fleet import FleetFigures, RunnerFigures, RunnerState
from rebuilder.model.operations import Cost, FailureGroup, Operations, QueueEntry, QueueState, WatchState
from rebuilder.model.replay import ReplayedByAge
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Reason, Tier
from rebuilder.site.charts import Chart, chart
from rebuilder.site.counts import CountRow, FileCounts, Share, count_rows, reproduced_ways
from rebuilder.site.display import SHORT, count, moment, more, span, visible
from rebuilder.site.marks import Mark
from rebuilder.site.pages.alarms import AlarmGroup, alarm_groups, total
from rebuilder.site.rows import Row, row

FAILED = frozenset({Verdict.BUILD_FAILED, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT, Verdict.INFRA_ERROR})
"""Outcomes that decided nothing about a file that should be decidable."""
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Headline:
    """The sentence, and what else the page needs of it."""

    sentence: str
    queue: str
    """Its part about the queue, as a sentence of its own."""
    mostly_failed: bool
    """More than half of what ended lately has failed."""


def headline(operations: Operations) -> Headline:
    """What runs, what waits and for how long, and how it went lately."""
    queue = operations.queue
    running = len(queue.running)
    verb = "is" if running == 1 else "are"
    doing = f"{count(running, 'artifact', 'artifacts')} {verb} being rebuilt" if running else "Nothing is being rebuilt"
    waiting = _waiting(queue, operations)
    lately, ended, failed = _lately(operations)
    return Headline(
        sentence=f"{doing}, {waiting}; {lately}.",
        queue=f"{waiting[0].upper()}{waiting[1:]}.",
        mostly_failed=failed * 2 > ended,
    )


def _waiting(queue: QueueState, operations: Operations) -> str:
    parts = [f"{queue.waiting:,} {'waits' if queue.waiting == 1 else 'wait'}" if queue.waiting else "nothing waits"]
    if queue.delayed:
        parts.append(f"{queue.delayed:,} {'is' if queue.delayed == 1 else 'are'} to be tried again later")
    if queue.waiting and queue.oldest is not None:
        parts.append(f"the oldest has waited for {span(operations.now - queue.oldest)}")
    return "; ".join(parts)


def _lately(operations: Operations) -> tuple[str, int, int]:
    """How the last hour went, how many ended, and how many of them failed; of the whole hours that make it up."""
    if not any(each.verdicts for each in (*operations.hours, *operations.days)):
        return "nothing has ended yet" if not any(operations.current.values()) else "nothing ended in 30 days", 0, 0
    begun = operations.now - _HOUR
    recent = [each for each in operations.hours if each.start + _HOUR > begun]
    verdicts = Counter[Verdict]()
    for each in recent:
        verdicts.update(each.verdicts)
    start = min((each.start for each in recent), default=begun)
    when = "in the last hour" if start >= begun else f"since {moment(start).text[11:]}"
    ended, failed, ours = verdicts.total(), sum(verdicts[each] for each in FAILED), verdicts[Verdict.INFRA_ERROR]
    if not ended:
        return f"nothing ended {when}", 0, 0
    said = f"{failed:,} of {ended:,} failed {when}" if failed else f"nothing failed {when}, {ended:,} ended"
    if ours:
        said += f", {ours:,} of them on our side"
    if different := verdicts[Verdict.DIFFERS]:
        said += f", {different:,} {'differs' if different == 1 else 'differ'}"
    return said, ended, failed


MOST_CAUSES = 10
"""Causes of open alarms on this page; the page of alarms has more."""
BRIEF = 240
"""Characters of a sentence about an alarm, or about what failed."""
MOST_RUNNING = 50
MOST_WATCHES = 100
MOST_RUNNERS = 100
MOST_FAILURES = 30
MOST_SHARES = 20
"""Rows of the queue by watch."""


@dataclass(frozen=True, slots=True)
class OperatePage:
    """Everything the template shows, in its order."""

    root: str
    now: datetime
    state: str
    """What the operator has to do, in a few words."""
    icon: str
    tone: str
    sentence: str
    alarms: tuple[AlarmGroup, ...]
    alarm_total: str
    more_alarms: str | None
    running: Sequence[QueueEntry]
    more_running: str | None
    upcoming: Sequence[QueueEntry]
    queue: str
    """How many wait, in words."""
    queued: str
    """All tasks: what the shares are of."""
    by_reason: tuple[Share, ...]
    by_watch: tuple[Share, ...]
    more_watched: str | None
    charts: tuple[Chart, ...]
    counts: tuple[CountRow, ...]
    ways: str | None
    """The two ways of being reproduced."""
    total: str
    known: str
    oldest: Row | None
    oldest_age: str
    runners: Sequence[RunnerFigures]
    more_runners: str | None
    fleet: str
    """What waits for runners, in words."""
    replays: tuple[Share, ...]
    """Reports that still gave the same bytes when they were run again, of those of an age."""
    replayed: str
    """How many were, in words."""
    costs: Mapping[Tier, Cost]
    watches: Sequence[WatchState]
    more_watches: str | None
    failures: Sequence[FailureGroup]
    failed: str
    more_failures: str | None
    published: Callable[[Summary], bool]
    """Whether a result has a page."""


def operate_page(
    operations: Operations, alarms: Sequence[RecordedAlarm], published: Callable[[Summary], bool]
) -> OperatePage:
    """The page. ``alarms`` may hold more than the open ones; only results that are ``published`` are linked."""
    now, queue = operations.now, operations.queue
    groups = alarm_groups(alarms, limit=BRIEF)
    files = FileCounts.of_operations(operations)
    known = files.total
    watches = sorted(operations.watches, key=lambda each: (not each.failed and not each.trouble, each.name))
    runners = sorted(operations.fleet.runners, key=lambda each: (list(_RUNNERS).index(each.state), each.name))
    charts = (
        chart("hours", "Verifications by hour, last 48 hours", operations.hours),
        chart("days", "Verifications by day, last 30 days", operations.days),
    )
    said = headline(operations)
    return OperatePage(
        root="",
        now=now,
        **_state(alarms, mostly_failed=said.mostly_failed),
        sentence=said.sentence,
        alarms=groups[:MOST_CAUSES],
        alarm_total=total(alarms),
        more_alarms=more(len(groups) - MOST_CAUSES, "more cause", "more causes"),
        running=queue.running[:MOST_RUNNING],
        more_running=more(len(queue.running) - MOST_RUNNING, "more", "more"),
        upcoming=queue.upcoming,
        queue=said.queue,
        queued=count(_queued(queue), "task", "tasks"),
        by_reason=_by_reason(queue),
        by_watch=_by_watch(queue),
        more_watched=more(len(queue.by_watch) - MOST_SHARES, "more watch", "more watches"),
        charts=tuple(each for each in charts if each is not None),
        counts=count_rows(files),
        ways=reproduced_ways(files.number(Verdict.REPRODUCED.value), files.written),
        total=count(known, "file", "files"),
        known=f"{known:,}",
        oldest=row(operations.oldest, "", linked=published(operations.oldest)) if operations.oldest else None,
        oldest_age=span(now - operations.oldest.finished) if operations.oldest else "",
        runners=runners[:MOST_RUNNERS],
        more_runners=more(len(runners) - MOST_RUNNERS, "more runner", "more runners"),
        fleet=_fleet(operations.fleet, now),
        replays=tuple(Share(_age(each), each.agreeing, each.total) for each in operations.replays),
        replayed=_replayed(operations.replays),
        costs=operations.costs,
        watches=watches[:MOST_WATCHES],
        more_watches=more(len(watches) - MOST_WATCHES, "more watch", "more watches"),
        failures=operations.failures[:MOST_FAILURES],
        failed=_failed(operations.failures, known),
        more_failures=more(len(operations.failures) - MOST_FAILURES, "more cause", "more causes"),
        published=published,
    )


def _state(alarms: Sequence[RecordedAlarm], *, mostly_failed: bool) -> dict[str, str]:
    still_open = [each for each in alarms if each.open]
    urgent = sum(each.urgent for each in still_open)
    if urgent:
        return {"state": count(urgent, "urgent alarm", "urgent alarms"), "icon": "‼", "tone": "bad"}
    if still_open:
        number = count(len(still_open), "open alarm", "open alarms")
        words = "not urgent" if len(still_open) == 1 else "none of them urgent"
        return {"state": f"{number}, {words}", "icon": "⚑", "tone": "warn"}
    if mostly_failed:
        return {"state": "No open alarms, but most of what ended has failed", "icon": "⚑", "tone": "warn"}
    return {"state": "No open alarms", "icon": "✓", "tone": "good"}


def why_queued(each: QueueEntry) -> str:
    """For which reason a task is in the queue, as the beginning of a line."""
    watch = f" (watch “{visible(each.watch, SHORT)}”)" if each.watch else ""
    tries = f"{_ordinal(each.tries + 1)} try" if each.tries else ""
    reason = "" if each.reason is Reason.RETRY and tries else each.reason.words
    nudge = each.priority - each.reason.priority if each.priority is not None else 0
    urgency = f"{'sooner' if nudge < 0 else 'later'} by {abs(nudge)}" if nudge else ""
    why = ", ".join(filter(None, (reason, tries, urgency)))
    return f"{why[0].upper()}{why[1:]}{watch}"


_ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def _ordinal(number: int) -> str:
    """Small numbers in words; others as a figure that needs no English ending."""
    return _ORDINALS[number] if number < len(_ORDINALS) else f"No. {number:,}"


def worker_name(owner: str) -> str:
    """Name of the machine without its domain, which is nobody else's business, and the process."""
    machine, _, rest = owner.partition("/")
    return visible("/".join(filter(None, (machine.partition(".")[0], rest.partition("/")[0]))), 40)


def _queued(queue: QueueState) -> int:
    return max(sum(queue.by_watch.values()), sum(queue.by_reason.values()))


def _by_reason(queue: QueueState) -> tuple[Share, ...]:
    whole = sum(queue.by_reason.values())
    found = [(each.words, queue.by_reason.get(each, 0)) for each in Reason]
    return tuple(Share(label, number, whole) for label, number in found if number)


def _by_watch(queue: QueueState) -> tuple[Share, ...]:
    """Tasks by watch, most first, after what no watch asked for: together they are all that wait."""
    if not queue.by_watch:
        return ()
    watched, whole = sum(queue.by_watch.values()), _queued(queue)
    found = sorted(queue.by_watch.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_SHARES]
    rows = tuple(Share(visible(name, SHORT), number, whole) for name, number in found)
    return (Share("no watch", whole - watched, whole), *rows) if whole > watched else rows


_RUNNERS = {
    RunnerState.QUARANTINED: Mark("quarantined", "‼", "in doubt", "bad", "Its answers do not count for now."),
    RunnerState.ACTIVE: Mark("active", "✓", "counts", "good", "Its answers count."),
    RunnerState.REVOKED: Mark("revoked", "–", "revoked", "mute", "Its answers never count again."),
}
"""In the order of the page."""


def runner_mark(state: RunnerState) -> Mark:
    """Icon, word, tone and sentence of whether a runner is believed."""
    return _RUNNERS[state]


def _fleet(fleet: FleetFigures, now: datetime) -> str:
    waiting = sum(each.waiting for each in fleet.queues.values())
    oldest = min((each.oldest for each in fleet.queues.values() if each.oldest), default=None)
    if not waiting or oldest is None:
        return "Nothing waits for a runner."
    runs = count(waiting, "run waits for a runner", "runs wait for runners")
    return f"{runs}; the oldest has waited for {span(now - oldest)}."


def _age(each: ReplayedByAge) -> str:
    if each.days is None:
        return f"older, of {each.total:,}"
    return f"up to {each.days:,} days old, of {each.total:,}"


def _replayed(replays: Sequence[ReplayedByAge]) -> str:
    whole, agreeing = sum(each.total for each in replays), sum(each.agreeing for each in replays)
    return f"{agreeing:,} of {count(whole, 'report', 'reports')} gave the same bytes when last run again."


def _failed(groups: Sequence[FailureGroup], known: int) -> str:
    whole = sum(each.count for each in groups)
    return f"{whole:,} of {count(known, 'known file', 'known files')} {'is' if whole == 1 else 'are'} not confirmed."
