"""A directory of schedules over time: edits, broken edits, removed files, files that are being written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.cli.schedules import show
from rebuilder.service.schedules.folder import Folder, FolderReading
from tests.fakes.clock import FixedClock

LATER = timedelta(seconds=10)


class Harness:
    """A directory, its folder, and a clock that runs ahead of the files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = FixedClock(datetime.now(UTC) + timedelta(hours=1))
        self.folder = Folder(directory, self.clock)

    def write(self, name: str, text: str) -> None:
        """Save a file as editors do: beside, then over it."""
        (self.directory / f".{name}.new").write_text(text)
        (self.directory / f".{name}.new").replace(self.directory / name)

    def names(self) -> list[str]:
        """What is watched after another reading."""
        return [item.name for item in self.read().schedule.items]

    def read(self) -> FolderReading:
        """Another reading, some time later."""
        self.clock.time += LATER
        return self.folder.read()


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    """An empty directory."""
    return Harness(tmp_path)


def watch(name: str, more: str = 'packages = ["idna"]') -> str:
    """A schedule file with one watch."""
    return f'[[watch]]\nname = "{name}"\n{more}\nevery = "6h"\n'


def test_edits_take_effect(harness: Harness) -> None:
    """New, changed and removed files; what is the same is said to be."""
    harness.write("a.toml", watch("a"))
    assert harness.read().changed
    assert not harness.read().changed
    harness.write("a.toml", watch("a2"))
    harness.write("b.toml", watch("b"))
    assert ["a2", "b"] == harness.names()
    (harness.directory / "a.toml").unlink()
    harness.read()
    assert ["b"] == harness.names()


def test_a_comment_changes_nothing(harness: Harness) -> None:
    """The file is read again, but says the same."""
    harness.write("a.toml", watch("a"))
    harness.read()
    harness.write("a.toml", watch("a") + "# why\n")
    assert not harness.read().changed


def test_a_broken_edit_keeps_the_last_good_version(harness: Harness) -> None:
    """It is said, once mended it is not said any more; other files take no harm."""
    harness.write("a.toml", watch("a"))
    harness.write("b.toml", watch("b"))
    harness.read()
    harness.write("a.toml", "[[watch]\n")
    reading = harness.read()
    assert ["a", "b"] == [item.name for item in reading.schedule.items]
    assert reading.changed
    assert [1, None] == [problem.line for problem in reading.problems]
    assert reading.problems[1].label.startswith("a.toml: The last good version stays")
    harness.write("a.toml", watch("mended"))
    reading = harness.read()
    assert () == reading.problems
    assert ["mended", "b"] == [item.name for item in reading.schedule.items]


def test_a_file_that_never_was_right(harness: Harness) -> None:
    """Nothing of it is used, not even its right half."""
    harness.write("a.toml", watch("a") + watch("b", "packages = 3"))
    reading = harness.read()
    assert () == reading.schedule.items
    assert reading.problems[-1].label.startswith("a.toml: Nothing of this file is used")


def test_a_changed_lock_file_counts(harness: Harness) -> None:
    """Also one that a pattern finds, one that is included, and one that went missing."""
    (harness.directory / "requirements.txt").write_text("idna\n-r more.txt\n")
    (harness.directory / "more.txt").write_text("attrs\n")
    (harness.directory / "x-1.list").write_text("zipp\n")
    harness.write("a.toml", watch("a", 'files = ["requirements.txt", "x-*.list"]'))
    assert ("attrs", "idna", "zipp") == harness.read().schedule.watches[0].packages
    (harness.directory / "more.txt").write_text("flask\n")
    assert ("flask", "idna", "zipp") == harness.read().schedule.watches[0].packages
    (harness.directory / "x-2.list").write_text("six\n")
    assert ("flask", "idna", "six", "zipp") == harness.read().schedule.watches[0].packages
    (harness.directory / "more.txt").unlink()
    reading = harness.read()
    assert 4 == len(reading.schedule.watches[0].packages)
    assert "This file does not exist." in reading.problems[0].message
    (harness.directory / "more.txt").write_text("click\n")
    assert "click" in harness.read().schedule.watches[0].packages


def test_names_are_unique(harness: Harness) -> None:
    """The file that comes second to a name is at fault, and told where the first is."""
    harness.write("b.toml", watch("same"))
    harness.read()
    harness.write("a.toml", watch("same", 'packages = ["attrs"]'))
    reading = harness.read()
    assert ["b.toml"] == [item.file for item in reading.schedule.items]
    assert "a.toml, line 1, name: The name 'same' is taken already in b.toml, line 1" in reading.problems[0].label


def test_a_half_saved_file_waits(harness: Harness) -> None:
    """What was written a moment ago is read when it has settled; the first time it is read at once."""
    harness.write("a.toml", watch("a"))
    harness.clock.time = datetime.fromtimestamp((harness.directory / "a.toml").stat().st_ctime + 0.5, UTC)
    assert ["a"] == [item.name for item in harness.folder.read().schedule.items]
    (harness.directory / "a.toml").write_text("[[wat")
    harness.clock.time = datetime.fromtimestamp((harness.directory / "a.toml").stat().st_ctime + 0.5, UTC)
    assert not harness.folder.read().changed
    assert [] != list(harness.read().problems)


def test_a_file_that_is_missing_for_a_moment(harness: Harness) -> None:
    """Some editors move the old file away first."""
    harness.write("a.toml", watch("a"))
    harness.read()
    (harness.directory / "a.toml").rename(harness.directory / "a.toml~")
    assert not harness.folder.read().changed
    harness.write("a.toml", watch("a"))
    assert ["a"] == harness.names()


def test_no_directory(tmp_path: Path) -> None:
    """A sentence; when it was there before, what it said stays."""
    harness = Harness(tmp_path / "none")
    assert "nothing is watched" in harness.read().problems[0].label
    harness.directory.mkdir()
    harness.write("a.toml", watch("a"))
    assert ["a"] == harness.names()
    harness.directory.rename(tmp_path / "moved")
    harness.read()
    assert ["a"] == harness.names()


class Asked(list[str]):
    """Known ecosystems that count how often they were looked at: once for each reading of a watch that names one."""

    asked = 0

    def __contains__(self, name: object) -> bool:
        """Whether it is known."""
        self.asked += 1
        return super().__contains__(name)


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    """A thousand readings of what stays the same cost a look at the directory each."""
    harness = Harness(tmp_path)
    known = Asked(["pypi"])
    harness.folder = Folder(tmp_path, harness.clock, ecosystems=known)
    harness.write("a.toml", watch("a", 'packages = ["idna"]\necosystem = "pypi"'))
    for _ in range(1000):
        harness.read()
    assert 1 == known.asked


def test_show(harness: Harness, capsys: pytest.CaptureFixture[str]) -> None:
    """What is watched, when, and what is wrong; escapes of a terminal are made visible."""
    harness.clock.time = datetime(2126, 11, 1, 12, tzinfo=UTC)
    harness.write("a.toml", watch("a", 'packages = ["idna", "x-*"]\nversions = { newest = 3 }'))
    assert 0 == show(harness.directory, harness.clock)
    assert [
        "a (a.toml)",
        "    pypi: 1 name and 1 pattern, the newest 3 versions; full",
        "    when it is new, then every 6h",
        "    next, if it began now: Fri 2126-11-01 18:00 UTC, Sat 2126-11-02 00:00 UTC, Sat 2126-11-02 06:00 UTC",
    ] == capsys.readouterr().out.splitlines()
    harness.write("b.toml", watch("b", 'packages = ["\\u001b[2J"]'))
    assert 2 == show(harness.directory, harness.clock)
    told = capsys.readouterr().out
    assert "b.toml, line 3, watch.packages: " in told
    assert "\x1b" not in told
