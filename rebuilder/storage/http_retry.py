"""When to ask a server again, and how long to wait before."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from rebuilder.errors import UnavailableError

if TYPE_CHECKING:
    from tenacity import RetryCallState

Result = TypeVar("Result")
LONGEST_RETRY_AFTER = 60.0
"""Seconds. A server that wants us to wait longer is not asked again."""


class TransientError(Exception):
    """Something that may well go right the next time; ``error`` is what to say when it does not."""

    def __init__(self, error: UnavailableError, retry_after: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.retry_after = retry_after
        """Seconds the server asked us to wait."""


def retried(
    call: Callable[[], Result],
    *,
    attempts: int,
    deadline: float,
    wait: Callable[[float], None],
    monotonic: Callable[[], float],
) -> Result:
    """Call until it gives something other than :class:`TransientError`.

    Waits grow from about half a second to ten, with jitter so that many clients do not come back at once; a
    ``Retry-After`` is waited out instead. No wait goes beyond ``deadline`` (on the clock ``monotonic``).

    Raises:
        UnavailableError: the last ``TransientError.error``, when it is not worth asking again.
    """
    from tenacity import Retrying, retry_if_exception_type, wait_exponential_jitter

    growing = wait_exponential_jitter(multiplier=0.5, jitter=0.5, max=10)

    def pause(state: RetryCallState) -> float:
        asked = _asked_wait(state)
        return growing(state) if asked is None else asked

    def enough(state: RetryCallState) -> bool:
        too_long = state.upcoming_sleep > LONGEST_RETRY_AFTER or monotonic() + state.upcoming_sleep > deadline
        return state.attempt_number >= attempts or too_long

    policy = Retrying(retry=retry_if_exception_type(TransientError), stop=enough, wait=pause, sleep=wait, reraise=True)
    try:
        return policy(call)
    except TransientError as failed:
        raise failed.error from failed


def retry_after_seconds(value: str | None) -> float | None:
    """``Retry-After`` (RFC 9110, 10.2.3) in seconds, whether it is a number or a date; None when malformed."""
    if value is None:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _asked_wait(state: RetryCallState) -> float | None:
    error = state.outcome.exception() if state.outcome is not None else None
    return error.retry_after if isinstance(error, TransientError) else None
