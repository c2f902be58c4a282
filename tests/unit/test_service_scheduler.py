"""Schedule files come and go, break and are mended: what planning makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from rebuilder.model.alarm import AlarmKind
from rebuilder.model.definition import Limits
from rebuilder.service.scheduler import Scheduler
from rebuilder.store.ledger import Ledger
from tests.fakes.clock import FixedClock
from tests.fakes.ledgers import open_ledger

WATCH = '[[watch]]\npackages = ["idna"]\nevery = "{every}"\n'


class Harness:
    """A directory of schedules and who follows it; nothing is looked at."""

    def __init__(self, directory: Path, ledger: Ledger) -> None:
        self.directory, self.ledger = directory, ledger
        nothing = cast("Any", None)
        self.clock = FixedClock()
        self.planning = Scheduler(directory, nothing, ledger, self.clock, Limits())

    def write(self, name: str, text: str) -> None:
        """Write a file, and follow."""
        (self.directory / name).write_text(text)
        self.planning.follow()

    def remove(self, name: str) -> None:
        """Remove a file, and follow until it is believed: an editor may be about to put it back."""
        (self.directory / name).unlink()
        for _ in range(2):
            self.planning.follow()
            self.clock.time += timedelta(minutes=1)
        self.planning.follow()

    def planned(self) -> list[str]:
        """Names of all watches in force."""
        return sorted(self.planning._timer.planned())

    def alarms(self) -> list[str]:
        """Open alarms about schedules."""
        return [each.sentence for each in self.ledger.alarms() if each.kind is AlarmKind.SCHEDULE_BROKEN]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    """An empty directory."""
    (tmp_path / "schedules").mkdir()
    with open_ledger(tmp_path / "ledger.sqlite") as ledger:
        yield Harness(tmp_path / "schedules", ledger)


def test_files_come_and_go(harness: Harness) -> None:
    """Each change takes effect at the next look."""
    harness.write("a.toml", WATCH.format(every="1h"))
    harness.write("b.toml", WATCH.format(every="2h"))
    assert ["a", "b"] == harness.planned()
    harness.remove("a.toml")
    assert (["b"], []) == (harness.planned(), harness.alarms())


def test_a_broken_edit_keeps_the_last_good_one(harness: Harness) -> None:
    """One alarm for each broken file, which names the place, and is cleared when that file is mended."""
    for name in "ab":
        harness.write(f"{name}.toml", WATCH.format(every="1h"))
    for name in "ab":
        harness.write(f"{name}.toml", WATCH.format(every="1 fortnight"))
    assert ["a", "b"] == harness.planned()
    assert 2 == len(harness.alarms())
    assert all("toml, line 3, watch.every" in each for each in harness.alarms())
    harness.write("a.toml", WATCH.format(every="3h"))
    [left] = harness.alarms()
    assert left.startswith("b.toml")
    harness.remove("b.toml")
    assert ([], ["a"]) == (harness.alarms(), harness.planned())
