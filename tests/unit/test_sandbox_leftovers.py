"""The limit that made a run fail though no look saw it passed, read off what the run left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from rebuilder.model.definition import Limits
from rebuilder.sandbox.leftovers import MOST_FILES, Leftovers, limit_behind
from rebuilder.sandbox.meter import Meter

LIMITS = Limits(disk_bytes=1000, output_bytes=1000, file_bytes=100)
NOTHING = Leftovers((), (), 0)


class Left:
    """File systems after a run; stands for :class:`rebuilder.sandbox.meter.Meter`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.disk, self.out = descriptor, 0, 0

    def disk_bytes(self) -> int:
        """Bytes in what the build may write to."""
        return self.disk

    def output_bytes(self) -> int:
        """Bytes in its outputs."""
        return self.out

    def writable(self) -> list[int]:
        """Descriptors of its directories."""
        return [self.descriptor]


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Left]:
    """Nothing was left."""
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield Left(descriptor)
    os.close(descriptor)


def behind(left: Left, code: int | None, listing: Leftovers = NOTHING) -> str | None:
    """The limit, if one is seen."""
    return limit_behind(cast("Meter", left), code, LIMITS, listing)


def test_a_build_that_just_failed(left: Left) -> None:
    """Below every limit, or at one, it is no limit's doing."""
    left.disk, left.out = LIMITS.disk_bytes, LIMITS.output_bytes
    assert [None] * 4 == [behind(left, code) for code in (0, 1, None, 137)]


def test_what_is_full_stays_full(left: Left) -> None:
    """The disk before the outputs; a build that came to an end all the same passed no limit."""
    left.disk = left.out = 1001
    assert [None, "disk", "disk"] == [behind(left, code) for code in (0, 1, None)]
    left.disk = 0
    assert "output size" == behind(left, 1)


@pytest.mark.parametrize(("signal", "limit"), [(24, "CPU time"), (25, "file size")])
def test_signals_of_limits(left: Left, signal: int, limit: str) -> None:
    """A shell tells the signal that ended a command as 128 and its number."""
    assert limit == behind(left, 128 + signal)


def test_a_file_that_was_cut_off(left: Left, tmp_path: Path) -> None:
    """It has exactly the largest size; one byte less is just a file."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"x" * 99)
    assert behind(left, 1) is None
    (tmp_path / "deep" / "file").write_bytes(b"x" * 100)
    assert "file size" == behind(left, 1)


def test_outputs_count_for_builds_that_succeed_too(left: Left) -> None:
    """Holes are counted by the listing; so is the number of files."""
    assert "output size" == behind(left, 0, Leftovers((("x", 1001),), (), 1001))
    many = tuple((str(number), 0) for number in range(MOST_FILES + 1))
    assert "output size" == behind(left, 0, Leftovers(many, (), 0))
    assert behind(left, 0, Leftovers(many[1:], (), 0)) is None
