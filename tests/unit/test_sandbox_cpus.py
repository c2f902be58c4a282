"""Which CPUs runs get."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import nullcontext

import pytest

from rebuilder.errors import SandboxUnavailableError
from rebuilder.sandbox.bubblewrap.run_sandbox import Claim, Cpus

AVAILABLE = sorted(os.sched_getaffinity(0))


def taken_but(free: Collection[int]) -> Claim:
    """Claims of a machine on which only some CPUs are free."""
    return lambda cpu: nullcontext() if cpu in free else None


@pytest.mark.parametrize("free", AVAILABLE)
def test_a_free_cpu_is_taken_whoever_has_the_others(free: int) -> None:
    """The one CPU that nobody has goes to the run, wherever its turn would be."""
    cpus = Cpus(taken_but({free}))
    for _ in range(3):
        with cpus.taken(1) as own:
            assert [free] == own


def test_taken_cpus_are_shared_in_turns() -> None:
    """When all are taken, every CPU gets its share of the runs."""
    cpus, given = Cpus(taken_but(())), []
    for _ in AVAILABLE * 2:
        with cpus.taken(1) as own:
            given += own
    assert AVAILABLE * 2 == given


def test_no_run_gets_a_cpu_twice() -> None:
    """A run that asks for all gets each once, some of them shared."""
    with Cpus(taken_but({AVAILABLE[-1]})).taken(len(AVAILABLE)) as own:
        assert AVAILABLE == sorted(own)


def test_more_cpus_than_there_are_is_said() -> None:
    """The sentence has both numbers."""
    wanted = len(AVAILABLE) + 1
    with pytest.raises(SandboxUnavailableError, match=f"asks for {wanted} CPUs; {len(AVAILABLE)} may"):
        Cpus(taken_but(())).taken(wanted).__enter__()
