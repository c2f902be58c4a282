"""A clock that stands while a build goes on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.environments.store import EnvironmentStore
from tests.fakes.rooms import real_room

pytestmark = pytest.mark.needs_guest

THEN = datetime(2019, 2, 3, 4, 5, 6, 250_000, tzinfo=UTC)
WORK = "end = time.monotonic() + 4\nwhile time.monotonic() < end: pass"
REST = "time.sleep(4)"


@pytest.mark.parametrize(("program", "least", "most"), [(WORK, 0.0, 2.0), (REST, 3.0, 6.0)])
def test_clock_may_stand(
    environments: EnvironmentStore, tmp_path: Path, program: str, least: float, most: float
) -> None:
    """Work takes no time on it; waiting does."""
    with real_room("uml", environments, tmp_path) as room:
        command = ("/usr/bin/python3", "-I", "-c", f"import time\n{program}\nprint(time.time_ns())")
        run = room.run(command, clock=THEN, clock_stands=True)
        [told] = [int(line) for line in room.log(run).splitlines() if line.isdigit()]
    later = datetime.fromtimestamp(told / 1e9, UTC)
    assert timedelta(seconds=least) <= later - THEN < timedelta(seconds=most)
