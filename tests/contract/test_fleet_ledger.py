"""Runners and orders, on every database: who counts, which answer counts, and what somebody had a hand in."""

from __future__ import annotations

import tracemalloc
from datetime import timedelta

import pytest
from sqlalchemy import event

from rebuilder.errors import UsageError
from rebuilder.model.comparison import Level
from rebuilder.model.fleet import EnrolledRunner, RunnerState
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.model.work import Reason, Tier
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.ledger.component_book import run_by
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
    assert here.run_orders.add(ONE, "linux-arm64", asked_of=None, owner="other", now=NOW)[1]
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
    [found] = ledger.component_book.orders(run_by(ONE, NOW))
    assert (artifact().purl, artifact().filename) == (found.purl, found.filename)
    assert (Reason.RECHECK, Tier.FULL) == (found.reason, found.tier)
    assert [] == ledger.component_book.orders(run_by(ONE, NOW + timedelta(seconds=1)))
    before = tried.run.started - timedelta(hours=1)
    assert tried.run == ledger.earlier_run(definition, before)
    ledger.runners.change(ONE, RunnerState.QUARANTINED, NOW, reason="It lied.")
    assert ledger.earlier_run(definition, before) is None


def answered(ledger: Ledger, runner_id: str, queue: str = QUEUE, *, count: int = 1) -> None:
    """A runner answered so many orders of a queue."""
    for _ in range(count):
        asked, _new = ledger.run_orders.add(ONE, queue, asked_of=None, owner="here", now=NOW)
        assert ledger.run_orders.accept(asked.nonce, runner_id, "{}", TWO, NOW)


def many(ledger: Ledger, count: int) -> list[Sha256]:
    """Ids of so many active runners."""
    ids = [sha256_hex(str(number).encode()) for number in range(count)]
    row = {"public_key": "PEM " * 30, "state": "active", "enrolled": NOW, "changed": NOW}
    with ledger._database.writing() as connection:
        connection.execute(tables.runner.insert(), [row | {"id": each, "name": f"v{n}"} for n, each in enumerate(ids)])
    return ids


def test_whoever_serves_a_queue_goes_first(ledger: Ledger) -> None:
    """Of those that are active and not excluded; one of a hundred is found; where nobody does, anybody is taken."""
    ids = many(ledger, 100)
    answered(ledger, ids[0], count=20)
    answered(ledger, ids[1])
    answered(ledger, ids[2], "linux-arm64")

    def chosen(*than: str, queue: str = QUEUE, days: int = 1) -> set[str | None]:
        since = NOW - timedelta(days=days)
        return {ledger.run_orders.another_runner(queue, than, since) for _ in range(30)}

    assert set(ids[:2]) == chosen()
    assert {ids[1]} == chosen(ids[0])
    assert {ids[2]} == chosen(queue="linux-arm64")
    assert 10 < len(chosen(queue="linux-s390x")) <= 30
    assert 10 < len(chosen(days=-1)) <= 30
    assert ledger.runners.change(ids[1], RunnerState.QUARANTINED, NOW, reason="It lied.")
    assert {ids[0]} == chosen()
    assert chosen(ids[0]).isdisjoint(ids[:2])
    assert {None} == chosen(ids[0], *ids[2:])


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_choosing_a_runner_reads_indexes_only(ledger: Ledger) -> None:
    """All who wait ask for one at once when the broker was wiped; what each reads, its connection keeps for a while."""
    answered(ledger, many(ledger, 20)[0])
    asked = []
    event.listen(ledger._database.engine, "before_cursor_execute", lambda *words: asked.append(words[2:4]))
    assert ledger.run_orders.another_runner(QUEUE, (), NOW) is not None
    assert ledger.run_orders.another_runner("linux-arm64", (ONE,), NOW) is not None
    with ledger._database.reading() as connection:
        plans = [
            row.detail
            for statement, values in list(asked)
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    read = [each for each in plans if each.startswith(("SCAN", "SEARCH"))]
    assert len(read) >= 8
    assert [] == [each for each in read if "COVERING INDEX" not in each]
    assert [] == [each for each in plans if "TEMP B-TREE" in each]


def test_choosing_a_runner_takes_no_memory(ledger: Ledger) -> None:
    """However many runners there are, and whatever they answered."""
    ids = many(ledger, 2000)
    answered(ledger, ids[0], count=50)
    for queue in (QUEUE, "linux-arm64"):
        ledger.run_orders.another_runner(queue, (), NOW)  # what is compiled once
        tracemalloc.start()
        assert ledger.run_orders.another_runner(queue, (), NOW) is not None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 128 << 10


def test_an_order_is_overtaken_by_later_ones_of_its_queue(ledger: Ledger) -> None:
    """When one of them was answered that any runner might take; earlier ones and those of other queues say nothing."""
    enroll(ledger, ONE, "one")
    answered(ledger, ONE)
    this, _ = ledger.run_orders.add(TWO, QUEUE, asked_of=None, owner="here", now=NOW)
    answered(ledger, ONE, "linux-arm64")
    named, _ = ledger.run_orders.add(ONE, QUEUE, asked_of=ONE, owner="here", now=NOW)
    assert ledger.run_orders.accept(named.nonce, ONE, "{}", TWO, NOW)
    order(ledger, ONE, owner="there")
    assert not ledger.run_orders.overtaken(this)
    answered(ledger, ONE)
    assert ledger.run_orders.overtaken(this)
