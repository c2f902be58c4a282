"""``python -m tests.fleet simulate``: dispatch, fairness and recovery with thousands of runners; loopback only.

Redis, the ledger and what asks for runs are the real ones; the runners wait instead of building, and the S3 store is in
memory, since what it costs is another machine's. It stops by itself.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from obstore.store import MemoryStore

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.fleet import objects
from rebuilder.fleet.broker import CeleryBroker
from rebuilder.fleet.ordering import FleetRunner
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import queue_of
from rebuilder.model.settings import FleetSettings
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import RemoteBlobs
from tests.fakes.fleet_servers import Redis
from tests.fakes.ledgers import lay_down
from tests.fakes.sandbox import definition
from tests.fleet.virtual import VirtualRunners

_MOST_MILLISECONDS = 20.0
_LEASE_SECONDS = 5.0


class Coordinators:
    """Threads that ask for runs one after the other, as worker processes do."""

    def __init__(self, stack: ExitStack, directory: Path, place: str, address: str, storage: ObjectStorage) -> None:
        self._stack, self._directory, self._place, self._address = stack, directory, place, address
        self._storage = storage
        self._lock, self._own = threading.Lock(), threading.local()
        self.waited: list[float] = []
        """Seconds of each run from asking to accepting."""
        self.ended: list[float] = []
        self.by: Counter[str] = Counter()
        """Accepted answers by runner."""
        self.cpu: dict[int, float] = {}

    def run(self, build: BuildDefinition) -> None:
        """Ask for one run."""
        runner = self._runner()
        began = time.monotonic()
        answered = runner.answered(build)
        with self._lock:
            self.ended.append(time.monotonic())
            self.waited.append(self.ended[-1] - began)
            self.by[answered.runner_id] += 1
            self.cpu[threading.get_ident()] = time.thread_time() - self._own.began

    def _runner(self) -> FleetRunner:
        if not hasattr(self._own, "runner"):
            with self._lock:
                ledger = self._stack.enter_context(Ledger.open(self._place))
                number = len(self.cpu)
                self.cpu[threading.get_ident()] = 0.0
            self._own.began = time.thread_time()
            self._own.runner = FleetRunner(
                ledger=ledger,
                blobs=RemoteBlobs(DiskBlobs(self._directory / "blobs"), self._storage, most_bytes=1 << 30),
                storage=self._storage,
                environments=EnvironmentStore(self._directory / "toolchains", SystemClock()),
                broker=CeleryBroker(self._address),
                clock=SystemClock(),
                settings=FleetSettings(lease_seconds=_LEASE_SECONDS),
                owner=f"simulated/{number}",
                scratch=self._directory / "scratch",
            )
        return self._own.runner  # type: ignore[no-any-return]


def simulate(given: argparse.Namespace) -> int:
    """Run it and print figures; give the exit code."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rebuilder-fleet-")))
        redis = Redis()
        stack.callback(redis.close)
        place = given.ledger or f"sqlite:///{directory}/ledger.sqlite"
        if given.ledger is None:
            lay_down(directory / "ledger.sqlite")
        storage = ObjectStorage(MemoryStore(), "memory")
        builds = [definition(("make", str(number))) for number in range(given.orders)]
        storage.put(objects.environment(builds[0].toolchain.sha256), b"an export")
        queue = queue_of(builds[0])
        runners = VirtualRunners(given.runners, redis.url, storage, queue, given.build_seconds)
        ledger = stack.enter_context(Ledger.open(place))
        for each in runners.enrolments():
            ledger.runners.enroll(each)
        coordinators = Coordinators(stack, directory, place, redis.url, storage)
        runners.start()
        stack.callback(runners.stop)
        began, wiped = time.monotonic(), 0.0
        with ThreadPoolExecutor(given.waiting) as pool:
            asked = [pool.submit(coordinators.run, each) for each in builds]
            while not all(each.done() for each in asked):
                if not wiped and len(coordinators.ended) >= given.orders // 2:
                    wiped = _wiped(redis, runners)
                if time.monotonic() - began > given.seconds:
                    break
                time.sleep(0.1)
            if not all(each.done() for each in asked):
                print("It was not done in time.")  # noqa: T201
                os._exit(1)  # whatever still waits would wait for hours
        return _told(given, coordinators, runners, (began, wiped))


def _wiped(redis: Redis, runners: VirtualRunners) -> float:
    """Empty the broker when orders wait in it; give the moment."""
    runners.asleep.set()
    time.sleep(2)
    redis.wipe()
    runners.asleep.clear()
    return time.monotonic()


def _told(given: argparse.Namespace, found: Coordinators, runners: VirtualRunners, times: tuple[float, float]) -> int:
    began, wiped = times
    done = len(found.ended)
    wall = max(found.ended, default=began) - began
    cpu = sum(found.cpu.values()) * 1000 / max(1, done)
    waited = sorted(found.waited) or [0.0]
    after = sorted(each - wiped for each in found.ended if wiped and each > wiped)
    gap = after[0] if after else 0.0
    shares = [found.by[each.id] for each in runners.enrolments()]
    expected = done / len(shares)
    figures = {
        "runners, orders, waited for at once": f"{given.runners:,}, {given.orders:,}, {given.waiting}",
        "runs that were accepted, of those asked for": f"{done:,} of {given.orders:,}",
        "runs a second": f"{done / wall:.1f}" if wall else "–",
        "ms of a CPU that a run costs the coordinator": f"{cpu:.1f} (goal {_MOST_MILLISECONDS:.0f})",
        "seconds from asking to accepting, median, 95 of 100": (
            f"{statistics.median(waited):.2f}, {waited[math.ceil(0.95 * len(waited)) - 1]:.2f}"
        ),
        "most builds at once": f"{runners.most_building:,}",
        "runs of the busiest runner, and of one on average": f"{max(shares)}, {expected:.1f}",
        "seconds until an answer after the broker was wiped": (
            f"{gap:.1f} (lease {_LEASE_SECONDS:g}, goal {1.5 * _LEASE_SECONDS:g})"
        ),
    }
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value}")  # noqa: T201
    recovered = bool(after) and gap <= 1.5 * _LEASE_SECONDS
    return 0 if done == given.orders and cpu <= _MOST_MILLISECONDS and recovered else 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("simulate")
    command.set_defaults(run=simulate)
    command.add_argument("--runners", type=int, default=2000)
    command.add_argument("--orders", type=int, default=2000)
    command.add_argument("--waiting", type=int, default=64, help="runs that are waited for at once")
    command.add_argument("--build-seconds", type=float, default=1.0, help="what a build takes on average")
    command.add_argument("--ledger", help="URL of an empty database; a file otherwise")
    command.add_argument("--seconds", type=float, default=600, help="it ends after so long")
    given = parser.parse_args()
    return int(given.run(given))


if __name__ == "__main__":
    sys.exit(main())
