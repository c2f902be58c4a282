"""When the network is asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from rebuilder.errors import UnavailableError
from rebuilder.network.http.answer import TransientError, retried, retry_after_seconds


class Call:
    """Fails a number of times, then gives "done"."""

    def __init__(self, failures: int, retry_after: float | None = None) -> None:
        self.made = 0
        self._failures = failures
        self._retry_after = retry_after

    def __call__(self) -> str:
        self.made += 1
        if self.made <= self._failures:
            raise TransientError(UnavailableError("Trouble."), self._retry_after)
        return "done"


def run(call: Call, *, attempts: int = 10, deadline: float = 1000) -> list[float]:
    """Call with retries; the waits."""
    waits: list[float] = []
    retried(call, attempts=attempts, deadline=deadline, wait=waits.append, monotonic=lambda: sum(waits))
    return waits


def test_waits_grow_with_jitter_up_to_ten_seconds() -> None:
    """0.5, 1, 2, 4, 8, 10 seconds and up to half a second on top."""
    waits = run(Call(7))
    for expected, actual in zip([0.5, 1, 2, 4, 8, 10, 10], waits, strict=True):
        assert expected <= actual <= min(expected + 0.5, 10)
    assert len(set(waits)) > 5


def test_the_last_error_is_raised() -> None:
    """After the attempts are used up."""
    call = Call(99)
    with pytest.raises(UnavailableError, match="Trouble"):
        run(call, attempts=3)
    assert 3 == call.made


def test_no_wait_goes_beyond_the_deadline() -> None:
    """The time limit counts waits that have not happened yet."""
    call = Call(99, retry_after=40)
    with pytest.raises(UnavailableError):
        run(call, deadline=100)
    assert 3 == call.made


def test_other_errors_pass() -> None:
    """Only passing trouble is tried again."""

    def call() -> str:
        raise UnavailableError("Final.")

    with pytest.raises(UnavailableError, match="Final"):
        retried(call, attempts=3, deadline=9, wait=lambda _: pytest.fail("waited"), monotonic=lambda: 0)


def test_retry_after_is_a_number_or_a_date() -> None:
    """RFC 9110, 10.2.3; a date in the past means now."""
    assert 120.0 == retry_after_seconds(" 120 ")
    soon = retry_after_seconds(format_datetime(datetime.now(UTC) + timedelta(seconds=50), usegmt=True))
    assert soon is not None
    assert 0 < soon <= 50
    assert 0.0 == retry_after_seconds("Wed, 21 Oct 2015 07:28:00 GMT")
    assert 0.0 == retry_after_seconds("Wed, 21 Oct 2015 07:28:00 -0000")


@pytest.mark.parametrize("value", [None, "", "-1", "soon", "1e3", "9" * 40, "Wed, 99 Oct 99999 07:28:00 GMT"])
def test_malformed_retry_after_counts_for_nothing(value: str | None) -> None:
    """The usual waits are used instead."""
    assert retry_after_seconds(value) is None
