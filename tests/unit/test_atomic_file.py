"""A file is there whole or not at all: errors, other writers, permissions."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from rebuilder.atomic_file import replacing, write_whole


def test_it_is_there_when_the_block_ends(tmp_path: Path) -> None:
    """Not before; and nothing else is left."""
    file = tmp_path / "file"
    with replacing(file, durable=True) as draft:
        draft.write(b"new")
        assert not file.exists()
        [being_written] = tmp_path.iterdir()
        assert 0o600 == stat.S_IMODE(being_written.stat().st_mode)
    assert [file] == list(tmp_path.iterdir())
    assert (b"new", 0o644) == (file.read_bytes(), stat.S_IMODE(file.stat().st_mode))


@pytest.mark.parametrize("wrong", [OSError, KeyboardInterrupt])
def test_an_error_leaves_what_was_before(tmp_path: Path, wrong: type[BaseException]) -> None:
    """Whatever it is, and however much was written."""
    file = tmp_path / "file"
    write_whole(file, b"before")

    def fail() -> None:
        with replacing(file) as draft:
            draft.write(b"half")
            raise wrong

    with pytest.raises(wrong):
        fail()
    assert [(file, b"before")] == [(each, each.read_bytes()) for each in tmp_path.iterdir()]


def test_what_is_there_may_stay(tmp_path: Path) -> None:
    """Of two that make a key at once, one is kept, and both read that one."""
    file = tmp_path / "key"
    with replacing(file, mode=0o600, replace=False) as slow:
        slow.write(b"slow")
        with replacing(file, mode=0o600, replace=False) as quick:
            quick.write(b"quick")
    assert [(file, b"quick")] == [(each, each.read_bytes()) for each in tmp_path.iterdir()]


@pytest.mark.parametrize(("mode", "expected"), [(0o555, 0o555), (0o600, 0o600), (None, 0o640)])
def test_permissions(tmp_path: Path, mode: int | None, expected: int) -> None:
    """As given, or as the umask has it."""
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "file", b"", mode=mode)
    finally:
        os.umask(before)
    assert expected == stat.S_IMODE((tmp_path / "file").stat().st_mode)


def test_drafts_may_lie_elsewhere(tmp_path: Path) -> None:
    """Where a listing of the directory is published, nobody sees them."""
    for name in ("drafts", "site"):
        (tmp_path / name).mkdir()
    with replacing(tmp_path / "site" / "page", drafts=tmp_path / "drafts") as draft:
        draft.write(b"page")
        assert [] == list((tmp_path / "site").iterdir())
        assert 1 == len(list((tmp_path / "drafts").iterdir()))
    assert b"page" == (tmp_path / "site" / "page").read_bytes()
