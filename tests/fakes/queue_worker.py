"""A worker without a build: takes tasks from the queue of a ledger until there is none, and says they reproduced.

``python -m tests.fakes.queue_worker URL [--hold]`` prints its owner, then the number of tasks it did. With ``--hold``
it takes one task, prints its file, and waits for the end of its standard input with the work half done.
"""

from __future__ import annotations

import sys

from rebuilder.clock import SystemClock
from rebuilder.model.comparison import Level
from rebuilder.model.work import Lease
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process
from tests.fakes.orders import ordered
from tests.fakes.verifications import attempt, report

LEASE_SECONDS = 600


def work(ledger: Ledger, owner: str, *, most: int = sys.maxsize) -> int:
    """Do everything that can be done now, but no more than ``most`` tasks; give their number."""
    clock, done = SystemClock(), 0
    while done < most and (lease := ledger.queue.claim(owner, clock.now(), LEASE_SECONDS)) is not None:
        of = ordered(lease.task.order)
        number = ledger.begin(of, clock.now(), lease.task.order)
        found = report(of, attempt(of, Level.IDENTICAL), finished=clock.now())
        ledger.queue.complete(lease, number, found, {("done", owner): 1})
        done += 1
    return done


def hold(ledger: Ledger, owner: str) -> Lease:
    """Take a task and begin it."""
    now = SystemClock().now()
    lease = ledger.queue.claim(owner, now, LEASE_SECONDS)
    assert lease is not None
    ledger.begin(ordered(lease.task.order), now, lease.task.order)
    return lease


def main() -> None:
    """Work, or only begin to."""

    def say(word: object) -> None:
        sys.stdout.write(f"{word}\n")
        sys.stdout.flush()

    where, *options = sys.argv[1:]
    owner = this_process()
    say(owner)
    with Ledger.open(where) as ledger:
        if options:
            say(hold(ledger, owner).task.order.filename)
            sys.stdin.read()
        else:
            say(work(ledger, owner))


if __name__ == "__main__":
    main()
