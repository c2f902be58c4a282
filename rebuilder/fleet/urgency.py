"""How urgent the runs are that are asked for just now; the queue of orders is the ledger's, this is that of runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_PRIORITY: ContextVar[int] = ContextVar("priority", default=0)


@contextmanager
def priority(of_order: int) -> Iterator[None]:
    """Runs that are asked for meanwhile are for an order of this priority (smaller goes first)."""
    before = _PRIORITY.set(of_order)
    try:
        yield
    finally:
        _PRIORITY.reset(before)


def rank() -> int:
    """The same as a broker has it: 0 (first) to 9."""
    return min(9, max(0, (_PRIORITY.get() + 10) // 10))
