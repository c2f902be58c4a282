"""What is tried again by itself, when, and when no more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebuilder.model.verdict import Verdict
from rebuilder.service.worker import retry_at
from tests.fakes.verifications import NOW


@pytest.mark.parametrize(
    ("verdict", "waits"),
    [
        (Verdict.INFRA_ERROR, ["0:01", "0:05", "0:30", "2:00", "12:00"]),
        (Verdict.INPUTS_MISSING, ["24:00", "168:00"]),
        (Verdict.TIMED_OUT, ["1:00"]),
        (Verdict.REPRODUCED, []),
        (Verdict.EQUIVALENT, []),
        (Verdict.DIFFERS, []),
        (Verdict.BUILD_FAILED, []),
        (Verdict.UNSUPPORTED, []),
    ],
)
def test_each_verdict_has_its_waits_and_then_a_cut_off(verdict: Verdict, waits: list[str]) -> None:
    """The waits grow, and after the last one there is no other."""
    hours = [each.split(":") for each in waits]
    expected = [NOW + timedelta(hours=int(hour), minutes=int(minute)) for hour, minute in hours]
    assert [*expected, None, None] == [retry_at(verdict, tries, NOW) for tries in range(len(waits) + 2)]


def test_a_clock_may_be_had_elsewhere() -> None:
    """What no guest could be had for is tried again, unless there is nothing to be gained."""
    again = [retry_at(Verdict.EQUIVALENT, tries, NOW, clock_not_tried=True) for tries in range(3)]
    assert [NOW + timedelta(days=1), NOW + timedelta(days=7), None] == again
    assert retry_at(Verdict.REPRODUCED, 0, NOW, clock_not_tried=True) is None


def test_every_verdict_is_decided() -> None:
    """A new verdict is never retried by accident."""
    again = {verdict for verdict in Verdict if retry_at(verdict, 0, NOW) is not None}
    assert {Verdict.INFRA_ERROR, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT} == again
