"""One round: real worker processes empty a queue, and what they spend is measured."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.config import Config
from rebuilder.model.report import Report
from rebuilder.model.work import Order
from rebuilder.service.worker_pool import WorkerPool
from rebuilder.store.ledger import Ledger
from tests.bench.list_figures import Spent

_LOOK_SECONDS = 0.5
_ALL = 1_000_000


def run_round(
    config: Config, orders: Sequence[Order], *, workers: int, seconds: float, log: Path
) -> tuple[list[Report], Spent]:
    """Queue orders and wait until nothing of them is left that could be worked on now.

    Args:
        config: Of the store; nobody signs what is examined there, so the reports of every round stay readable.
        orders: What to do.
        workers: How many processes.
        seconds: After so long the workers are stopped, whatever is left.
        log: Gets what the workers say.

    Returns:
        The reports of this round in the order in which they were begun, and what it took.
    """
    clock = SystemClock()
    with Ledger.open(config.ledger_place) as ledger, _errors_to(log):
        before = {number for number, _ in ledger.unsigned(limit=_ALL)}
        cpu_before = _cpu_seconds()
        ledger.queue.add(orders, clock.now())
        pool = WorkerPool(config, workers, ledger, clock)
        start = time.monotonic()
        pool.start()
        memory = _PeakMemory()
        try:
            while time.monotonic() - start < seconds:
                state = ledger.queue.state(clock.now())
                if not state.waiting and not state.running:
                    break
                pool.look_after()
                memory.wait(_LOOK_SECONDS)
            wall = time.monotonic() - start
        finally:
            memory.stop()
            pool.stop(config.service.stop_seconds + 10)
        reports = [report for number, report in ledger.unsigned(limit=_ALL) if number not in before]
    return reports, Spent(
        wall_seconds=wall,
        cpu_seconds=_cpu_seconds() - cpu_before,
        peak_memory_bytes=memory.peak,
        load=os.getloadavg()[0],
    )


@dataclass
class _PeakMemory:
    """Adds up, again and again, what all processes below this one have in memory."""

    peak: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        """Go on measuring for a while."""
        self._ended.wait(seconds)

    def stop(self) -> None:
        """Measure no more."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self.peak = max(self.peak, sum(map(_proportional_bytes, _below(os.getpid()))))


def _below(process: int) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                yield child
                yield from _below(child)


def _proportional_bytes(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def _cpu_seconds() -> float:
    """Of all processes below this one that have ended, and of all that those had waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextlib.contextmanager
def _errors_to(log: Path) -> Iterator[None]:
    """What this process and those it starts write to standard error goes to a file."""
    kept = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
