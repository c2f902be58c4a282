"""Which of the files that were verified before are due to be verified again."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice

from rebuilder.ecosystems.package_lists import matches
from rebuilder.model.report import Summary
from rebuilder.model.work import Order, Reason
from rebuilder.service.schedules.watch import Recheck
from rebuilder.store.ledger import Ledger


def plan(recheck: Recheck, ledger: Ledger, now: datetime) -> list[Order]:
    """Orders for the files whose newest result is older than wanted, the oldest first; nothing is queued yet.

    Raises:
        StoreError: the ledger cannot be used.
    """
    named = bool(recheck.packages or recheck.patterns)
    stale = ledger.stale(
        now - timedelta(seconds=recheck.older_than),
        ecosystem=recheck.ecosystem,
        limit=None if named else recheck.at_most,
    )
    due = (each for each in stale if not named or _fits(recheck, each.name))
    return [_order(recheck, each) for each in islice(due, recheck.at_most)]


def _fits(recheck: Recheck, name: str) -> bool:
    return name in recheck.packages or any(matches(pattern, name) for pattern in recheck.patterns)


def _order(recheck: Recheck, summary: Summary) -> Order:
    return Order(
        ecosystem=summary.ecosystem,
        purl=summary.purl,
        name=summary.name,
        version=summary.version,
        filename=summary.filename,
        sha256=summary.sha256,
        reason=Reason.RECHECK,
        check=recheck.check,
        watch=recheck.name,
        nudge=recheck.priority,
    )
