"""Tells people about alarms: what is due goes out, what fails is tried again, nobody waits for a dead target.

A target is told one message about everything that is due, by cause, for people and for programs.
"""

from __future__ import annotations

import itertools
import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from datetime import time as time_of_day
from typing import Any, Protocol, Self
from zoneinfo import ZoneInfo

from rebuilder.clock import Clock
from rebuilder.errors import RebuilderError, UsageError
from rebuilder.model.alarm import Event, Message, Notice, RecordedAlarm, Severity
from rebuilder.model.settings import AlarmSettings, Suppression, Target
from rebuilder.model.text import clipped
from rebuilder.model.value import canonical_json, sha256_hex
from rebuilder.store.ledger import Ledger

BACK_OFF = (
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
    timedelta(hours=6),
)
"""Waits between tries; after the last of them nothing is tried any more, and the alarm page says so."""
_AT_ONCE = 1000

log = logging.getLogger("rebuilder.alarms")


class Sender(Protocol):
    """Brings one message to one target."""

    def send(self, name: str, target: Target, message: Message) -> None:
        """Return when the target has it.

        Raises:
            RebuilderError: it has not; the sentence holds no address and no secret.
        """
        ...


@dataclass(frozen=True)
class _Sent:
    """What came of one message; ``error`` None: it was taken."""

    notices: tuple[Notice, ...]
    error: str | None


@dataclass
class Delivery:
    """One step after the other, by one thread; any number of processes may do it for one ledger.

    Args:
        ledger: Where alarms are.
        settings: Who is told, and when not.
        sender: How.
        clock: The time.
        site: Address of the published site, for links.
        seconds: How long a step waits for its targets; who takes longer is not asked anything until it is done.

    Raises:
        UsageError: a suppression window cannot be meant.
    """

    ledger: Ledger
    settings: AlarmSettings
    sender: Sender
    clock: Clock
    site: str | None = None
    seconds: float = 30
    monotonic: Callable[[], float] = time.monotonic
    _busy: dict[str, tuple[Notice, ...]] = field(default_factory=dict)
    _done: queue.Queue[tuple[str, _Sent]] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self._suppressions = Suppressions(self.settings.suppress)

    def step(self) -> int:
        """Tell what is due; gives how many notices were taken by their targets.

        Raises:
            StoreError: the ledger cannot be used; what was sent meanwhile may be sent again.
        """
        now = self.clock.now()
        taken = self._collect(0)
        targets = {name: target.severities for name, target in self.settings.targets.items()}
        self.ledger.alarm_book.fill(targets, lambda recorded: self._suppressions.quiet(recorded, now), now)
        free = [name for name in targets if name not in self._busy]
        due = self.ledger.alarm_book.due(now, _AT_ONCE, targets=free)
        for name in free:
            notices = self._to_tell([each for each in due if each.target == name], now)
            if notices:
                self._start(name, notices, now)
        taken += self._collect(self.seconds)
        for name, notices in self._busy.items():
            self._failed(notices, f"The target {name} gave no answer within {self.seconds:g} seconds.")
            self._busy[name] = ()
        return taken

    def _to_tell(self, notices: Sequence[Notice], now: datetime) -> tuple[Notice, ...]:
        """What a target is told now; the rest is put off while it is suppressed."""

        def quiet(recorded: RecordedAlarm) -> bool:
            return self._suppressions.quiet(recorded, now)

        if later := [each.id for each in notices if quiet(each.recorded)]:
            self.ledger.alarm_book.postponed(later, now + RECHECK)
        return tuple(each for each in notices if not quiet(each.recorded))

    def _start(self, name: str, notices: tuple[Notice, ...], now: datetime) -> None:
        """Send in a thread of its own: nobody can say how long a target takes."""
        message, target = _compose(notices, now, self.site), self.settings.targets[name]

        def send() -> None:
            failure = None
            try:
                self.sender.send(name, target, message)
            except RebuilderError as error:
                failure = str(error)
            except Exception as error:  # noqa: BLE001 - a library's error may quote the address
                failure = f"Telling the target {name} failed in a way that was not foreseen ({type(error).__name__})."
            self._done.put((name, _Sent(notices, failure)))

        self._busy[name] = notices
        threading.Thread(target=send, name=f"alarms to {name}", daemon=True).start()

    def _collect(self, seconds: float) -> int:
        """Put down what came of what was sent; waits so long for what is under way."""
        taken, end = 0, self.monotonic() + seconds
        while self._busy:
            try:  # nobody waits for those who took too long already
                left = max(0.0, end - self.monotonic()) if any(self._busy.values()) else 0.0
                name, sent = self._done.get(timeout=left) if left else self._done.get_nowait()
            except queue.Empty:
                break
            counted = self._busy.pop(name)
            if sent.error is None:
                self.ledger.alarm_book.delivered([each.id for each in sent.notices])
                taken += len(sent.notices)
            elif counted:  # else it was called a failure when it took too long
                self._failed(sent.notices, sent.error)
        return taken

    def _failed(self, notices: Sequence[Notice], error: str) -> None:
        """Try again later: soon at first, then ever less often, in the end not at all."""
        now = self.clock.now()
        for tries in sorted({each.tries for each in notices}):
            ids = [each.id for each in notices if each.tries == tries]
            again = now + BACK_OFF[tries - 1] if tries <= len(BACK_OFF) else None
            self.ledger.alarm_book.failed(ids, error, again)
        if notices:
            log.warning("%s", error, extra={"target": notices[0].target})


RECHECK = timedelta(minutes=5)
"""What may not be told now is looked at again after so long."""
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:(?P<days>[a-z-]+) )?(?P<start>\d\d:\d\d)-(?P<end>\d\d:\d\d)(?: (?P<zone>\S+))?", re.IGNORECASE | re.ASCII
)


@dataclass(frozen=True)
class Window:
    """Some hours of some days of the week, by the clock on the wall of a place."""

    days: frozenset[int]
    """Days on which it begins, Monday is 0."""
    start: time_of_day
    end: time_of_day
    """The last minute that belongs to it; when it is before ``start``, that of the day after."""
    zone: tzinfo

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a window such as ``sat-sun 00:00-23:59 Europe/Berlin``; without days every day, without zone UTC.

        Raises:
            UsageError: there is no such time or zone, or it begins and ends at the same time.
        """
        found = _WINDOW.fullmatch(text)
        if found is None:
            raise _wrong(text, "it is not written like “sat-sun 00:00-23:59 Europe/Berlin”")
        start, end = _time(text, found["start"]), _time(text, found["end"])
        if found["start"] == found["end"]:
            raise _wrong(text, "it begins and ends at the same time; write 00:00-24:00 for all day")
        if found["start"] == "24:00":
            raise _wrong(text, "no day begins at 24:00; write 00:00")
        try:
            zone = ZoneInfo(found["zone"] or "UTC")
        except (OSError, ValueError, KeyError):
            raise _wrong(text, f"there is no time zone {found['zone']!r}") from None
        return cls(_days(text, found["days"]), start, end, zone)

    def holds(self, now: datetime) -> bool:
        """Whether a moment is in it. An hour that the clock skips never is; one that it shows twice is twice."""
        local = now.astimezone(self.zone)
        minute, today = local.time().replace(second=0, microsecond=0), local.weekday()
        if self.start <= self.end:
            return today in self.days and self.start <= minute <= self.end
        yesterday = (today - 1) % 7
        return (today in self.days and minute >= self.start) or (yesterday in self.days and minute <= self.end)


class Suppressions:
    """All windows of the settings.

    Raises:
        UsageError: one of them cannot be meant.
    """

    def __init__(self, settings: Sequence[Suppression]) -> None:
        self._windows = [(Window.parse(each.window), each) for each in settings]

    def quiet(self, recorded: RecordedAlarm, now: datetime) -> bool:
        """Whether nobody is told about an alarm now."""
        return any(
            recorded.severity in setting.severities
            and (not setting.kinds or recorded.alarm.kind in setting.kinds)
            and window.holds(now)
            for window, setting in self._windows
        )


def _days(text: str, written: str | None) -> frozenset[int]:
    first, _, last = (written or "mon-sun").lower().partition("-")
    try:
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
    except ValueError:
        raise _wrong(text, f"the days are {', '.join(_DAYS)}") from None
    return frozenset((begin + offset) % 7 for offset in range((end - begin) % 7 + 1))


def _time(text: str, written: str) -> time_of_day:
    if written == "24:00":
        return time_of_day(23, 59)
    try:
        return time_of_day.fromisoformat(written)
    except ValueError:
        raise _wrong(text, f"there is no time {written}") from None


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"The window {text!r} in “alarms.suppress” cannot be used: {why}.")


MOST_GROUPS = 20
MOST_OF_A_GROUP = 20
_MOST_IN_TEXT = 3
_SENTENCE_LENGTH = 600
_WORDS = {Event.RAISED: "", Event.ESCALATED: "more urgent: ", Event.CLEARED: "has passed: "}


def _compose(notices: Sequence[Notice], now: datetime, site: str | None) -> Message:
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
