"""A clock that stands while a build goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from rebuilder.toolchains.store import DebianToolchains
from tests.fakes.rooms import real_room

THEN = datetime(2019, 2, 3, 4, 5, 6, 250_000, tzinfo=UTC)


def test_clock_may_stand(toolchains: DebianToolchains, tmp_path: Path) -> None:
    """It shows the same after as long as it takes to write several files."""
    program = "import time; time.sleep(3); print(time.time_ns())"
    with real_room("uml", toolchains, tmp_path) as room:
        run = room.run(("/usr/bin/python3", "-I", "-c", program), clock=THEN, clock_stands=True)
        [told] = [int(line) for line in room.log(run).splitlines() if line.isdigit()]
    later = datetime.fromtimestamp(told / 1e9, UTC)
    assert THEN <= later < THEN + timedelta(seconds=1.5)
