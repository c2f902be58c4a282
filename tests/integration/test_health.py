"""What a supervisor and a load balancer are told, with a real ledger and a real directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rebuilder.errors import SandboxUnavailableError
from rebuilder.service.health import Health, Pulse
from rebuilder.store.ledger import Ledger
from tests.fakes.ledgers import open_ledger


class Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    """The clock of the signs of life."""
    return Seconds()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def health(ledger: Ledger, store: Path, seconds: Seconds) -> Health:
    """A service with nothing wrong."""
    pulse = Pulse(seconds=seconds)
    pulse.beat("scheduler")
    return Health(ledger=ledger, store=store, reserve_bytes=1 << 20, workers=lambda: 1, pulse=pulse)


def but(health: Health, **changes: object) -> Health:
    """The same with something else."""
    return Health(**{**vars(health), **changes})


def test_nothing_wrong(health: Health) -> None:
    """A service with ledger, store, bubblewrap, a worker and a scheduler is ready."""
    assert [] == health.live()
    assert [] == health.ready()


def test_a_loop_that_is_stuck(health: Health, seconds: Seconds) -> None:
    """No sign of life for a minute means neither alive nor ready; one sign is enough to be both again."""
    seconds.now = 60
    assert [] == health.live()
    seconds.now = 61
    [said] = health.live()
    assert "scheduler" in said
    assert "61 seconds" in said
    assert [said] == health.ready()
    health.pulse.beat("scheduler")
    assert [] == health.live()


def test_a_loop_that_never_started(health: Health) -> None:
    """What is still starting is told apart from what is stuck."""
    [said] = but(health, loops=("scheduler", "signer")).live()
    assert "signer" in said


def test_the_outside_does_not_end_the_process(health: Health, store: Path) -> None:
    """Starting the process again mends no database, so it stays alive while it is not ready."""
    store.rmdir()
    broken = but(health, workers=lambda: 0)
    assert [] == broken.live()
    disk, worker = broken.ready()
    assert str(store) in disk
    assert "worker" in worker


def test_a_full_disk(health: Health) -> None:
    """Too little room is told before work fails for it."""
    [said] = but(health, reserve_bytes=10, free=lambda _: 5).ready()
    assert ["5", "10"] == re.findall(r"\d+", said)


def test_a_store_that_cannot_be_written(health: Health, store: Path) -> None:
    """Told before anything is written into it."""
    [said] = but(health, writable=lambda _: False).ready()
    assert str(store) in said


def test_no_isolation(health: Health) -> None:
    """Without a sandbox nothing can be built."""

    def nothing() -> None:
        raise SandboxUnavailableError("bubblewrap (bwrap) is not installed.")

    assert ["bubblewrap (bwrap) is not installed."] == but(health, sandbox=nothing).ready()


def test_a_ledger_that_does_not_answer(health: Health, tmp_path: Path) -> None:
    """A damaged file is told in a sentence."""
    health.ledger.close()
    for each in tmp_path.glob("ledger.sqlite*"):
        each.write_bytes(b"no database at all " * 100)
    [problem] = health.ready()
    assert problem.startswith(f"The ledger {tmp_path}/ledger.sqlite is not a database")
