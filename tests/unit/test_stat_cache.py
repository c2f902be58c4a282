"""Large files are not hashed again while nothing about them changes."""

from __future__ import annotations

from pathlib import Path

from rebuilder.stat_cache import DAY, StatCache
from tests.fakes.files import change_unseen


class Hand:
    """A clock that is set by hand."""

    def __init__(self, moment: float) -> None:
        self.moment = moment

    def __call__(self) -> float:
        """The time it was set to."""
        return self.moment


def test_a_note_counts_until_something_changes(tmp_path: Path) -> None:
    """Same inode, size, mode and times: no need to read it again; anything else: read it."""
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    notes = StatCache(tmp_path / "notes")
    assert not notes.unchanged("x", file.stat())
    notes.found_right("x", file.stat())
    assert StatCache(tmp_path / "notes").unchanged("x", file.stat())
    assert not notes.unchanged("y", file.stat())
    change_unseen(file, b"abd")
    assert not notes.unchanged("x", file.stat()), "the change time tells"


def test_a_note_counts_for_a_day(tmp_path: Path) -> None:
    """Rot on the disk shows in nothing but the bytes."""
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    StatCache(tmp_path / "notes").found_right("x", file.stat())
    written = (tmp_path / "notes" / "x").stat().st_mtime
    assert StatCache(tmp_path / "notes", now=Hand(written + DAY - 1)).unchanged("x", file.stat())
    assert not StatCache(tmp_path / "notes", now=Hand(written + DAY + 1)).unchanged("x", file.stat())
    assert not StatCache(tmp_path / "notes", now=Hand(written - 60)).unchanged("x", file.stat()), "clock set back"


def test_damaged_or_unwritable_notes_are_no_loss(tmp_path: Path) -> None:
    """Then the file is simply read."""
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    notes = StatCache(tmp_path / "notes")
    notes.found_right("x", file.stat())
    (tmp_path / "notes" / "x").write_bytes(b"\xff{")
    assert not notes.unchanged("x", file.stat())
    StatCache(file / "below-a-file").found_right("x", file.stat())
