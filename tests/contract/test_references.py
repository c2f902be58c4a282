"""Which blobs are kept for whom, on every database."""

from __future__ import annotations

from datetime import timedelta

from rebuilder.model.comparison import Level
from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed


def referred(ledger: Ledger) -> set[str]:
    """What is kept, as it is written."""
    return {each.hex() for each in ledger.references()}


def test_what_a_report_names_is_kept(ledger: Ledger) -> None:
    """From the first attempt on; its log, its inputs, its output."""
    assert set() == referred(ledger)
    tried = attempt(artifact(), Level.DIFFERENT)
    done = report(artifact(), tried)
    number = ledger.begin(artifact(), NOW)
    ledger.add_attempt(number, 0, tried)
    named = {digest("log"), digest("uv"), digest("html"), digest("different 0022")}
    assert named <= referred(ledger)
    assert digest("index") not in referred(ledger)
    ledger.examined(number, done)
    assert named | {digest("index")} <= referred(ledger)
    ledger.finish(number, signed(done))
    ledger.forget(NOW)
    assert named | {digest("index")} <= referred(ledger)


def test_what_came_to_nothing_keeps_nothing(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """Once nobody takes it up again; unless another report names it too."""
    other = open_ledger()
    lost = other.begin(artifact(), NOW)
    other.add_attempt(lost, 0, attempt(artifact(), Level.EQUIVALENT))
    done = report(artifact("other"), attempt(artifact("other"), None))
    number = ledger.begin(artifact("other"), NOW)
    ledger.finish(number, signed(done))
    other.close()
    ledger.queue.bury(NOW)
    ledger.forget(NOW)
    assert digest("equivalent 0022") in referred(ledger)
    ledger.forget(NOW + timedelta(seconds=1))
    assert digest("equivalent 0022") not in referred(ledger)
    assert {digest("uv"), digest("log")} <= referred(ledger)


def test_what_is_cached_is_kept_as_long_as_the_cache(ledger: Ledger) -> None:
    """Nobody fetches it twice for want of a report."""
    ledger.cache_put("resolution", 1, {"pins": [digest("wheel")]}, NOW)
    assert {digest("wheel")} == referred(ledger)
