"""``python -m tests.soak``: all of it, or one part; prints figures, and fails when something did not hold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.soak import fleet, trouble
from tests.soak.dispatch import dispatch
from tests.soak.figures import Part, table
from tests.soak.processes import adopt_orphans

_PARTS = (
    "kills",
    "database",
    "disk",
    "dispatch",
    "fleet-verdicts",
    "fleet-kills",
    "fleet-trouble",
    "fleet-rabbitmq",
)


def main() -> int:
    """Run the parts one after the other; each stops by itself."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="bad events in the first part")
    parser.add_argument("--seconds", type=float, default=900, help="no part begins a bad event after so long")
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks of the last part")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--files", type=int, default=200, help="releases of the parts about a fleet")
    parser.add_argument("--only", choices=[*_PARTS, "fleet", "inside-disk"], help="“fleet”: all parts about one")
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    adopt_orphans()
    kills, seconds, seed, files = given.kills, given.seconds, given.seed, given.files
    parts: dict[str, Callable[[], Part]] = {
        "kills": lambda: trouble.kills(kills, seconds, seed),
        "database": lambda: trouble.database(max(1, kills // 4), seconds, seed),
        "disk": lambda: trouble.disk(max(1, kills // 8), seconds, seed),
        "dispatch": lambda: dispatch(given.tasks, seconds),
        "fleet-verdicts": lambda: fleet.verdicts(files, seed),
        "fleet-kills": lambda: fleet.kills(files, max(1, kills // 4), seed),
        "fleet-trouble": lambda: fleet.trouble(files * 3 // 5, seed),
        "fleet-rabbitmq": lambda: fleet.rabbitmq(files // 5, seed),
    }
    if given.only == "inside-disk":
        done = [trouble.inside_disk(given.home, kills, seconds, seed)]
    else:
        done = [part() for name, part in parts.items() if given.only in {None, name, name.partition("-")[0]}]
    sys.stdout.write(table(done))
    return 1 if any(part.violations for part in done) else 0


if __name__ == "__main__":
    sys.exit(main())
