"""Runners and orders, on every database: who counts, which answer counts, and what somebody had a hand in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebuilder.errors import UsageError
from rebuilder.model.comparison import Level
from rebuilder.model.fleet import EnrolledRunner, RunnerState
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.model.work import Reason, Tier
from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger
from tests.fakes.verifications import NOW, artifact, attempt

ONE, TWO = sha256_hex(b"one"), sha256_hex(b"two")
QUEUE = "linux-amd64"


def enroll(ledger: Ledger, runner_id: Sha256, name: str) -> EnrolledRunner:
    """A runner whose answers count."""
    runner = EnrolledRunner(
        id=runner_id, name=name, public_key="PEM", state=RunnerState.ACTIVE, enrolled=NOW, changed=NOW
    )
    ledger.runners.enroll(runner)
    return runner


def order(ledger: Ledger, definition: str, owner: str = "here", asked_of: str | None = None) -> str:
    """The nonce of an order."""
    return ledger.run_orders.add(definition, QUEUE, asked_of=asked_of, owner=owner, now=NOW)[0].nonce


def test_runners_are_kept(ledger: Ledger) -> None:
    """By name, by id, by how the id begins; two of one name or one key are not."""
    one = enroll(ledger, ONE, "one")
    assert [one] == ledger.runners.all()
    assert one == ledger.runners.get(ONE) == ledger.runners.named("one") == ledger.runners.named(ONE[:8])
    assert ledger.runners.get(TWO) is None
    for name in ("two", ONE[:7], TWO):
        with pytest.raises(UsageError):
            ledger.runners.named(name)
    for key, name in ((ONE, "other"), (TWO, "one")):
        with pytest.raises(UsageError):
            enroll(ledger, key, name)


def test_revoking_is_for_good(ledger: Ledger) -> None:
    """A quarantined runner may come back, a revoked one may not."""
    enroll(ledger, ONE, "one")
    later = NOW + timedelta(hours=1)
    assert ledger.runners.change(ONE, RunnerState.QUARANTINED, later, reason="It lied.")
    assert not ledger.runners.change(ONE, RunnerState.QUARANTINED, later, reason="Again.")
    found = ledger.runners.named("one")
    assert (RunnerState.QUARANTINED, later, "It lied.") == (found.state, found.changed, found.reason)
    assert ledger.runners.change(ONE, RunnerState.ACTIVE, later, reason=None)
    assert ledger.runners.change(ONE, RunnerState.REVOKED, later, reason="Stolen.")
    assert not ledger.runners.change(ONE, RunnerState.ACTIVE, later, reason=None)


def test_the_first_answer_counts(ledger: Ledger) -> None:
    """Of an order that is open, by a runner that is active; then never another one."""
    enroll(ledger, ONE, "one")
    enroll(ledger, TWO, "two")
    nonce = order(ledger, ONE)
    assert not ledger.run_orders.accept("ab" * 16, ONE, "{}", TWO, NOW)
    assert ledger.runners.change(TWO, RunnerState.QUARANTINED, NOW, reason="x")
    assert not ledger.run_orders.accept(nonce, TWO, "{}", TWO, NOW)
    assert ledger.run_orders.accept(nonce, ONE, "{}", TWO, NOW)
    assert not ledger.run_orders.accept(nonce, ONE, "{}", TWO, NOW)
    ledger.run_orders.drop(nonce)
    assert [nonce] == [each.nonce for each in ledger.run_orders.accepted(ONE, NOW)]
    assert NOW == ledger.runners.named("one").seen


def test_dropped_orders_are_closed(ledger: Ledger) -> None:
    """What nobody waits for any more is not accepted."""
    enroll(ledger, ONE, "one")
    nonce = order(ledger, ONE)
    ledger.run_orders.drop(nonce)
    assert not ledger.run_orders.accept(nonce, ONE, "{}", TWO, NOW)


def test_orders_of_dead_processes_are_taken_over(open_ledger: OpenLedger) -> None:
    """Once, and only for the same definition and the same runner; two living processes have an order each."""
    gone, here = open_ledger(), open_ledger()
    enroll(here, ONE, "one")
    first = order(gone, ONE, owner="gone")
    assert first != order(here, ONE, owner="here")
    gone.close()
    assert first not in {order(here, TWO, owner="other"), order(here, ONE, owner="other", asked_of=ONE)}
    found, new = here.run_orders.add(ONE, QUEUE, asked_of=None, owner="other", now=NOW + timedelta(hours=1))
    assert (first, False, NOW) == (found.nonce, new, found.ordered)
    assert first != order(here, ONE, owner="third")


def test_what_a_runner_had_a_hand_in(ledger: Ledger) -> None:
    """The files with an attempt that is its run, since a moment; and no run of one in doubt stands for another."""
    enroll(ledger, ONE, "one")
    tried = attempt(artifact(), Level.IDENTICAL)
    definition = tried.hypothesis.definition.digest
    ledger.add_attempt(ledger.begin(artifact(), NOW), 0, tried)
    ledger.add_attempt(ledger.begin(artifact("other"), NOW), 0, attempt(artifact("other"), Level.IDENTICAL))
    ledger.run_orders.accept(order(ledger, definition), ONE, "{}", tried.run.log_sha256, NOW)
    [found] = ledger.run_orders.touched(ONE, NOW)
    assert (artifact().purl, artifact().filename) == (found.purl, found.filename)
    assert (Reason.RECHECK, Tier.FULL) == (found.reason, found.tier)
    assert [] == ledger.run_orders.touched(ONE, NOW + timedelta(seconds=1))
    before = tried.run.started - timedelta(hours=1)
    assert tried.run == ledger.earlier_run(definition, before)
    ledger.runners.change(ONE, RunnerState.QUARANTINED, NOW, reason="It lied.")
    assert ledger.earlier_run(definition, before) is None
