"""How many workers a machine gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rebuilder.config import Config
from rebuilder.model.definition import Limits
from rebuilder.model.settings import FleetSettings, ServiceSettings
from rebuilder.service.service import worker_count

CPUS = len(os.sched_getaffinity(0))
GIB = 1 << 30


@pytest.mark.parametrize(
    ("workers", "memory", "expected"),
    [
        (3, 100 * GIB, 3),
        (None, 1000 * GIB, CPUS + (CPUS + 1) // 2),
        (8, 5 * GIB, 2),
        (8, GIB, 1),
        (1, 100 * GIB, 1),
    ],
)
def test_cpus_and_memory_decide(workers: int | None, memory: int, expected: int) -> None:
    """What is asked for, as far as the memory of all builds together allows; never none."""
    service = ServiceSettings(workers=workers, memory_bytes=memory)
    config = Config(store=Path("/s"), keys=Path("/k"), limits=Limits(memory_bytes=2 * GIB), service=service)
    assert expected == worker_count(config)


def test_a_fleet_builds_elsewhere() -> None:
    """Workers wait for runners; this machine's memory says nothing about how many."""
    fleet = FleetSettings(broker="redis://127.0.0.1/0", blobs="s3://fleet/x")
    service = ServiceSettings(workers=40, memory_bytes=GIB)
    config = Config(store=Path("/s"), keys=Path("/k"), service=service)
    assert (1, 40) == (worker_count(config), worker_count(config.replace(fleet=fleet)))


def test_the_machine_has_some_memory() -> None:
    """Without settings, at least one."""
    assert 1 <= worker_count(Config(store=Path("/s"), keys=Path("/k"))) <= 2 * CPUS
