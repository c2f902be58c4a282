"""A verification whose process went away is gone on with, once, by whoever looks at the artifact next."""

from __future__ import annotations

from datetime import timedelta

import pytest

import rebuilder.store.ledger.ledger
from rebuilder.model.attempt import History, NotTried
from rebuilder.model.comparison import Level
from rebuilder.model.value import sha256_hex
from rebuilder.model.work import Check, Tier
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.queue.queue import LeaseLostError
from tests.contract.conftest import OpenLedger
from tests.contract.test_queue import MINUTE, claimed, verification
from tests.fakes.orders import order, ordered
from tests.fakes.verifications import NOW, artifact, attempt, report, signed

TRIED = attempt(artifact(), None)
MISSING = NotTried(hypothesis=TRIED.hypothesis, reason="there is no guest")
BEFORE = NOW - MINUTE


def begun(ledger: Ledger) -> int:
    """One verification with an attempt in it, and something that could not be tried."""
    number = ledger.begin(artifact(), NOW)
    ledger.add_attempt(number, 0, TRIED)
    ledger.add_not_tried(number, 0, MISSING)
    return number


def test_what_a_dead_process_left_is_gone_on_with(open_ledger: OpenLedger) -> None:
    """The same number and the same beginning, with all that was tried; as if it had never ended."""
    gone, here, other = open_ledger(), open_ledger(), open_ledger()
    number = begun(gone)
    assert here.resume(artifact(), BEFORE) is None, "somebody is at it"
    gone.close()
    assert (number, NOW) == here.resume(artifact(), BEFORE)
    assert History((TRIED,), (MISSING,)) == here.recorded(number)
    assert other.resume(artifact(), BEFORE) is None, "somebody is at it again"
    here.finish(number, signed(report(artifact(), TRIED)))
    assert here.resume(artifact(), BEFORE) is None


@pytest.mark.parametrize("end", ["failed", "buried", "begun anew"])
def test_however_it_was_told_that_it_ended(open_ledger: OpenLedger, end: str) -> None:
    """What had been said about its end is taken back."""
    gone, here = open_ledger(), open_ledger()
    number = begun(gone)
    if end == "failed":
        gone.fail(number, "The disk is full.", NOW)
    gone.close()
    if end == "buried":
        assert 1 == here.queue.bury(NOW)
    if end == "begun anew":
        here.fail(here.begin(artifact(), NOW), "The disk is full.", NOW)
        assert here.resume(artifact(), BEFORE) is None, "it is not the newest, and nothing was tried in the one that is"
        return
    assert (number, NOW) == here.resume(artifact(), BEFORE)
    row = verification(here, number)
    assert ("running", None, None, None) == tuple(row[each] for each in ("state", "verdict", "kind", "finished"))


def test_what_is_not_gone_on_with(open_ledger: OpenLedger) -> None:
    """Nothing was tried; it is too long ago; other bytes."""
    gone, here = open_ledger(), open_ledger()
    gone.begin(artifact("other"), NOW)
    begun(gone)
    gone.close()
    assert here.resume(artifact("other"), BEFORE) is None
    assert here.resume(artifact(), NOW + MINUTE) is None
    assert here.resume(artifact(sha256=sha256_hex(b"other bytes")), BEFORE) is None
    assert here.resume(artifact(), BEFORE) is not None


def test_what_another_version_began_is_not_gone_on_with(
    open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its comparisons would be signed as if this version had made them; what it did is still there."""
    gone, here = open_ledger(), open_ledger()
    number = begun(gone)
    gone.close()
    with monkeypatch.context() as upgraded:
        upgraded.setattr(rebuilder.store.ledger.ledger, "__version__", "99.0")
        assert here.resume(artifact(), BEFORE) is None
        assert History((TRIED,), (MISSING,)) == here.recorded(number)
    assert (number, NOW) == here.resume(artifact(), BEFORE)


@pytest.mark.parametrize("taken_up", [True, False])
def test_who_lost_a_task_does_not_end_what_another_took_up(open_ledger: OpenLedger, *, taken_up: bool) -> None:
    """The database forgot the first worker's locks and not its process: the other one has the last word."""
    first, other = open_ledger(), open_ledger()
    first.queue.add([order()], NOW)
    lease = claimed(first)
    of = ordered(lease.task.order)
    number = first.begin(of, NOW, lease.task.order)
    done = attempt(of, Level.IDENTICAL)
    first.add_attempt(number, 0, done)
    for name in (lease.owner, f"verification/{number}"):
        first._database.liveness.release(name)
    assert 1 == other.queue.release_dead(NOW)
    taken = claimed(other, owner="b", now=NOW + MINUTE)
    if taken_up:
        assert (number, NOW) == other.resume(of, BEFORE, order())
    with pytest.raises(LeaseLostError):
        first.queue.complete(lease, number, report(of, done), {})
    assert ("running" if taken_up else "abandoned") == verification(other, number)["state"]
    if taken_up:
        other.queue.complete(taken, number, report(of, done), {})
        assert [number] == [each for each, _ in other.unsigned(9)]


def test_only_for_an_order_of_the_same_kind(open_ledger: OpenLedger) -> None:
    """A task that its worker gave back goes on; another check, or a more thorough one, is begun anew."""
    ledger = open_ledger()
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    of = ordered(lease.task.order)
    number = ledger.begin(of, NOW, lease.task.order)
    ledger.add_attempt(number, 0, attempt(of, Level.DIFFERENT))
    ledger.queue.put_back(lease, number, "The worker was stopped.", NOW, not_before=None, counts=False)
    for asked in (order(tier=Tier.QUICK), order(check=Check.INPUTS), None):
        assert ledger.resume(of, BEFORE, asked) is None
    assert (number, NOW) == ledger.resume(of, BEFORE, order())


def test_a_quick_look_is_not_gone_on_with(ledger: Ledger) -> None:
    """What it did not confirm is looked at in full, from the beginning."""
    ledger.queue.add([order()], NOW)
    lease = claimed(ledger)
    of = ordered(lease.task.order)
    number = ledger.begin(of, NOW, lease.task.order)
    ledger.add_attempt(number, 0, attempt(of, Level.DIFFERENT))
    ledger.queue.discard(lease, number, "A full look follows.", NOW + timedelta(seconds=1), {}, follow=order())
    assert ledger.resume(of, BEFORE, order()) is None
