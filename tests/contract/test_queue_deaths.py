"""What becomes of work whose worker, or whose connection, went away."""

from __future__ import annotations

import pytest

from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger
from tests.contract.test_queue import HITS, MINUTE, SECOND, begun, claimed, tally, verification
from tests.fakes.orders import order, ordered
from tests.fakes.verifications import NOW


@pytest.mark.parametrize("away", ["released", "expired"])
def test_a_task_whose_worker_goes_away_comes_later_each_time(ledger: Ledger, away: str) -> None:
    """Each time is a try, and the wait doubles up to a minute; the file is as urgent as before."""
    ledger.queue.add([order()], NOW)
    waits, now = [], NOW
    for tries in range(8):
        lease = claimed(ledger, now=now)
        assert (order(), tries) == (lease.task.order, lease.task.tries)
        if away == "released":
            ledger.queue.release("a", now)
        else:
            now = lease.until
            assert ledger.queue.claim("b", now, 60) is None
        before = now
        while ledger.queue.state(now).waiting == 0:
            now += SECOND
        waits.append((now - before).total_seconds())
    assert [1, 2, 4, 8, 16, 32, 60, 60] == waits


def test_what_was_completed_already_is_not_an_error(ledger: Ledger) -> None:
    """When the answer got lost with the connection, saying it again is fine, also when the file is queued again."""
    for retry_at in (None, NOW + MINUTE):
        ledger.queue.add([order()], NOW)
        lease = claimed(ledger)
        number, done = begun(ledger, lease)
        for _ in range(2):
            ledger.queue.complete(lease, number, done, {HITS: 1}, retry_at=retry_at)
        assert [(number, done)] == [each for each in ledger.unsigned(9) if each[0] == number]
    assert {HITS: 2} == tally(ledger)


def test_dead_verifications_are_buried(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """What nobody is at any more does not look as if it went on."""
    other = open_ledger()
    dead, alive = other.begin(ordered(order()), NOW), ledger.begin(ordered(order("other")), NOW)
    assert 0 == ledger.queue.bury(NOW)
    other.close()
    assert [1, 0] == [ledger.queue.bury(NOW) for _ in range(2)]
    assert ["abandoned", "running"] == [verification(ledger, each)["state"] for each in (dead, alive)]
