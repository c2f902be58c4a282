"""Who is alive, on every database: told by locks that end with whoever holds them."""

from __future__ import annotations

from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger
from tests.fakes.orders import order
from tests.fakes.verifications import NOW


def test_a_name_is_alive_as_long_as_somebody_goes_by_it(open_ledger: OpenLedger) -> None:
    """Several may; each may say so twice, and gives it up once."""
    one, two, watcher = (open_ledger()._database.liveness for _ in range(3))
    assert not watcher.alive("a/1/1")
    for each in (one, one, two):
        each.claim("a/1/1")
    assert [True] * 3 == [each.alive("a/1/1") for each in (one, two, watcher)]
    assert not watcher.alive("a/1/2")
    one.release("a/1/1")
    one.release("never claimed")
    assert watcher.alive("a/1/1")
    two.release("a/1/1")
    assert [False] * 3 == [each.alive("a/1/1") for each in (one, two, watcher)]


def test_tasks_of_the_dead_wait_again(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """Those of the living are left alone, however many ledgers look."""
    other = open_ledger()
    ledger.queue.add([order(), order("other")], NOW)
    assert ledger.queue.claim("here/1/1", NOW, 60) is not None
    assert other.queue.claim("gone/1/1", NOW, 60) is not None
    assert [0, 0] == [ledger.queue.release_dead(NOW), other.queue.release_dead(NOW)]
    other.close()
    assert [1, 0] == [ledger.queue.release_dead(NOW) for _ in range(2)]
    assert {"here/1/1"} == ledger.queue.owners()
