"""Much of the same work, done by as many processes as there are processors."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")
_inherited: tuple[Callable[[Sequence[Any]], Any], Sequence[Sequence[Any]]]


def by_processes(
    work: Callable[[Sequence[_Item]], _Found], items: Sequence[_Item], at_once: int = 200
) -> Iterator[_Found]:
    """What ``work`` gives for ``at_once`` items at a time, in their order.

    Forked processes do it, which have all that this one has; little work is done by this one, and all of it where other
    threads might hold a lock that nobody would release in a forked process.
    """
    chunks = [items[start : start + at_once] for start in range(0, len(items), at_once)]
    number = min(len(os.sched_getaffinity(0)), len(chunks))
    if number < 2 or threading.active_count() > 1:
        yield from map(work, chunks)
        return
    with ProcessPoolExecutor(number, get_context("fork"), _inherit, (work, chunks)) as pool:
        yield from pool.map(_do, range(len(chunks)))


def _inherit(*inherited: Any) -> None:
    global _inherited  # noqa: PLW0603 - it cannot be sent to a process, and need not
    _inherited = inherited


def _do(number: int) -> Any:
    work, chunks = _inherited
    return work(chunks[number])
