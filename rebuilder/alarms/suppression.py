"""When nobody is told about some alarms."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Self
from zoneinfo import ZoneInfo

from rebuilder.errors import UsageError
from rebuilder.model.alarm import RecordedAlarm
from rebuilder.model.settings import Suppression

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
    start: time
    end: time
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


def _time(text: str, written: str) -> time:
    if written == "24:00":
        return time(23, 59)
    try:
        return time.fromisoformat(written)
    except ValueError:
        raise _wrong(text, f"there is no time {written}") from None


def _wrong(text: str, why: str) -> UsageError:
    return UsageError(f"The window {text!r} in “alarms.suppress” cannot be used: {why}.")
