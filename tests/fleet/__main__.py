"""``python -m tests.fleet simulate``: dispatch, fairness, memory and recovery with thousands of runners; loopback only.

Redis, both kinds of ledger with the queue of files, and what asks for runs are the real ones. The runners, in a
process of their own, wait instead of building; a directory stands for the S3 store. Files of several projects wait in
the queue, one project with half of all, and one in ten builds on another queue of the fleet. When half is done the
broker is wiped. What takes longer than ``--seconds`` is ended, and that is said.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import RebuilderError
from rebuilder.fleet import objects
from rebuilder.fleet.broker import CeleryBroker
from rebuilder.fleet.ordering import FleetRunner
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import EnrolledRunner, queue_of
from rebuilder.model.settings import FleetSettings
from rebuilder.model.work import Lease
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import RemoteBlobs
from tests.fakes.fleet_servers import Redis
from tests.fakes.orders import order
from tests.fakes.postgres import Postgres
from tests.fakes.processes import until
from tests.fakes.sandbox import definition
from tests.fleet.virtual import shared

_MOST_MILLISECONDS = 20.0
_MOST_GROWTH = 0.1
_LEASE_SECONDS = 5.0
_PATIENCE_SECONDS = 60.0
"""A worker gives an order up after so long, so that the end comes, whatever is lost."""
_PROJECTS = 20
_LARGE = "p0"
_ON_THE_OTHER_QUEUE = 10
"""One build in so many."""


@dataclass
class Seen:
    """What the coordinators saw."""

    waited: dict[str, list[float]] = field(default_factory=dict)
    """Seconds from asking to accepting, by queue of the fleet."""
    ended: list[float] = field(default_factory=list)
    by: Counter[str] = field(default_factory=Counter)
    """Accepted answers by runner."""
    small: list[int] = field(default_factory=list)
    """How many files were done when each of the small projects was."""
    memory: dict[int, int] = field(default_factory=dict)
    """Resident bytes by how many files were done."""


def build(lease: Lease) -> BuildDefinition:
    """What a file of the queue is built by."""
    number = int(lease.task.order.version)
    other = {"sandbox": "uml"} if number % _ON_THE_OTHER_QUEUE == 0 else {}
    return definition(("make", str(number)), **other)


def project(number: int, orders: int) -> str:
    """The first has half of all, and comes first."""
    return _LARGE if number < orders // 2 else f"p{1 + number % (_PROJECTS - 1)}"


class Coordinators:
    """Threads that take files from the queue and ask for their runs, as worker processes do."""

    def __init__(self, stack: ExitStack, directory: Path, place: str, address: str, storage: ObjectStorage) -> None:
        self._stack, self._directory, self._place, self._address = stack, directory, place, address
        self._blobs = RemoteBlobs(DiskBlobs(directory / "blobs"), storage, most_bytes=1 << 30)
        self._storage, self._lock, self._number = storage, threading.Lock(), 0
        self.seen = Seen()
        self.stopped = threading.Event()

    def work(self) -> None:
        """One worker: until the queue is empty."""
        with self._lock:
            self._number += 1
            owner = f"simulated/{os.getpid()}/{self._number}"
            ledger = self._stack.enter_context(Ledger.open(self._place, busy_seconds=60))
        runner = FleetRunner(
            ledger=ledger,
            blobs=self._blobs,
            storage=self._storage,
            environments=EnvironmentStore(self._directory / "toolchains", SystemClock()),
            broker=CeleryBroker(self._address),
            clock=SystemClock(),
            settings=FleetSettings(lease_seconds=_LEASE_SECONDS, patience_seconds=_PATIENCE_SECONDS),
            owner=owner,
            scratch=self._directory / "scratch",
        )
        clock = SystemClock()
        while not self.stopped.is_set():
            lease = ledger.queue.claim(owner, clock.now(), 3600)
            if lease is None:
                return
            wanted = build(lease)
            began = time.monotonic()
            answered = runner.answered(wanted)
            ledger.queue.discard(lease, None, "It was simulated.", clock.now(), {}, follow=None)
            self._note(lease, queue_of(wanted), time.monotonic() - began, answered.runner_id)

    def _note(self, lease: Lease, queue: str, waited: float, runner_id: str) -> None:
        with self._lock:
            seen = self.seen
            seen.ended.append(time.monotonic())
            seen.waited.setdefault(queue, []).append(waited)
            seen.by[runner_id] += 1
            done = len(seen.ended)
            if lease.task.order.name != _LARGE:
                seen.small.append(done)
            if done % 1000 == 0:
                pages = Path("/proc/self/statm").read_text().split()[1]
                seen.memory[done] = int(pages) * resource.getpagesize()


def simulate(given: argparse.Namespace) -> int:
    """One ledger after the other, each in a process of its own; give the exit code."""
    if given.ledger is None:
        words = [sys.executable, "-m", "tests.fleet", "simulate", *sys.argv[2:]]
        kinds = ("postgresql", "sqlite")
        return max([subprocess.run([*words, "--ledger", kind], check=False).returncode for kind in kinds])
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rebuilder-fleet-")))
        redis = Redis()
        stack.callback(redis.close)
        place = f"sqlite:///{directory}/ledger.sqlite"
        if given.ledger == "postgresql":
            server = stack.enter_context(Postgres())
            place = server.url(server.create())
        storage = shared(directory / "shared")
        ledger = stack.enter_context(Ledger.open(place))
        files = (order(project(n, given.orders), str(n), watch=project(n, given.orders)) for n in range(given.orders))
        ledger.queue.add(list(files), SystemClock().now())
        storage.put(objects.environment("ab" * 32), b"an export")
        runners, enrolled = _runners(given, directory, redis)
        stack.callback(runners.wait)
        stack.callback(runners.terminate)
        for each in enrolled:
            ledger.runners.enroll(each)
        coordinators = Coordinators(stack, directory, place, redis.url, storage)
        began, spent = time.monotonic(), _cpu()
        wiped = 0.0
        with ThreadPoolExecutor(given.waiting) as pool:
            working = [pool.submit(coordinators.work) for _ in range(given.waiting)]
            while not all(each.done() for each in working):
                if not wiped and len(coordinators.seen.ended) >= given.orders // 2:
                    wiped = _wiped(redis, runners)
                if time.monotonic() - began > given.seconds:
                    coordinators.stopped.set()
                time.sleep(0.1)
        spent = _cpu() - spent
        failed = [error for each in working if (error := each.exception()) is not None]
        assert all(isinstance(each, RebuilderError) for each in failed), failed
        for error in failed:
            print(f"A worker ended: {error}")  # noqa: T201
        return _told(given, coordinators.seen, len(enrolled), (began, wiped, spent))


def _runners(
    given: argparse.Namespace, directory: Path, redis: Redis
) -> tuple[subprocess.Popen[bytes], list[EnrolledRunner]]:
    main, other = queue_of(definition(("make",))), queue_of(definition(("make",), sandbox="uml"))
    few = max(1, given.runners // _ON_THE_OTHER_QUEUE)
    file = directory / "enrolments.json"
    words = {
        "--queues": json.dumps({main: given.runners - few, other: few}),
        "--broker": redis.url,
        "--shared": str(directory / "shared"),
        "--seconds": str(given.build_seconds),
        "--enrolments": str(file),
    }
    command = [sys.executable, "-m", "tests.fleet.virtual", *(word for pair in words.items() for word in pair)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    until(file.exists)
    return process, [EnrolledRunner.model_validate_json(json.dumps(each)) for each in json.loads(file.read_text())]


def _wiped(redis: Redis, runners: subprocess.Popen[bytes]) -> float:
    """Empty the broker when orders wait in it; give the moment."""
    runners.send_signal(signal.SIGSTOP)
    time.sleep(2)
    redis.wipe()
    runners.send_signal(signal.SIGCONT)
    return time.monotonic()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _told(given: argparse.Namespace, seen: Seen, runners: int, times: tuple[float, float, float]) -> int:
    began, wiped, spent = times
    done = len(seen.ended)
    wall = max(seen.ended, default=began) - began
    cpu = spent * 1000 / max(1, done)
    after = sorted(each - wiped for each in seen.ended if wiped and each > wiped)
    gap = after[0] if after else math.inf
    first, last = min(seen.memory, default=0), max(seen.memory, default=0)
    before, after_all = seen.memory.get(first, 1), seen.memory.get(last, 0)
    growth = after_all / before - 1 if seen.memory else math.inf
    flat = after_all - before < _MOST_GROWTH * before and bool(seen.memory)
    small = seen.small[math.ceil(0.95 * len(seen.small)) - 1] if seen.small else 0
    figures = {
        "ledger; runners, files, waited for at once": (
            f"{given.ledger}; {runners:,}, {given.orders:,}, {given.waiting}"
        ),
        "runs that were accepted, of those asked for": f"{done:,} of {given.orders:,}",
        "runs a second": f"{done / wall:.1f}" if wall else "–",
        "ms of a CPU that a file costs the coordinator": f"{cpu:.1f} (goal {_MOST_MILLISECONDS:.0f})",
        **{
            f"seconds from asking to accepting, {queue}": _spread(waited)
            for queue, waited in sorted(seen.waited.items())
        },
        f"95 of 100 files of the {_PROJECTS - 1} small projects were done": f"after {small:,} files",
        "runs of the busiest runner, and on average": f"{max(seen.by.values(), default=0)}, {done / runners:.1f}",
        "seconds until an answer after the broker was wiped": (
            f"{gap:.1f} (lease {_LEASE_SECONDS:g}, goal {1.5 * _LEASE_SECONDS:g})"
        ),
        f"MiB after {first:,} and after {last:,} files": (
            f"{before / 2**20:.0f}, {after_all / 2**20:.0f} ({growth:+.1%}, goal below {_MOST_GROWTH:+.0%})"
        ),
    }
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}", flush=True)  # noqa: T201
    if done < given.orders:
        print(f"It was ended after {given.seconds:.0f} s; the figures are those of what was done.", flush=True)  # noqa: T201
    return 0 if cpu <= _MOST_MILLISECONDS and gap <= 1.5 * _LEASE_SECONDS and flat else 1


def _spread(waited: list[float]) -> str:
    late = sorted(waited)[math.ceil(0.95 * len(waited)) - 1]
    return f"{statistics.median(waited):.2f} median, {late:.2f} 95 of 100"


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("simulate")
    command.set_defaults(run=simulate)
    command.add_argument("--runners", type=int, default=2000)
    command.add_argument("--orders", type=int, default=10_000)
    command.add_argument("--waiting", type=int, default=64, help="runs that are waited for at once")
    command.add_argument("--build-seconds", type=float, default=0.5, help="what a build takes on average")
    command.add_argument("--ledger", choices=("sqlite", "postgresql"), help="both, one after the other, by default")
    command.add_argument("--seconds", type=float, default=600, help="each ends after so long")
    given = parser.parse_args()
    return int(given.run(given))


if __name__ == "__main__":
    sys.exit(main())
