"""Directories that list their entries in another order keep everything else."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from rebuilder.programs.source import checkout


def state(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, time and content of everything below a directory."""
    return {
        str(each.relative_to(root)): (
            each.lstat().st_mode,
            each.lstat().st_mtime_ns,
            str(each.readlink()).encode() if each.is_symlink() else each.read_bytes() if each.is_file() else b"",
        )
        for each in (root, *root.rglob("*"))
    }


def test_nothing_but_the_order_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, contents, modes and times stay; a link is a link, and where it leads nothing changes."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "below").mkdir(parents=True)
    outside.mkdir()
    for name in ("a", "b", "c", "below/d", "below/e"):
        (tree / name).write_text(name)
        os.utime(tree / name, (1, 1))
    (tree / "link").symlink_to(outside)
    (outside / "x").write_text("x")
    os.utime(tree, (2, 2))
    before, beyond = state(tree), state(outside)
    assert 0 == checkout.reverse_tree(["--tree", str(tree)])
    assert before == state(tree)
    assert beyond == state(outside)
    assert capsys.readouterr().out.startswith("reverse_tree: ")


def test_memory_lists_in_reverse() -> None:
    """On a file system in memory, as the sandbox has, the order is the reverse."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        for name in ("a", "b", "c", "d"):
            (Path(directory) / name).write_text(name)
        before = os.listdir(directory)  # noqa: PTH208 - the order is what matters
        assert 1 == checkout.reverse(directory)
        assert before[::-1] == os.listdir(directory)  # noqa: PTH208
