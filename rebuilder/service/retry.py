"""When something is tried again by itself: by what it came to, and how often it was tried."""

from __future__ import annotations

from datetime import datetime, timedelta

from rebuilder.model.verdict import Verdict

_WAITS: dict[Verdict, tuple[timedelta, ...]] = {
    Verdict.INFRA_ERROR: (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=12),
    ),
    Verdict.INPUTS_MISSING: (timedelta(days=1), timedelta(days=7)),
    Verdict.TIMED_OUT: (timedelta(hours=1),),
}
"""The wait after the first try, after the second, and so on; what is not here is never tried again."""

_CLOCK = (timedelta(days=1), timedelta(days=7))


def retry_at(verdict: Verdict, tries: int, now: datetime, *, clock_not_tried: bool = False) -> datetime | None:
    """When to try again; None for never.

    ============== ======================================= ==============================================
    verdict        waits after the first try, the second…  why
    ============== ======================================= ==============================================
    infra-error    1 min, 5 min, 30 min, 2 h, 12 h         most trouble on our side passes, or is mended
    inputs-missing 1 day, 7 days                           a source is often published after the file
    timed-out      1 h                                     the machine may have been busy
    no clock       1 day, 7 days                           another machine may have a guest by then
    all others     never                                   the same build would say the same again
    ============== ======================================= ==============================================

    A difference was rebuilt once within its own verification, to tell unstable from stable; that is no retry.

    Args:
        verdict: What this try came to.
        tries: How many tries there were before this one, whatever they came to (:attr:`Task.tries`).
        now: The end of this try.
        clock_not_tried: Whether a recorded clock might come further, and no guest ran on the machine of this try.
    """
    waits = _WAITS.get(verdict, _CLOCK if clock_not_tried and verdict is not Verdict.REPRODUCED else ())
    return now + waits[tries] if tries < len(waits) else None
