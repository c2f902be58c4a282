"""When watches run: durations, and crontab lines in a time zone, made into triggers for APScheduler.

APScheduler's own triggers are not used: its reading of crontab lines counts weekdays from Monday and drops hours where
summer time ends, and both triggers count on from a time that jitter had moved, so that intervals drift. ``cronsim``
reads lines as Debian's cron does:

* A line whose minute or hour begins with ``*`` follows real time: it runs at every moment at which the clock on the
  wall shows such a time, also when it shows that time twice.
* Any other line names times of the day: one that the clock skips runs once, right after the gap; one that it shows
  twice runs the first time.
"""

from __future__ import annotations

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
from cronsim import CronSim, CronSimError

from rebuilder.service.schedules.watch import Timing

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_LONGEST = 10 * 366 * 86400
_SHORTEST_EVERY = 60
_LONGEST_LINE = 1000
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
    raise ValueError(f"{name!r} is no time zone" + (f" (but {near[0]!r} is)" if near else ", such as Europe/Berlin"))


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

    Args:
        line: Five fields as crontab(5) has them; when both day and weekday are given, either will do.
        place: The zone.

    Raises:
        ValueError: it is no such line, or names a day that no year has.
    """

    def __init__(self, line: str, place: ZoneInfo) -> None:
        fields = line.lower().split()
        if len(line) > _LONGEST_LINE:
            raise ValueError(f"it is longer than {_LONGEST_LINE:,} characters")
        if len(fields) != 5:
            raise ValueError(f"{line!r} has {len(fields)} fields; minute, hour, day, month and weekday are wanted")
        fields[4] = re.sub(r"(?<=-)(?:sun|0)\b", "7", fields[4])  # “fri-sun”
        self._line, self._fields, self._zone = line, " ".join(fields), place
        self.after(datetime(2026, 1, 1, tzinfo=UTC))

    def after(self, moment: datetime) -> datetime:
        """The next time after ``moment``, in UTC.

        Raises:
            ValueError: none comes within fifty years.
        """
        try:
            for time in CronSim(self._fields, moment.astimezone(self._zone)):
                found: datetime = time.astimezone(UTC)
                if found > moment:  # it is not where the wall clock shows an hour for the second time
                    return found
        except CronSimError as error:
            wrong = str(error).removeprefix("Bad ")
            raise ValueError(f"{self._line!r} cannot be followed: there is no such {wrong}") from None
        raise ValueError(f"{self._line!r} never comes")


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
