"""A directory of schedules over time: edits, broken edits, removed files, files that are being written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rebuilder.cli.schedules import show
from rebuilder.service.schedules.folder import Folder, FolderReading
from tests.fakes.clock import FixedClock

LATER = timedelta(seconds=10)


class Desk:
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
def desk(tmp_path: Path) -> Desk:
    """An empty directory."""
    return Desk(tmp_path)


def watch(name: str, more: str = 'packages = ["idna"]') -> str:
    """A schedule file with one watch."""
    return f'[[watch]]\nname = "{name}"\n{more}\nevery = "6h"\n'


def test_edits_take_effect(desk: Desk) -> None:
    """New, changed and removed files; what is the same is said to be."""
    desk.write("a.toml", watch("a"))
    assert desk.read().changed
    assert not desk.read().changed
    desk.write("a.toml", watch("a2"))
    desk.write("b.toml", watch("b"))
    assert ["a2", "b"] == desk.names()
    (desk.directory / "a.toml").unlink()
    desk.read()
    assert ["b"] == desk.names()


def test_a_comment_changes_nothing(desk: Desk) -> None:
    """The file is read again, but says the same."""
    desk.write("a.toml", watch("a"))
    desk.read()
    desk.write("a.toml", watch("a") + "# why\n")
    assert not desk.read().changed


def test_a_broken_edit_keeps_the_last_good_version(desk: Desk) -> None:
    """It is said, once mended it is not said any more; other files take no harm."""
    desk.write("a.toml", watch("a"))
    desk.write("b.toml", watch("b"))
    desk.read()
    desk.write("a.toml", "[[watch]\n")
    reading = desk.read()
    assert ["a", "b"] == [item.name for item in reading.schedule.items]
    assert reading.changed
    assert [1, None] == [problem.line for problem in reading.problems]
    assert "a.toml: The last good version stays in use until this is mended." == reading.problems[1].label
    desk.write("a.toml", watch("mended"))
    reading = desk.read()
    assert () == reading.problems
    assert ["mended", "b"] == [item.name for item in reading.schedule.items]


def test_a_file_that_never_was_right(desk: Desk) -> None:
    """Nothing of it is used, not even its right half."""
    desk.write("a.toml", watch("a") + watch("b", "packages = 3"))
    reading = desk.read()
    assert () == reading.schedule.items
    assert "a.toml: Nothing of this file is used until this is mended." == reading.problems[-1].label


def test_a_changed_lock_file_counts(desk: Desk) -> None:
    """Also one that a pattern finds, one that is included, and one that went missing."""
    (desk.directory / "requirements.txt").write_text("idna\n-r more.txt\n")
    (desk.directory / "more.txt").write_text("attrs\n")
    (desk.directory / "x-1.list").write_text("zipp\n")
    desk.write("a.toml", watch("a", 'files = ["requirements.txt", "x-*.list"]'))
    assert ("attrs", "idna", "zipp") == desk.read().schedule.watches[0].packages
    (desk.directory / "more.txt").write_text("flask\n")
    assert ("flask", "idna", "zipp") == desk.read().schedule.watches[0].packages
    (desk.directory / "x-2.list").write_text("six\n")
    assert ("flask", "idna", "six", "zipp") == desk.read().schedule.watches[0].packages
    (desk.directory / "more.txt").unlink()
    reading = desk.read()
    assert 4 == len(reading.schedule.watches[0].packages)
    assert "This file does not exist." in reading.problems[0].message
    (desk.directory / "more.txt").write_text("click\n")
    assert "click" in desk.read().schedule.watches[0].packages


def test_names_are_unique(desk: Desk) -> None:
    """The file that comes second to a name is at fault, and told where the first is."""
    desk.write("b.toml", watch("same"))
    desk.read()
    desk.write("a.toml", watch("same", 'packages = ["attrs"]'))
    reading = desk.read()
    assert ["b.toml"] == [item.file for item in reading.schedule.items]
    assert "a.toml, line 1, name: The name 'same' is taken already in b.toml, line 1" in reading.problems[0].label


def test_a_half_saved_file_waits(desk: Desk) -> None:
    """What was written a moment ago is read when it has settled; the first time it is read at once."""
    desk.write("a.toml", watch("a"))
    desk.clock.time = datetime.fromtimestamp((desk.directory / "a.toml").stat().st_ctime + 0.5, UTC)
    assert ["a"] == [item.name for item in desk.folder.read().schedule.items]
    (desk.directory / "a.toml").write_text("[[wat")
    desk.clock.time = datetime.fromtimestamp((desk.directory / "a.toml").stat().st_ctime + 0.5, UTC)
    assert not desk.folder.read().changed
    assert [] != list(desk.read().problems)


def test_a_file_that_is_missing_for_a_moment(desk: Desk) -> None:
    """Some editors move the old file away first."""
    desk.write("a.toml", watch("a"))
    desk.read()
    (desk.directory / "a.toml").rename(desk.directory / "a.toml~")
    assert not desk.folder.read().changed
    desk.write("a.toml", watch("a"))
    assert ["a"] == desk.names()


def test_no_directory(tmp_path: Path) -> None:
    """A sentence; when it was there before, what it said stays."""
    desk = Desk(tmp_path / "none")
    assert "cannot be read: No such file or directory" in desk.read().problems[0].label
    desk.directory.mkdir()
    desk.write("a.toml", watch("a"))
    assert ["a"] == desk.names()
    desk.directory.rename(tmp_path / "moved")
    desk.read()
    assert ["a"] == desk.names()


class Asked(list[str]):
    """Known ecosystems that count how often they were looked at: once for each reading of a watch that names one."""

    asked = 0

    def __contains__(self, name: object) -> bool:
        """Whether it is known."""
        self.asked += 1
        return super().__contains__(name)


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    """A thousand readings of what stays the same cost a look at the directory each."""
    desk = Desk(tmp_path)
    known = Asked(["pypi"])
    desk.folder = Folder(tmp_path, desk.clock, ecosystems=known)
    desk.write("a.toml", watch("a", 'packages = ["idna"]\necosystem = "pypi"'))
    for _ in range(1000):
        desk.read()
    assert 1 == known.asked


def test_show(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    """What is watched, when, and what is wrong; escapes of a terminal are made visible."""
    desk.clock.time = datetime(2126, 11, 1, 12, tzinfo=UTC)
    desk.write("a.toml", watch("a", 'packages = ["idna", "x-*"]\nversions = { newest = 3 }'))
    assert 0 == show(desk.directory, desk.clock)
    assert [
        "a (a.toml)",
        "    pypi: 1 name and 1 pattern, the newest 3 versions; full",
        "    when it is new, then every 6h",
        "    next, if it began now: Fri 2126-11-01 18:00 UTC, Sat 2126-11-02 00:00 UTC, Sat 2126-11-02 06:00 UTC",
    ] == capsys.readouterr().out.splitlines()
    desk.write("b.toml", watch("b", 'packages = ["\\u001b[2J"]'))
    assert 2 == show(desk.directory, desk.clock)
    told = capsys.readouterr().out
    assert "b.toml, line 3, watch.packages: " in told
    assert "\x1b" not in told
