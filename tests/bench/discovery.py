"""What a look at a thousand projects costs when nothing is new: memory and time, against a registry on loopback."""

from __future__ import annotations

import multiprocessing
import re
import tempfile
import time
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.network.http.fetcher import HttpCache, HttpFetcher
from rebuilder.service.discovery import Discovery
from rebuilder.service.schedules.watch import Timing, Watch
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from tests.fakes.discovery import pypi_of
from tests.fakes.registry import Registry

PROJECTS = 1000
FILES = 50
"""Of each project."""


def discovery_cost() -> tuple[int, float]:
    """Highest resident memory (bytes) and seconds of a look that finds nothing new, in a process of its own."""
    with Registry(etags=True) as registry, tempfile.TemporaryDirectory(prefix="rebuilder-bench-") as place:
        for number in range(PROJECTS):
            for version in range(FILES):
                registry.add_file(f"p{number}", f"p{number}-{version}.0-py3-none-any.whl", b"")
        context = multiprocessing.get_context("spawn")
        for _ in range(2):
            answer = context.SimpleQueue()
            process = context.Process(target=_look, args=(registry.url, Path(place), answer))
            process.start()
            peak, seconds = answer.get()
            process.join()
    return peak, seconds


def _look(url: str, place: Path, answer: multiprocessing.SimpleQueue[tuple[int, float]]) -> None:
    blobs, clock = DiskBlobs(place / "blobs"), SystemClock()
    watch = Watch(
        name="bench",
        file="bench.toml",
        packages=tuple(f"p{number}" for number in range(PROJECTS)),
        timing=Timing(every=3600),
    )
    with (
        Ledger.open(place / "ledger.sqlite") as ledger,
        HttpFetcher(blobs, HttpCache(place / "cache")) as fetcher,
    ):
        fetcher.admit(url)
        discovery = Discovery({"pypi": pypi_of(url, fetcher, blobs)}, ledger, clock)
        start = time.perf_counter()
        discovery.look(watch)
        answer.put((_peak_bytes(), time.perf_counter() - start))


def _peak_bytes() -> int:
    """Of this program alone; getrusage would count what the process that started it had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    peak_bytes, spent = discovery_cost()
    print(f"{PROJECTS} projects with nothing new: {peak_bytes / 2**20:.0f} MiB at most (goal < 100), {spent:.1f} s")
