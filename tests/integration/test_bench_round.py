"""One round of the measurement, with a real worker process and an index that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.model.work import Reason
from rebuilder.store.ledger import Ledger
from tests.bench.list_round import run_round
from tests.fakes.orders import order


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Settings with a new store and an index that nobody serves."""
    store = tmp_path / "store"
    store.mkdir()
    return Config(store=store, keys=tmp_path / "keys", index_url="http://127.0.0.1:9/simple")


def test_a_round_ends_when_its_time_is_over(config: Config, tmp_path: Path) -> None:
    """What was not reached is still queued, and the round has no report of it."""
    orders = [order("idna", reason=Reason.ASKED)]
    reports, spent = run_round(config, orders, workers=1, seconds=0, log=tmp_path / "log")
    assert [] == reports
    with Ledger.open(config.ledger_place) as ledger:
        state = ledger.queue.state(SystemClock().now())
    assert (1, ()) == (state.waiting + state.delayed, state.running)
    assert spent.cpu_seconds > 0


def test_a_round_ends_when_there_is_nothing_left(config: Config, tmp_path: Path) -> None:
    """A file that can only be tried again later is not waited for; what the worker said of it is in the log."""
    orders = [order("idna", reason=Reason.ASKED)]
    reports, spent = run_round(config, orders, workers=1, seconds=300, log=tmp_path / "log")
    assert [] == reports
    assert "Failed on our side" in (tmp_path / "log").read_text()
    assert spent.wall_seconds < 300
