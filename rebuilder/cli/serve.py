"""``rebuilder serve``, ``schedules`` and ``doctor``: the service, what it looks at, and what this machine lacks."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rebuilder.clock import Clock, SystemClock
from rebuilder.config import Config
from rebuilder.errors import ExitCode, UsageError
from rebuilder.model.text import visible
from rebuilder.service.logs import configure
from rebuilder.service.preflight import preflight
from rebuilder.service.schedules.folder import Folder
from rebuilder.service.schedules.timing import duration, upcoming
from rebuilder.service.schedules.watch import Recheck, Timing, Watch
from rebuilder.service.service import serve
from rebuilder.toml_files import Remark


def run_service(config: Config, *, json_logs: bool) -> None:
    """Run the service until SIGTERM or SIGINT; a second signal ends it at once.

    Raises:
        UsageError: the settings of alarms cannot be meant.
        RebuilderError: it cannot begin.
    """
    configure(json=json_logs, stream=sys.stderr)
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    for check in preflight(config, SystemClock()):
        if check.name == "alarms" and not check.ok:
            raise UsageError(check.message, hint=f"{check.fix}.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    serve(config, stopping, json_logs=json_logs)


if TYPE_CHECKING:
    from rebuilder.doctor.checks import DoctorCheck

_WITHOUT = ("check", "proxy", "publish", "export", "log", "alarms", "requeue", "backup", "restore")
"""Commands that build nothing."""


def examine(config: Config) -> int:
    """Run every check and print it; 0 when all is well, 4 otherwise."""
    from rebuilder.doctor.checks import checks

    found = [*checks(config), *_service(config)]
    for check in found:
        print(f"{'ok  ' if check.ok else 'LACKS'} {check.name}: {check.message}")  # noqa: T201
    broken = [check for check in found if not check.ok]
    for fix, command in dict.fromkeys((check.fix, check.command) for check in broken if check.fix):
        print(f"  {'run' if command else 'do'}: {fix}")  # noqa: T201
    if any((check.fix or "").startswith("apt-get") for check in broken):
        print(f"  Without these packages, {', '.join(_WITHOUT[:-1])} and {_WITHOUT[-1]} work.")  # noqa: T201
    return ExitCode.OUR_FAULT if broken else ExitCode.OK


def _service(config: Config) -> list[DoctorCheck]:
    """What the service needs; one line where its part of the program is not installed, which is no fault."""
    from rebuilder.clock import SystemClock
    from rebuilder.doctor.checks import DoctorCheck
    from rebuilder.errors import missing_extra

    try:
        from rebuilder.service.preflight import preflight

        return list(preflight(config, SystemClock()))
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        return [DoctorCheck(name="service", ok=True, message=f"`rebuilder serve` cannot be run here. {missing}")]


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
