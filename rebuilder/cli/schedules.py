"""``rebuilder schedules``: what is watched and when, and every mistake in the files that say so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rebuilder.clock import Clock
from rebuilder.errors import ExitCode
from rebuilder.model.text import visible
from rebuilder.service.schedules.folder import Folder
from rebuilder.service.schedules.timing import duration, upcoming
from rebuilder.service.schedules.watch import Recheck, Timing, Watch
from rebuilder.toml_files import Remark


def show(directory: Path, clock: Clock) -> int:
    """Print every watch and recheck, then what was skipped and what is wrong; 2 if any file is wrong, else 0."""
    reading = Folder(directory, clock).read()
    now = clock.now()
    for item in reading.schedule.items:
        what = _watched(item) if isinstance(item, Watch) else _rechecked(item)
        _print(f"{item.name} ({item.file})", what, _timing(item.timing), _times(item.timing, now))
    if not reading.schedule.items and not reading.problems:
        _print(f"Nothing is watched: {directory} holds no schedule that is enabled.")
    _remarks("Skipped:", reading.notes)
    _remarks("Wrong:", reading.problems)
    return ExitCode.USAGE if reading.problems else ExitCode.OK


def _print(first: str, *more: str) -> None:
    print("\n    ".join(map(visible, (first, *more))))  # noqa: T201


def _remarks(title: str, remarks: Sequence[Remark]) -> None:
    if remarks:
        _print(title, *(remark.label for remark in remarks))


def _watched(watch: Watch) -> str:
    words = f"{watch.ecosystem}: {_names(watch)}, {watch.versions.label}"
    return f"{words}{', prereleases too' if watch.prereleases else ''}; {watch.tier.value}"


def _rechecked(recheck: Recheck) -> str:
    some = recheck.packages or recheck.patterns
    what = _names(recheck) if some else "everything verified before"
    words = f"{recheck.ecosystem or 'all ecosystems'}: {what}, when older than {duration(recheck.older_than)}"
    return f"{words}; {recheck.check.value}, at most {recheck.at_most} in a run"


def _names(item: Watch | Recheck) -> str:
    names, patterns = len(item.packages), len(item.patterns)
    counted = [f"{names} name{'s' * (names != 1)}"] if names or not patterns else []
    return " and ".join([*counted, *([f"{patterns} pattern{'s' * (patterns != 1)}"] if patterns else [])])


def _timing(timing: Timing) -> str:
    if timing.cron is not None:
        words = f"when it is new, then by “{timing.cron}” in {timing.time_zone}"
    else:
        words = f"when it is new, then every {duration(timing.every or 0)}"
    return f"{words}, up to {duration(timing.jitter)} later" if timing.jitter else words


def _times(timing: Timing, now: datetime) -> str:
    place = ZoneInfo(timing.time_zone)
    times = ", ".join(f"{time.astimezone(place):%a %Y-%m-%d %H:%M %Z}" for time in upcoming(timing, now, 3))
    return f"next: {times}" if timing.cron is not None else f"next, if it began now: {times}"
