"""``rebuilder serve`` with a fleet, as the processes that a user starts: what is watched is built elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.command import Installation
from tests.fakes.fleet_servers import servers
from tests.fakes.processes import until
from tests.fakes.registry import Registry
from tests.fakes.s3_server import credentials
from tests.soak.figures import Part
from tests.soak.fleet_world import fleet_round
from tests.soak.world import publish


def pages(installation: Installation) -> list[Path]:
    """Of verdicts."""
    return list(installation.site.glob("pypi/project0*/1.0/*/*/index.html"))


def test_what_is_watched_is_built_by_runners_and_published(
    tmp_path: Path, environments_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two runners answers, once for each build; the pages are there and sound, and no process stays."""
    assert environments_root.is_dir()
    part = Part("a fleet")
    with Registry() as registry, servers(tmp_path) as running:
        for name, value in credentials(running.endpoint).items():
            monkeypatch.setenv(name, value)
        expected = publish(registry, 2)
        machines = [running.runner(name) for name in ("north", "south")]
        with fleet_round(part, registry, expected, running, machines, double_runs=1.0) as one:
            one.settle()
            until(lambda: len(pages(one.installation)) == 2)
            one.end()
            assert all("reproduced" in each.read_text() for each in pages(one.installation))
    assert [] == part.violations
