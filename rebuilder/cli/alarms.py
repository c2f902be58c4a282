"""``rebuilder alarms``: what somebody has to look at, and saying that somebody did."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rebuilder.cli.db import NOTHING_STORED, refuse_missing
from rebuilder.config import Config
from rebuilder.errors import ExitCode
from rebuilder.model.alarm import RecordedAlarm, Severity, Undelivered
from rebuilder.model.text import visible
from rebuilder.store.ledger import Ledger

_MOST_OF_A_GROUP = 20
_MOST_CLOSED = 1000


def show(config: Config, *, as_json: bool, all: bool) -> int:  # noqa: A002 - the name of the option
    """Print the alarms that are open, by what they have in common; with ``all`` also those that were dealt with.

    Raises:
        UsageError: there is no ledger.
        StoreError: the ledger cannot be read.
    """
    refuse_missing(config.ledger_place, hint=NOTHING_STORED)
    with Ledger.open(config.ledger_place) as ledger:
        alarms = ledger.alarm_book.open()
        closed = ledger.alarm_book.closed(_MOST_CLOSED)
        if not all:  # what was acknowledged and is still so does not vanish
            closed = [each for each in closed if each.cleared is None][:_MOST_OF_A_GROUP]
        undelivered = ledger.alarm_book.undelivered()
    if as_json:
        for each in (*alarms, *(closed if all else ())):
            print(json.dumps(each.document() | {"group": each.alarm.group, "open": each.open}))  # noqa: T201
        return ExitCode.OK
    for line in _lines(alarms, closed, undelivered):
        print(line)  # noqa: T201
    return ExitCode.OK


def acknowledge(config: Config, numbers: Sequence[int], *, note: str | None, by: str) -> None:
    """Say that somebody has seen these alarms; all of them, or none when there is none with one of the numbers.

    Args:
        config: Names the ledger.
        numbers: As :func:`show` prints them.
        note: What was found out, or is being done.
        by: Who.

    Raises:
        UsageError: there is no such alarm, no ledger, or the note is too long.
        StoreError: the ledger cannot be used.
    """
    refuse_missing(config.ledger_place, hint=NOTHING_STORED)
    with Ledger.open(config.ledger_place) as ledger:
        for number in numbers:
            ledger.alarm_book.get(number)
        now = datetime.now(UTC)
        for number in dict.fromkeys(numbers):
            seen = ledger.alarm_book.acknowledge(number, by, note, now)
            print(f"Acknowledged {number}: {visible(seen.alarm.sentence)}")  # noqa: T201


def _lines(
    alarms: Sequence[RecordedAlarm], closed: Sequence[RecordedAlarm], undelivered: Sequence[Undelivered]
) -> Iterable[str]:
    pages = sum(each.severity is Severity.PAGE for each in alarms)
    if not alarms:
        yield "No open alarms."
    else:
        yield f"{len(alarms):,} open {_word(len(alarms))}, {pages:,} urgent."
    for target in undelivered:
        end = "; it is not tried any more" if target.given_up else "; it is tried again"
        word = f"{target.alarms:,} {_word(target.alarms)}"
        yield f"! {visible(target.target)} was not told about {word}{end}: {visible(target.trouble)}"
    yield from _groups(alarms)
    if alarms:
        yield ""
        yield "To close an alarm: rebuilder alarms acknowledge NUMBER --note TEXT"
    if closed:
        yield ""
        yield "Acknowledged or passed:" if any(each.cleared for each in closed) else "Acknowledged:"
        for each in closed:
            yield from _one(each)


def _groups(alarms: Iterable[RecordedAlarm]) -> Iterable[str]:
    """What is urgent first, then by what alarms have in common."""

    def group(recorded: RecordedAlarm) -> tuple[int, str]:
        return (list(Severity).index(recorded.severity), recorded.alarm.group)

    for (_, name), members in itertools.groupby(sorted(alarms, key=group), key=group):
        found = list(members)
        yield ""
        yield visible(name) + (f": {len(found):,} {_word(len(found))}" if len(found) > 1 else "")
        for each in found[:_MOST_OF_A_GROUP]:
            yield from _one(each)
        if len(found) > _MOST_OF_A_GROUP:
            yield f"  and {len(found) - _MOST_OF_A_GROUP:,} more; --json lists all of them"


def _one(recorded: RecordedAlarm) -> Iterable[str]:
    alarm = recorded.alarm
    times = f", seen {recorded.count:,} times, last {_moment(recorded.last_seen)}" if recorded.count > 1 else ""
    word = "urgent" if recorded.severity is Severity.PAGE else recorded.severity.value
    yield f"  {recorded.number}  {word}  since {_moment(alarm.raised)}{times}"
    yield f"     {visible(alarm.sentence)}"
    if alarm.known_sha256 is not None:
        yield f"     known  sha256:{alarm.known_sha256}"
    if alarm.found_sha256 is not None:
        yield f"     found  sha256:{alarm.found_sha256}"
    if recorded.acknowledged is not None:
        note = f": {visible(recorded.note)}" if recorded.note else ""
        yield f"     acknowledged {_moment(recorded.acknowledged)} by {visible(recorded.acknowledged_by or '?')}{note}"
    if recorded.cleared is not None:
        yield f"     passed {_moment(recorded.cleared)}"


def _moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC"


def _word(number: int) -> str:
    return "alarm" if number == 1 else "alarms"
