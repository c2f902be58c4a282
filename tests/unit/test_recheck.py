"""Which verified files are due again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rebuilder.model.comparison import Level
from rebuilder.model.work import Check, Reason
from rebuilder.service.discovery import plan
from rebuilder.service.schedules.watch import Recheck, Timing
from rebuilder.store.ledger import Ledger
from tests.fakes.ledgers import open_ledger
from tests.fakes.orders import order_for
from tests.fakes.verifications import NOW, artifact, attempt, digest, report, signed


def recheck(**fields: object) -> Recheck:
    """Everything older than five days."""
    values = {"name": "again", "file": "a.toml", "older_than": 5 * 86400, "check": Check.INPUTS, "at_most": 10}
    return Recheck.model_validate({**values, "timing": Timing(every=60), **fields})


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Three files verified 30, 20 and 1 days ago; the oldest of them once more 10 days ago."""
    with open_ledger(tmp_path / "ledger.sqlite") as opened:
        for name, days in (("a", 30), ("b", 20), ("c", 1), ("a", 10)):
            of = artifact(name, sha256=digest(name))
            found = report(of, attempt(of, Level.IDENTICAL), finished=NOW - timedelta(days=days))
            opened.finish(opened.begin(of, found.started), signed(found))
        yield opened


def test_oldest_results_first(ledger: Ledger) -> None:
    """The newest result of a file counts; what is young enough is left alone."""
    orders = plan(recheck(priority=2), ledger, NOW)
    assert ["b", "a"] == [each.name for each in orders]
    assert (Reason.RECHECK, Check.INPUTS, "again", 2) == (
        orders[0].reason,
        orders[0].check,
        orders[0].watch,
        orders[0].nudge,
    )
    assert (digest("b"), "pkg:pypi/b@3.20") == (orders[0].sha256, orders[0].purl)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"at_most": 1}, ["b"]),
        ({"packages": ("a",)}, ["a"]),
        ({"packages": ("a",), "patterns": ("?",), "at_most": 1}, ["b"]),
        ({"patterns": ("x*",)}, []),
        ({"ecosystem": "npm"}, []),
        ({"ecosystem": "pypi", "older_than": 15 * 86400}, ["b"]),
    ],
)
def test_choice(ledger: Ledger, fields: dict[str, object], expected: list[str]) -> None:
    """Names, patterns, ecosystem, age and number."""
    assert expected == [each.name for each in plan(recheck(**fields), ledger, NOW)]


def test_what_was_given_up_lately_does_not_stand_in_the_way(ledger: Ledger) -> None:
    """A release that is gone would be the oldest result for ever; it is looked for again when its time has come."""
    ledger.queue.add([order_for(artifact("b", sha256=digest("b")), reason=Reason.RECHECK)], NOW)
    lease = ledger.queue.claim("w", NOW, 60)
    assert lease is not None
    ledger.queue.give_up(lease, None, "It was taken back.", NOW, ours=False)
    assert ["a"] == [each.name for each in plan(recheck(at_most=1), ledger, NOW)]
    later = NOW + timedelta(days=6)
    assert ["b"] == [each.name for each in plan(recheck(at_most=1), ledger, later)]
