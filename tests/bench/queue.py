"""What dispatching costs: two processes work through 10,000 queued artifacts that take no time to build."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process
from tests.fakes.orders import order
from tests.fakes.queue_worker import work

TASKS = 10_000
WATCHES = 20
WORKERS = 2


@dataclass(frozen=True)
class Dispatch:
    """What was measured."""

    milliseconds: float
    """A task: claimed, begun and completed with a report, from the start of the first to the end of the last."""
    growth: int
    """Bytes: how much more resident memory a worker had at its end than after a quarter; of two the larger."""
    state_milliseconds: float
    """The state of the full queue, as a page shows it."""


def dispatch(where: Path) -> Dispatch:
    """Fill a queue in a new ledger and let two processes empty it."""
    with Ledger.open(where) as ledger:
        orders = [order(f"p{each}", watch=f"w{each % WATCHES}") for each in range(TASKS)]
        assert TASKS == ledger.queue.add(orders, SystemClock().now())
        start = time.perf_counter()
        ledger.queue.state(SystemClock().now())
        shown = time.perf_counter() - start
    command = [sys.executable, "-m", "tests.bench.queue", str(where)]
    start = time.perf_counter()
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(WORKERS)]
    said = [each.communicate()[0].split() for each in workers]
    spent = time.perf_counter() - start
    assert all(each.returncode == 0 for each in workers)
    assert sum(int(each[0]) for each in said) == TASKS
    return Dispatch(spent * 1000 / TASKS, max(int(each[1]) for each in said), shown * 1000)


def main() -> None:
    """Work until there is nothing more; say how many tasks were done, and how much memory grew meanwhile."""
    with Ledger.open(sys.argv[1]) as ledger:
        done = work(ledger, this_process(), most=TASKS // WORKERS // 4)
        begun = _memory()
        done += work(ledger, this_process())
    sys.stdout.write(f"{done} {_memory() - begun}\n")


def _memory() -> int:
    """Resident memory now; the peak would also tell of the process that started this one."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
