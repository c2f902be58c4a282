"""What a target is told: one message about everything that is due, by cause, for people and for programs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rebuilder.model.alarm import Event, Message, Notice, Severity
from rebuilder.model.text import clipped
from rebuilder.model.value import canonical_json, sha256_hex

MOST_GROUPS = 20
MOST_OF_A_GROUP = 20
_MOST_IN_TEXT = 3
_SENTENCE_LENGTH = 600
_WORDS = {Event.RAISED: "", Event.ESCALATED: "more urgent: ", Event.CLEARED: "has passed: "}


def compose(notices: Sequence[Notice], now: datetime, site: str | None) -> Message:
    """One message about all of them (at least one, all for one target), the most urgent first.

    Args:
        notices: What is to be told.
        now: The time.
        site: Address of the published site; None when nobody said where it is.
    """
    groups = _groups(notices)
    over = all(each.event is Event.CLEARED for each in notices)
    severity = min((each.recorded.severity for each in notices), key=list(Severity).index)
    number = len({each.recorded.number for each in notices})
    identity = sha256_hex(canonical_json([notices[0].target, sorted(each.id for each in notices)]))
    word = "alarm" if number == 1 else "alarms"
    title = f"rebuilder: {number:,} {word} {'passed' if over else f'({severity.value})'}"
    page = f"{site.rstrip('/')}/alarms.html" if site else None
    left = len(groups) - MOST_GROUPS
    lines = [line for group in groups[:MOST_GROUPS] for line in _lines(group)]
    if left > 0:
        lines.append(f"And {left:,} more {'cause' if left == 1 else 'causes'}.")
    lines.append(f"All alarms: {page}" if page else "`rebuilder alarms` lists all of them.")
    return Message(
        id=identity,
        sent=now,
        severity=severity,
        over=over,
        title=title,
        text="\n".join(lines),
        content={
            "version": 1,
            "id": identity,
            "sent": now.isoformat(),
            "title": title,
            "severity": severity.value,
            "over": over,
            "alarms": number,
            "causes": len(groups),
            "groups": [_document(group) for group in groups[:MOST_GROUPS]],
        }
        | ({"page": page} if page else {}),
    )


def _groups(notices: Sequence[Notice]) -> list[list[Notice]]:
    """By event and cause; what is new and urgent first."""

    def cause(notice: Notice) -> tuple[int, int, str]:
        recorded = notice.recorded
        urgency = list(Severity).index(recorded.severity)
        return (int(notice.event is Event.CLEARED), urgency, f"{notice.event}:{recorded.alarm.group}")

    ordered = sorted(notices, key=lambda each: (cause(each), each.recorded.number))
    return [list(group) for _, group in itertools.groupby(ordered, key=cause)]


def _lines(group: Sequence[Notice]) -> list[str]:
    first = group[0]
    kind, severity, event = first.recorded.alarm.kind, first.recorded.severity, _WORDS[first.event]
    if len(group) == 1:
        where = _where(first)
        return [f"[{severity.value}] {event}{kind.value}{where}: {_plain(first.recorded.alarm.sentence)}"]
    lines = [f"[{severity.value}] {event}{len(group):,} alarms: {_plain(first.recorded.alarm.group)}"]
    lines += [f"  - {_plain(each.recorded.alarm.sentence)}" for each in group[:_MOST_IN_TEXT]]
    if len(group) > _MOST_IN_TEXT:
        lines.append(f"  - and {len(group) - _MOST_IN_TEXT:,} more")
    return lines


def _where(notice: Notice) -> str:
    alarm = notice.recorded.alarm
    return f" {_plain(alarm.filename or alarm.purl)}" if alarm.filename or alarm.purl else ""


def _document(group: Sequence[Notice]) -> dict[str, Any]:
    first = group[0]
    return {
        "event": first.event.value,
        "cause": _plain(first.recorded.alarm.group),
        "kind": first.recorded.alarm.kind.value,
        "severity": first.recorded.severity.value,
        "count": len(group),
        "alarms": [
            {
                "number": each.recorded.number,
                "purl": _plain(each.recorded.alarm.purl),
                "filename": _plain(each.recorded.alarm.filename),
                "sentence": _plain(each.recorded.alarm.sentence),
                "raised": each.recorded.alarm.raised.isoformat(),
            }
            for each in group[:MOST_OF_A_GROUP]
        ],
    }


def _plain(text: str) -> str:
    """Text from elsewhere: control and format characters become visible, and it ends somewhere."""
    return clipped(text, _SENTENCE_LENGTH)
