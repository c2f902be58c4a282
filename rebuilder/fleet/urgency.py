"""How the runs are wanted that are asked for just now; the queue of orders is the ledger's, this is that of runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[tuple[int, bool]] = ContextVar("wanted", default=(0, False))


@contextmanager
def wanted(priority: int, *, twice: bool = False) -> Iterator[None]:
    """Runs that are asked for meanwhile are for an order of this priority (smaller goes first).

    Args:
        priority: Of the order.
        twice: Whether each that completes is to be made by two runners.
    """
    before = _WANTED.set((priority, twice))
    try:
        yield
    finally:
        _WANTED.reset(before)


def rank() -> int:
    """The priority as a broker has it: 0 (first) to 9."""
    return min(9, max(0, (_WANTED.get()[0] + 10) // 10))


def twice() -> bool:
    """Whether a run that completes counts only once another runner has made it, too."""
    return _WANTED.get()[1]
