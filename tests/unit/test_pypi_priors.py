"""What came out before says what is tried first."""

from __future__ import annotations

import pytest

from rebuilder.ecosystems.pypi.build_inputs import BuildConditions
from rebuilder.ecosystems.pypi.search import Candidate, Priors
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from tests.fakes.memo import MemoryMemo

TIMES, EPOCH = (
    Candidate(name, f"Sentence on {name}.", BuildConditions()) for name in ("source-archive-times", "source-date-epoch")
)
PACKER = Generator("bdist_wheel", "0.34.2")


def experience(memo: MemoryMemo, *, version: str = "0.34.2") -> Priors:
    """That of one packer."""
    return Priors(memo, Generator("bdist_wheel", version))


def test_little_is_known() -> None:
    """What the wheel suggests comes first, also after a few results to the contrary."""
    memo = MemoryMemo()
    for _ in range(7):
        experience(memo).came_out([TIMES, EPOCH], "source-date-epoch")
    assert [TIMES, EPOCH] == experience(memo).ordered([TIMES, EPOCH])


def test_enough_is_known() -> None:
    """What came out most often comes first, and its sentence says so; another release of the packer counts too."""
    memo = MemoryMemo()
    for name in ["source-date-epoch"] * 6 + ["source-archive-times"] * 2:
        experience(memo, version="0.45.1").came_out([TIMES, EPOCH], name)
    first, second = experience(memo).ordered([TIMES, EPOCH])
    assert ("source-date-epoch", TIMES) == (first.name, second)
    assert first.sentence.endswith("This came out for 6 of 8 wheels of bdist_wheel 0 with such times.")


def test_experience_that_agrees_adds_no_word() -> None:
    """The first guess stays as it is when it came out before."""
    memo = MemoryMemo()
    for _ in range(8):
        experience(memo).came_out([TIMES, EPOCH], "source-archive-times")
    assert [TIMES, EPOCH] == experience(memo).ordered([TIMES, EPOCH])


@pytest.mark.parametrize("other", [Generator("flit", "3.9"), Generator("bdist_wheel", "1.0"), None])
def test_others_have_an_experience_of_their_own(other: Generator | None) -> None:
    """Another packer, and wheels that suggest another first guess, learn for themselves."""
    memo = MemoryMemo()
    for _ in range(8):
        experience(memo).came_out([TIMES, EPOCH], "source-date-epoch")
    assert [TIMES, EPOCH] == Priors(memo, other).ordered([TIMES, EPOCH])
    assert [EPOCH, TIMES] == experience(memo).ordered([EPOCH, TIMES])


def test_one_guess_teaches_nothing() -> None:
    """There is nothing to choose."""
    memo = MemoryMemo()
    experience(memo).came_out([TIMES], "source-archive-times")
    assert [TIMES] == experience(memo).ordered([TIMES])
