"""``rebuilder doctor``: one line per check, and what mends those that failed."""

from __future__ import annotations

from rebuilder.config import Config
from rebuilder.errors import ExitCode


def examine(config: Config) -> int:
    """Run every check and print it; 0 when all is well, 4 otherwise."""
    from rebuilder.clock import SystemClock
    from rebuilder.doctor import checks
    from rebuilder.service.preflight import preflight

    found = [*checks(config), *preflight(config, SystemClock())]
    for check in found:
        print(f"{'ok  ' if check.ok else 'LACKS'} {check.name}: {check.sentence}")  # noqa: T201
    broken = [check for check in found if not check.ok]
    for mend, command in dict.fromkeys((check.mend, check.command) for check in broken if check.mend):
        print(f"  {'run' if command else 'do'}: {mend}")  # noqa: T201
    return ExitCode.OUR_FAULT if broken else ExitCode.OK
