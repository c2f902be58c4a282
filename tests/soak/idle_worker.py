"""A worker whose examinations cost nothing; prints tasks done, seconds, kilobytes, CPU seconds."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.service.worker import Worker
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.idle import IdleEcosystem, idle_parts

_EVERY = 250


def resident_kilobytes() -> int:
    """Memory of this process that is in use now."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def tell(*figures: float) -> None:
    """A line of figures for whoever started us."""
    sys.stdout.write(" ".join(f"{each:g}" for each in figures) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Until the queue is empty."""
    with Ledger.open(sys.argv[1]) as ledger:
        parts = idle_parts(ledger, MemoryBlobs(), SystemClock(), IdleEcosystem())
        worker = Worker(parts, owner=this_process(), lease_seconds=60)
        done, began, used = 0, time.monotonic(), time.process_time()
        while worker.step():
            done += 1
            if done % _EVERY == 0:
                tell(done, time.monotonic() - began, resident_kilobytes(), time.process_time() - used)
        tell(done, time.monotonic() - began, resident_kilobytes(), time.process_time() - used)


if __name__ == "__main__":
    main()
