"""Of several services one plans; when it is gone another takes over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rebuilder.store.ledger import Ledger
from tests.contract.conftest import OpenLedger

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    """Some seconds after the beginning."""
    return NOW + timedelta(seconds=seconds)


def test_one_leads(ledger: Ledger) -> None:
    """Who asks first, as long as it goes on asking; another role is another's."""
    assert ledger.lead("schedules", "a", NOW)
    assert not ledger.lead("schedules", "b", later(1))
    assert ledger.lead("other", "b", later(1))
    assert all(ledger.lead("schedules", "a", later(seconds)) for seconds in range(0, 300, 20))
    assert not ledger.lead("schedules", "b", later(300))


def test_who_is_gone_is_followed(ledger: Ledger) -> None:
    """A minute after its last sign; the one before finds out when it asks."""
    ledger.lead("schedules", "a", NOW)
    assert not ledger.lead("schedules", "b", later(59))
    assert ledger.lead("schedules", "b", later(61))
    assert not ledger.lead("schedules", "a", later(62))


def test_a_clock_that_was_set_back(ledger: Ledger) -> None:
    """A term that ends next year does not keep everybody waiting."""
    ledger.lead("schedules", "a", later(1e7))
    assert ledger.lead("schedules", "b", NOW)


def test_who_resigns_is_followed_at_once(ledger: Ledger) -> None:
    """Only who leads can give the role up."""
    ledger.lead("schedules", "a", NOW)
    ledger.resign("schedules", "b")
    assert not ledger.lead("schedules", "b", later(1))
    ledger.resign("schedules", "a")
    assert ledger.lead("schedules", "b", later(1))


def test_nobody_waits_for_who_is_gone(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """A process that has ended leads no more, whatever is left of its term."""
    other = open_ledger()
    other.lead("schedules", "a", NOW)
    assert not ledger.lead("schedules", "b", later(1))
    other.close()
    assert ledger.lead("schedules", "b", later(1))


def test_a_ledger_has_one_store(ledger: Ledger, open_ledger: OpenLedger) -> None:
    """Several services with the same one; another one only when nobody with the first is there any more."""
    with open_ledger() as other:
        assert ledger.occupy("north", NOW) is None
        assert other.occupy("south", NOW) == "north"
        assert other.occupy("north", NOW) is None
    ledger._database.liveness.close()
    with open_ledger() as third:
        assert third.occupy("south", later(1)) is None
        assert third.occupy("south", later(2)) is None
