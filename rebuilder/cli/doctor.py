"""``rebuilder doctor``: one line per check, and what fixes those that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rebuilder.config import Config
from rebuilder.errors import ExitCode

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
