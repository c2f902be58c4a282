"""When a look is followed by a full one before anything is said."""

from __future__ import annotations

import pytest

from rebuilder.cli.verify import tier_named
from rebuilder.errors import UsageError
from rebuilder.model.comparison import Level
from rebuilder.model.report import Report
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Check, Reason, Tier
from rebuilder.service.worker import followed_by
from tests.fakes.orders import order
from tests.fakes.verifications import artifact, attempt, report

CONFIRMED = report(artifact(), attempt(artifact(), Level.IDENTICAL))
DIFFERENT = report(artifact(), attempt(artifact(), Level.DIFFERENT))
FAILED = report(artifact(), attempt(artifact(), None))
UNTRIED = report(artifact())


@pytest.mark.parametrize("before", [None, *Verdict])
@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("check", Check)
def test_what_is_confirmed_is_said(tier: Tier, check: Check, before: Verdict | None) -> None:
    """However little was tried, and whatever was said before."""
    assert followed_by(order(tier=tier, check=check), CONFIRMED, before) is None


@pytest.mark.parametrize("found", [DIFFERENT, FAILED])
@pytest.mark.parametrize("before", [None, Verdict.REPRODUCED, Verdict.DIFFERS])
@pytest.mark.parametrize("check", [Check.VERIFY, Check.ENVIRONMENT])
def test_a_full_look_is_the_last(found: Report, before: Verdict | None, check: Check) -> None:
    """Nothing is looked at in a loop, not even a regression."""
    assert followed_by(order(tier=Tier.FULL, check=check), found, before) is None


@pytest.mark.parametrize("found", [DIFFERENT, FAILED])
def test_a_quick_look_that_confirms_nothing_proves_nothing(found: Report) -> None:
    """One hypothesis is not enough for anything but good news; the reason stays what it was."""
    follow = followed_by(order(tier=Tier.QUICK, watch="w", nudge=2), found, None)
    assert order(tier=Tier.FULL, watch="w", nudge=2) == follow


@pytest.mark.parametrize("check", Check)
@pytest.mark.parametrize("tier", Tier)
def test_what_was_better_before_is_looked_at_in_full(tier: Tier, check: Check) -> None:
    """Before it is called a regression; unless that was a full look already."""
    follow = followed_by(order(reason=Reason.RECHECK, tier=tier, check=check), DIFFERENT, Verdict.REPRODUCED)
    expected = order(reason=Reason.REGRESSION, tier=Tier.FULL, check=Check.VERIFY)
    full = tier is Tier.FULL and check is not Check.INPUTS
    assert (None if full else expected) == follow


@pytest.mark.parametrize("tier", [Tier.QUICK, Tier.SOURCE])
def test_what_was_not_tried_needs_no_full_look(tier: Tier) -> None:
    """Where there is nothing to build, a thorough look would not build either."""
    assert followed_by(order(tier=tier), UNTRIED, None) is None
    assert followed_by(order(tier=tier), UNTRIED, UNTRIED.decision.verdict) is None


def test_a_source_look_that_differs_as_before_is_said() -> None:
    """All hypotheses were tried."""
    assert followed_by(order(tier=Tier.SOURCE), DIFFERENT, Verdict.DIFFERS) is None


def test_a_tier_that_there_is_not_is_a_sentence() -> None:
    """It names those there are."""
    assert Tier.QUICK is tier_named("quick")
    with pytest.raises(UsageError, match=r"'fast' .*quick, source, full"):
        tier_named("fast")
