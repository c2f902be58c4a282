"""When watches run: durations, crontab lines and time zones, made into triggers for APScheduler.

What APScheduler 3.11 does by itself, and why its triggers are not used as they are:

* ``CronTrigger`` counts weekdays from Monday, wants day *and* weekday to match, and drops what follows a name
  (``mon-fri/2``). Here a line means what crontab(5) says; the fields are read by us and handed over as numbers.
* ``CronTrigger`` in a zone with summer time runs twice at 02:30 on the day that has it twice. Here it only does the
  arithmetic of the calendar, on wall-clock times; these are placed in the zone by us, so that they run once.
* Both triggers count on from the time that jitter had already moved: intervals drift by half the jitter. Here
  intervals keep to the moment they were counted from.
* After the clock went forward, a scheduler asks for every run that was missed, one by one. Here the next time is always
  after now, so that the missed ones are one run.
"""

from __future__ import annotations

import calendar
import difflib
import random
import re
import zoneinfo
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Self
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from rebuilder.service.schedules.watch import Timing

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 10 * 366 * 86400
_SHORTEST_EVERY = 60
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(
    r"(?:\*|(?P<first>\d{1,2}|[a-z]{3})(?:-(?P<last>\d{1,2}|[a-z]{3}))?)(?:/(?P<step>\d{1,2}))?",
    re.ASCII | re.IGNORECASE,
)
_ZONE_NAME = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}", re.ASCII)


def seconds(text: str) -> int:
    """Read a duration such as ``90s``, ``15m``, ``6h``, ``1d`` or ``1w``.

    Raises:
        ValueError: it is none, or is longer than ten years; the sentence fits behind the name of a key.
    """
    found = re.fullmatch(r"(\d{1,9})([smhdw])", text, re.ASCII)
    if found is None or not int(found[1]):
        raise ValueError(f"{text!r} is no duration; write it like “90s”, “15m”, “6h”, “1d” or “1w”")
    number = int(found[1]) * _UNITS[found[2]]
    if number > _LONGEST:
        raise ValueError(f"{text!r} is longer than ten years")
    return number


def duration(number: int) -> str:
    """Seconds, written as short as :func:`seconds` reads them."""
    unit, size = next((unit, size) for unit, size in _UNITS.items() if number % size == 0)
    return f"{number // size}{unit}"


def zone(name: str) -> ZoneInfo:
    """Look a time zone up in the IANA database.

    Raises:
        ValueError: there is none of this name.
    """
    try:
        if _ZONE_NAME.fullmatch(name):
            return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        pass
    near = difflib.get_close_matches(name, zoneinfo.available_timezones(), 1)
    raise ValueError(f"{name!r} is no time zone" + (f"; is {near[0]!r} meant?" if near else ", such as Europe/Berlin"))


def mistakes(timing: Timing) -> list[tuple[str, str]]:
    """What keeps a timing from being followed: names of keys, and sentences that fit behind them."""
    found: list[tuple[str, str]] = []
    for key, check in _CHECKS:
        if key == "jitter" and found:
            continue  # there are no times to compare it with
        try:
            check(timing)
        except ValueError as error:
            found.append((key, str(error)))
            if key == "time_zone":
                timing = timing.replace(time_zone="UTC")
    return found


def upcoming(timing: Timing, now: datetime, count: int) -> list[datetime]:
    """The next times after ``now``, without jitter; intervals are counted from ``now``."""
    trigger = Trigger(timing.replace(jitter=0), now)
    times = [now]
    while len(times) <= count:
        times.append(trigger.get_next_fire_time(times[-1], times[-1]))
    return times[1:]


class Cron:
    """A crontab line in a time zone.

    A time that the zone skips counts at the first moment after the gap; one that it has twice counts the first time.

    Args:
        line: Five fields as crontab(5) has them; when both day and weekday are given, either will do.
        place: The zone.

    Raises:
        ValueError: it is no such line, or names a day that no year has.
    """

    def __init__(self, line: str, place: ZoneInfo) -> None:
        fields = line.split()
        if len(fields) != 5:
            raise ValueError(f"{line!r} has {len(fields)} fields; minute, hour, day, month and weekday are wanted")
        self._zone = place
        minutes = _field(fields[0], "minute", 0, 59)
        hours = _field(fields[1], "hour", 0, 23)
        days = _field(fields[2], "day", 1, 31)
        months = _field(fields[3], "month", 1, 12, _MONTHS)
        weekdays = {(day + 6) % 7 for day in _field(fields[4], "weekday", 0, 7, _DAYS)}
        either = not fields[2].startswith("*") and not fields[4].startswith("*")
        if not either and min(days) > max(calendar.monthrange(2024, month)[1] for month in months):
            raise ValueError(f"{line!r} never comes: no year has such a day")
        common = {"minute": _listed(minutes), "hour": _listed(hours), "month": _listed(months), "timezone": UTC}
        if either:
            last = max(calendar.monthrange(2024, month)[1] for month in months)
            possible = [{"day": _listed(days)}] if min(days) <= last else []
            chosen = [*possible, {"day_of_week": _listed(weekdays)}]
        else:
            chosen = [{"day": _listed(days), "day_of_week": _listed(weekdays)}]
        self._triggers = [CronTrigger(**common, **each) for each in chosen]

    def after(self, moment: datetime) -> datetime:
        """The next time after ``moment``, in UTC."""
        wall = moment.astimezone(self._zone).replace(tzinfo=UTC, fold=0)
        while True:
            wall += timedelta(microseconds=1)
            wall = min(trigger.get_next_fire_time(None, wall) for trigger in self._triggers)
            instant = self._instant(wall)
            if instant > moment:
                return instant

    def _instant(self, wall: datetime) -> datetime:
        """Place a time of the wall clock (said to be UTC) in the zone; earlier walls never give later instants."""
        local = wall.replace(tzinfo=self._zone)
        late = local.astimezone(UTC)
        if late.astimezone(self._zone).replace(tzinfo=UTC, fold=0) == wall:
            return late
        # Skipped: read with the offset from after the gap it is before the gap, and the other way round.
        early = local.replace(fold=1).astimezone(UTC)
        before = early.astimezone(self._zone).utcoffset()
        while late - early > timedelta(seconds=1):
            middle = early + timedelta(seconds=(late - early) // timedelta(seconds=2))
            if middle.astimezone(self._zone).utcoffset() == before:
                early = middle
            else:
                late = middle
        return late


class Trigger(BaseTrigger):  # type: ignore[misc] # the library has no types
    """Tells APScheduler when a job runs next.

    Args:
        timing: What has no :func:`mistakes`.
        start: What intervals are counted from.
        chance: Gives numbers from 0 up to 1, for the jitter.
    """

    def __init__(self, timing: Timing, start: datetime, chance: Callable[[], float] = random.random) -> None:
        self._timing, self._start, self._chance = timing, start, chance
        self._cron = Cron(timing.cron, zone(timing.time_zone)) if timing.cron is not None else None

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first time after both, moved by the jitter; what lies between them is not made up for."""
        moment = max(previous_fire_time or now, now)
        return self._plain(moment) + timedelta(seconds=self._timing.jitter * self._chance())

    def _plain(self, moment: datetime) -> datetime:
        if self._cron is not None:
            return self._cron.after(moment)
        every = timedelta(seconds=self._timing.every or 0)
        return self._start + every * ((moment - self._start) // every + 1)

    def set_back(self, planned: datetime, now: datetime, by: timedelta) -> tuple[Self, datetime]:
        """What becomes of a plan when the clock was set back ``by`` (positive) and now says ``now``.

        An interval ends when it would have ended; a time of the calendar is looked for again.
        """
        moved = type(self)(self._timing, self._start - by, self._chance)
        planned -= by
        if self._cron is not None and planned > now:
            planned = self.get_next_fire_time(None, now)
        return moved, planned


def _field(text: str, name: str, least: int, most: int, names: tuple[str, ...] = ()) -> set[int]:
    """All numbers that one field of a crontab line stands for."""
    numbers: set[int] = set()
    for item in text.split(","):
        found = _ITEM.fullmatch(item)
        if found is None:
            raise ValueError(f"{item!r} cannot be the {name} of a crontab line")
        first, last = (_number(found[part], name, names) for part in ("first", "last"))
        step = int(found["step"] or 1)
        start = least if first is None else first
        end = last if last is not None else most if first is None or found["step"] else start
        if names is _DAYS and last == 0 < start:  # “fri-sun”
            end = 7
        if not least <= start <= end <= most or not step:
            raise ValueError(f"{item!r} cannot be the {name} of a crontab line; it goes from {least} to {most}")
        numbers |= set(range(start, end + 1, step))
    return numbers


def _number(text: str | None, name: str, names: tuple[str, ...]) -> int | None:
    if text is None or text.isdecimal():
        return None if text is None else int(text)
    if text.lower() not in names:
        raise ValueError(f"{text!r} cannot be the {name} of a crontab line")
    return names.index(text.lower()) + (names is _MONTHS)


def _listed(numbers: set[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


def _check_pace(timing: Timing) -> None:
    if timing.every is not None and timing.every < _SHORTEST_EVERY:
        raise ValueError("it must be at least “1m”: indexes are asked politely")


def _check_zone(timing: Timing) -> None:
    zone(timing.time_zone)


def _check_cron(timing: Timing) -> None:
    if timing.cron is not None:
        Cron(timing.cron, zone(timing.time_zone))


def _check_jitter(timing: Timing) -> None:
    if timing.jitter and (timing.every or timing.cron):
        times = upcoming(timing, datetime(2026, 1, 1, tzinfo=UTC), 100)
        shortest = min(round((after - before).total_seconds()) for before, after in pairwise(times))
        if timing.jitter >= shortest:
            raise ValueError(f"it must be less than the time between two runs, which can be {duration(shortest)}")


_CHECKS: tuple[tuple[str, Callable[[Timing], None]], ...] = (
    ("every", _check_pace),
    ("time_zone", _check_zone),
    ("cron", _check_cron),
    ("jitter", _check_jitter),
)
"""In this order: the later ones need what the earlier ones make sure of."""
