"""Other processes: waiting for what they do, and beginning one."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.fakes.sandbox import children


def until(holds: Callable[[], object], what: str = "it did not come about", *, seconds: float = 90) -> None:
    """Look again and again, without haste, until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"in vain: {what}"
        select.select([], [], [], 0.02)


def family(pid: int) -> list[int]:
    """A process and all it started, each before those it started itself: ids begin anew at the highest one."""
    return [pid, *(each for child in children(pid) for each in family(child))]


def pidfds(pids: Iterable[int]) -> list[int]:
    """Descriptors of those of the processes that have not ended meanwhile."""
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


def fork(work: Callable[[], object]) -> int:
    """Do something in a process of its own; give its id. It must not share an open ledger with us."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)
