"""Ten thousand tasks whose examination costs nothing, two workers, one service that signs and publishes."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.store.ledger import Ledger
from tests.fakes.orders import order
from tests.soak.figures import Part

_ROOT = Path(__file__).parents[2]
_WORKERS = 2
_FILES = 4
"""Of one release."""
_MOST_MILLISECONDS = 20.0
_MOST_GROWTH = 1.10
"""Memory at the end, of what it was when a quarter was done."""
_SPARE_KILOBYTES = 8 << 10

_Line = tuple[float, ...]


class _Process:
    """A process that tells figures."""

    def __init__(self, module: str, argument: str) -> None:
        command = [sys.executable, "-m", module, argument]
        self.process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: list[_Line] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(tuple(float(each) for each in line.split()))

    def wait(self, seconds: float) -> bool:
        """Whether it ended within so many seconds, and well."""
        try:
            return self.process.wait(timeout=max(0.1, seconds)) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        finally:
            self._reader.join(timeout=10)


def dispatch(tasks: int, seconds: float) -> Part:
    """Milliseconds from one task to the next in a worker, and memory over time."""
    part = Part(f"{tasks:,} tasks")
    root = Path(tempfile.mkdtemp(prefix="rebuilder-soak-"))
    place = f"sqlite:///{root}/store/ledger.sqlite"
    (root / "store").mkdir()
    (root / "schedules").mkdir()
    try:
        with Ledger.open(place) as ledger:
            _fill(part, ledger, tasks)
            service = _Process("tests.soak.idle_service", str(root))
            began = time.monotonic()
            workers = [_Process("tests.soak.idle_worker", place) for _ in range(_WORKERS)]
            for each in workers:
                if not each.wait(seconds - (time.monotonic() - began)):
                    part.violations.append("A worker did not end by itself.")
            part.figures["seconds until the queue was empty"] = f"{time.monotonic() - began:.0f}"
            while len(ledger.unsigned(1)) and time.monotonic() - began < seconds:
                time.sleep(1)
            time.sleep(15)  # the index follows
            part.figures["signed and published"] = f"{len(ledger.latest()):,}"
            part.figures["seconds until all was signed"] = f"{time.monotonic() - began - 15:.0f}"
            left = ledger.queue.state(SystemClock().now())
            if left.waiting or left.delayed or left.running:
                part.violations.append(f"The queue is not empty: {left.waiting} wait, {left.delayed} are delayed.")
        assert service.process.stdin is not None
        service.process.stdin.close()
        if not service.wait(90):
            part.violations.append("The service did not end by itself.")
        _judge(part, workers, service, tasks)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return part


def _fill(part: Part, ledger: Ledger, tasks: int) -> None:
    names = (order(f"p{index // _FILES}", filename=f"p{index // _FILES}-3.20-{index}.whl") for index in range(tasks))
    began = time.monotonic()
    while block := list(islice(names, 1000)):
        ledger.queue.add(block, SystemClock().now())
    part.figures["ms to queue one"] = f"{(time.monotonic() - began) * 1000 / tasks:.2f}"


def _judge(part: Part, workers: list[_Process], service: _Process, tasks: int) -> None:
    if sum(each.lines[-1][0] for each in workers) != tasks:
        part.violations.append(f"{[each.lines[-1][0] for each in workers]} tasks were done, not {tasks}.")
    wall, spent = (sum(each.lines[-1][column] for each in workers) * 1000 / tasks for column in (1, 3))
    part.figures["ms a task in a worker, by the clock"] = f"{wall:.1f} ({wall / _WORKERS:.1f} with two at work)"
    part.figures["ms a task in a worker, of a CPU"] = f"{spent:.1f}"
    # By the clock it depends on what else the machine does.
    if spent > _MOST_MILLISECONDS:
        part.violations.append(f"A task costs {spent:.1f} ms; {_MOST_MILLISECONDS:g} are allowed.")
    for name, process in (*((f"worker {n + 1}", each) for n, each in enumerate(workers)), ("service", service)):
        quarters = [process.lines[len(process.lines) * q // 4][2] for q in (1, 2, 3)] + [process.lines[-1][2]]
        part.figures[f"MB of the {name}, by quarters"] = " ".join(f"{each / 1024:.0f}" for each in quarters)
        if quarters[-1] > quarters[0] * _MOST_GROWTH + _SPARE_KILOBYTES:
            part.violations.append(f"The memory of the {name} grows: {quarters} kB.")
