"""``python -m tests.bench backlog``: what the queue costs with a million tasks in it, beside a thousand.

Bounded: two or three minutes for each kind of database. Half of what is most urgent rests, as after a day on which an
index was away: whoever takes the next task must not go through all of it.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta

from sqlalchemy import update

from rebuilder.clock import SystemClock
from rebuilder.model.work import Order, Reason
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.ledger.liveness import this_process
from rebuilder.store.ledger.queue.rows import add_counts
from tests.fakes.orders import order
from tests.fakes.postgres import Postgres

_FEW = 1000
_AT_ONCE = 20_000
_WATCHES = 20
_GOAL = 200.0
_TIMES = 9


def main(arguments: list[str]) -> int:
    """Fill ledgers, measure, print; give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench backlog", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--ledger", choices=("SQLite", "PostgreSQL"), help="both by default")
    options = parser.parse_args(arguments)
    slowest = 0.0
    for kind in (options.ledger,) if options.ledger else ("SQLite", "PostgreSQL"):
        few, many = (_measured(kind, number) for number in (_FEW, options.tasks))
        print(f"{kind + ', ms':<40} {_FEW:>12,} tasks {options.tasks:>12,} tasks")
        for name, figure in many.items():
            print(f"  {name:<38} {few[name]:>12.1f}       {figure:>12.1f}", flush=True)
        slowest = max(slowest, *many.values())
    print(f"slowest {slowest:.1f} (goal {_GOAL:.0f})")
    return 0 if slowest <= _GOAL else 1


def _measured(kind: str, number: int) -> dict[str, float]:
    with ExitStack() as stack:
        if kind == "SQLite":
            place, tidy = stack.enter_context(tempfile.TemporaryDirectory()) + "/ledger.sqlite", _nothing
        else:
            server = stack.enter_context(Postgres())
            name = server.create()
            place = server.url(name)

            def tidy() -> None:  # as its autovacuum does, which is off here
                server.administer("VACUUM ANALYZE", database=name)

        ledger = stack.enter_context(Ledger.open(place))
        for first in range(0, number, _AT_ONCE):
            ledger.queue.add([_order(each) for each in range(first, min(number, first + _AT_ONCE))], _now())
            if first in {0, 5 * _AT_ONCE}:
                tidy()
        _half_rests(ledger)
        tidy()
        return {what: _milliseconds(do) for what, do in _questions(ledger).items()}


def _nothing() -> None:
    """SQLite needs no tidying."""


def _now() -> datetime:
    return SystemClock().now()


_ORDER = order("p")


def _order(number: int) -> Order:
    return _ORDER.replace(
        purl=f"pkg:pypi/p{number}@1.0",
        name=f"p{number}",
        filename=f"p{number}-1.0-py3-none-any.whl",
        sha256=f"{number:064x}",
        watch=f"w{number % _WATCHES}",
        reason=Reason.RECHECK if number % 4 == 0 else Reason.RELEASE,
    )


def _half_rests(ledger: Ledger) -> None:
    task = tables.task
    front = update(task).where(task.c.reason == Reason.RELEASE.value, task.c.id % 2 == 0)
    with ledger._database.writing() as connection:
        resting = connection.execute(
            front.values(ready=False, not_before=_now() + timedelta(days=1), turn=-task.c.turn)
        ).rowcount
        add_counts(connection, {("resting", Reason.RELEASE.value): resting})


def _questions(ledger: Ledger) -> dict[str, Callable[[], object]]:
    queue, number, me = ledger.queue, itertools.count(10_000_000), this_process()
    return {
        "state of the queue": lambda: queue.state(_now()),
        "page about the service": lambda: ledger.statistics.operations(_now()),
        "metrics": lambda: ledger.statistics.figures(_now()),
        "counts of all pages": lambda: ledger.statistics.standing(_now()),
        "place of one file": lambda: ledger.lookup.digest(f"{7:064x}", _now()),
        "known files of a project": lambda: ledger.watches.known(_ORDER.ecosystem, "p77"),
        "the next task": lambda: queue.claim(me, _now(), 600),
        "a file of a new watch": lambda: queue.add([_order(next(number)).replace(watch=f"new{next(number)}")], _now()),
        "a file by hand": lambda: queue.add([_order(next(number)).replace(reason=Reason.ASKED)], _now()),
    }


def _milliseconds(do: Callable[[], object]) -> float:
    do()
    spent = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        do()
        spent.append((time.perf_counter() - start) * 1000)
    return min(spent)  # what else the machine does is not what is measured
