"""Many inputs of one directory as one mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.errors import StoreError
from rebuilder.sandbox.collected import FEW, collected


def inputs(tmp_path: Path, directory: str, count: int) -> dict[str, Path]:
    """Files, as they are to be shown."""
    found = {}
    for number in range(count):
        file = tmp_path / f"{directory.replace('/', '-')}{number}"
        file.write_text(f"{directory} {number}")
        file.chmod(0o444)
        found[f"{directory}/{number}.tgz"] = file
    return found


def test_few_are_shown_one_by_one(tmp_path: Path) -> None:
    """Nothing is made for them."""
    given = inputs(tmp_path, "/inputs/few", FEW)
    with collected(given, tmp_path / "scratch") as shown:
        assert given == shown
    assert not (tmp_path / "scratch").exists()


def test_many_are_one_directory(tmp_path: Path) -> None:
    """The files have their bytes and modes; the others stay as they are; afterwards nothing is left."""
    many, few = inputs(tmp_path, "/inputs/npm", FEW + 1), inputs(tmp_path, "/inputs/tools", 2)
    with collected(many | few, tmp_path / "scratch") as shown:
        assert {"/inputs/npm", *few} == set(shown)
        seen = {link.name: (link.read_bytes(), link.stat().st_mode) for link in shown["/inputs/npm"].iterdir()}
    given = {path.rpartition("/")[2]: (file.read_bytes(), file.stat().st_mode) for path, file in many.items()}
    assert given == seen
    assert [] == list((tmp_path / "scratch").iterdir())


def test_what_lies_below_such_a_directory(tmp_path: Path) -> None:
    """A mount needs a place: a directory with an input below it is not taken together."""
    given = inputs(tmp_path, "/inputs", FEW + 1) | inputs(tmp_path, "/inputs/tools", 1)
    with collected(given, tmp_path / "scratch") as shown:
        assert given == shown


def test_what_was_left_is_removed(tmp_path: Path) -> None:
    """A process that was killed could not."""
    left = tmp_path / "scratch" / "left"
    (left / "0").mkdir(parents=True)
    os.utime(left, (0, 0))
    with collected(inputs(tmp_path, "/inputs/npm", FEW + 1), tmp_path / "scratch"):
        assert not left.exists()


def test_no_place(tmp_path: Path) -> None:
    """One error of the store; one that is raised inside the block passes as it is."""
    (tmp_path / "file").touch()
    given = inputs(tmp_path, "/inputs/npm", FEW + 1)
    with pytest.raises(StoreError, match="directory of inputs"), collected(given, tmp_path / "file" / "scratch"):
        pass
    with pytest.raises(OSError, match="mine"), collected(given, tmp_path / "scratch"):
        raise OSError("mine")
