"""``rebuilder alarms``: what somebody has to look at, and saying that somebody did."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rebuilder.cli.db import open_ledger
from rebuilder.cli.options import AsJson, Settings, Store, with_settings
from rebuilder.model.text import visible

if TYPE_CHECKING:
    from rebuilder.config import Config
    from rebuilder.model.alarm import RecordedAlarm, Undelivered

_MOST_OF_A_GROUP = 20
_MOST_CLOSED = 1000

alarms = typer.Typer(help="List or acknowledge alarms.", rich_markup_mode=None)


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


@alarms.callback(invoke_without_command=True)
def _alarms(
    context: typer.Context,
    *,
    every: Annotated[bool, typer.Option("--all", help="Also those that are acknowledged or have passed.")] = False,
    as_json: AsJson = False,
    store: Store = None,
    config: Settings = None,
) -> None:
    """List the alarms somebody has to look at, or acknowledge one."""
    if context.invoked_subcommand is None:
        from rebuilder.config import load_config

        show(load_config(config, {"store": store}), every=every, as_json=as_json)


def show(config: Config, *, every: bool = False, as_json: bool = False) -> None:
    """Print the open alarms by what they have in common; with ``every`` also those that were dealt with.

    Raises:
        UsageError: there is no ledger.
        StoreError: the ledger cannot be read.
    """
    with open_ledger(config) as ledger:
        found = ledger.alarm_book.open()
        closed = ledger.alarm_book.closed(_MOST_CLOSED)
        if not every:  # what was acknowledged and is still so does not vanish
            closed = [each for each in closed if each.cleared is None][:_MOST_OF_A_GROUP]
        undelivered = ledger.alarm_book.undelivered()
    if as_json:
        for each in (*found, *(closed if every else ())):
            print(json.dumps(each.document() | {"group": each.alarm.group, "open": each.open}))  # noqa: T201
        return
    for line in _lines(found, closed, undelivered):
        print(line)  # noqa: T201


@with_settings(alarms.command("acknowledge"), "store")
def acknowledge(
    config: Config,
    numbers: Annotated[list[int], typer.Argument(metavar="NUMBER…", help="From the list.", show_default=False)],
    *,
    note: Annotated[str | None, typer.Option("--note", help="What you found, or did.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who you are.", default_factory=_login)],
) -> None:
    """Say that an alarm has been seen and is being dealt with."""
    with open_ledger(config) as ledger:
        for number in numbers:
            ledger.alarm_book.get(number)
        now = datetime.now(UTC)
        for number in dict.fromkeys(numbers):
            seen = ledger.alarm_book.acknowledge(number, by, note, now)
            print(f"Acknowledged {number}: {visible(seen.alarm.sentence)}")  # noqa: T201


def _lines(
    alarms: Sequence[RecordedAlarm], closed: Sequence[RecordedAlarm], undelivered: Sequence[Undelivered]
) -> Iterable[str]:
    pages = sum(each.urgent for each in alarms)
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

    def group(recorded: RecordedAlarm) -> tuple[bool, str]:
        return (not recorded.urgent, recorded.alarm.group)

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
    word = "urgent" if recorded.urgent else recorded.severity.value
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
