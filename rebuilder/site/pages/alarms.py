"""The page of alarms: open ones by cause, then what somebody dealt with, then what has passed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rebuilder.model.alarm import RecordedAlarm, Severity
from rebuilder.model.report import Summary
from rebuilder.model.value import sha256_hex
from rebuilder.site.display import LONG, SHORT, Moment, count, moment, more, visible
from rebuilder.site.marks import Mark, severity_mark, times

MOST_CAUSES = 200
"""Causes of open alarms on the page; ``index.json`` has every alarm."""
MOST_OF_A_CAUSE = 20
MOST_CLOSED = 100
"""Alarms that were acknowledged, and as many that have cleared: the newest."""


@dataclass(frozen=True, slots=True)
class AlarmGroup:
    """Open alarms with one cause."""

    anchor: str
    mark: Mark
    heading: str
    subject: str
    """The file or release, when it is about just one."""
    sentence: str
    """What the newest of them says."""
    first: Moment
    last: Moment
    number: str
    """How many there are, such as ``3 alarms``."""
    times: str
    """How often they were raised, such as ``raised 40 times``."""
    rows: Sequence[RecordedAlarm]
    hidden: str | None


@dataclass(frozen=True, slots=True)
class AlarmsPage:
    """All alarms: what has to be looked at stands first."""

    root: str
    severities: tuple[Mark, ...]
    total: str
    """Number of open alarms and of their causes."""
    groups: tuple[AlarmGroup, ...]
    hidden: str | None
    acknowledged: Sequence[RecordedAlarm]
    more_acknowledged: str | None
    cleared: Sequence[RecordedAlarm]
    more_cleared: str | None
    pages: Mapping[tuple[str, str], Summary]
    """The newest verification by package URL and file name."""


def alarms_page(files: Sequence[Summary], alarms: Sequence[RecordedAlarm]) -> AlarmsPage:
    """The page; ``files`` has the newest verification of each file, and ``alarms`` all that are known."""
    pages = {(each.purl, each.filename): each for each in reversed(files)}
    groups = alarm_groups(alarms)
    acknowledged = [each for each in alarms if each.acknowledged is not None and each.cleared is None]
    cleared = [each for each in alarms if each.cleared is not None]
    return AlarmsPage(
        root="",
        severities=tuple(severity_mark(each) for each in Severity),
        total=total(alarms),
        groups=groups[:MOST_CAUSES],
        hidden=more(len(groups) - MOST_CAUSES, "more cause", "more causes"),
        acknowledged=_closed(acknowledged, lambda each: each.acknowledged),
        more_acknowledged=more(len(acknowledged) - MOST_CLOSED, "older one", "older ones"),
        cleared=_closed(cleared, lambda each: each.cleared),
        more_cleared=more(len(cleared) - MOST_CLOSED, "older one", "older ones"),
        pages=pages,
    )


def alarm_groups(alarms: Sequence[RecordedAlarm], *, limit: int = LONG) -> tuple[AlarmGroup, ...]:
    """Open alarms by cause: those that wake somebody first, then by when they were seen last, newest first.

    ``limit`` is the length in characters of the sentence about a cause.
    """
    found: dict[str, list[RecordedAlarm]] = {}
    for each in sorted(alarms, key=lambda each: (each.last_seen, each.number), reverse=True):
        if each.open:
            found.setdefault(each.alarm.group, []).append(each)
    severities = list(Severity)
    # Sorting is stable: within a severity the causes stay in the order of their newest alarm.
    ordered = sorted(found.values(), key=lambda group: severities.index(_worst(group)))
    return tuple(_group(each, limit) for each in ordered)


def total(alarms: Sequence[RecordedAlarm]) -> str:
    """How many are open, and for how many causes."""
    groups = [each.alarm.group for each in alarms if each.open]
    causes = len(set(groups))
    return f"{count(len(groups), 'open alarm', 'open alarms')}, {count(causes, 'cause', 'causes')}"


def _group(group: Sequence[RecordedAlarm], limit: int) -> AlarmGroup:
    newest = group[0]
    return AlarmGroup(
        anchor=f"cause-{sha256_hex(newest.alarm.group.encode('utf-8', 'backslashreplace'))[:16]}",
        mark=severity_mark(_worst(group)),
        heading=newest.alarm.kind.heading,
        subject=visible(newest.alarm.filename or newest.alarm.purl, SHORT) if len(group) == 1 else "",
        sentence=visible(newest.alarm.sentence, limit),
        first=moment(min(each.alarm.raised for each in group)),
        last=moment(newest.last_seen),
        number=count(len(group), "alarm", "alarms"),
        times=times(sum(each.count for each in group)),
        rows=group[:MOST_OF_A_CAUSE],
        hidden=more(len(group) - MOST_OF_A_CAUSE, "more alarm", "more alarms"),
    )


def _worst(group: Sequence[RecordedAlarm]) -> Severity:
    return Severity.PAGE if any(each.severity is Severity.PAGE for each in group) else Severity.TICKET


def _closed(
    alarms: Sequence[RecordedAlarm], when: Callable[[RecordedAlarm], datetime | None]
) -> Sequence[RecordedAlarm]:
    newest = sorted(alarms, key=lambda each: (when(each) or each.last_seen, each.number), reverse=True)
    return newest[:MOST_CLOSED]
