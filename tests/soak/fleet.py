"""Two runners, Redis and an S3 store: whoever builds is killed, the broker forgets, the servers are killed."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from tests.fakes.fleet_servers import Coordinator, Servers, coordinating, servers, until
from tests.fakes.s3_server import credentials
from tests.soak.figures import Part

_ENVIRONMENTS = Path(__file__).parents[2] / ".build" / "toolchains"
_LEASE = 8.0
_BUILD = 2
"""Seconds."""
_QUIET = 50
"""Runs without any trouble, whose cost is measured."""
_MOST_MILLISECONDS = 60.0
"""Of the coordinator's processor for one run: orders, answers, blobs and their digests."""


def fleet(events: int, seconds: float, seed: int) -> Part:
    """Every run ends with what it was to build, once; how long that takes after each event."""
    part, chance = Part("fleet"), random.Random(seed)  # noqa: S311 - which event comes next
    with tempfile.TemporaryDirectory(prefix="rebuilder-soak-fleet-") as directory, servers(Path(directory)) as running:
        os.environ.update(credentials(running.endpoint))
        environments = EnvironmentStore(_ENVIRONMENTS, SystemClock())
        with coordinating(running, environments, lease_seconds=_LEASE) as coordinator:
            for name in ("one", "two"):
                runner = running.runner(name)
                runner.enroll(coordinator.ledger)
                runner.start()
            runs = _quiet(part, coordinator)
            runs += _troubled(part, coordinator, running, chance=chance, events=events, seconds=seconds)
            accepted = [coordinator.ledger.run_orders.accepted(each.key.key_id, _EVER) for each in running.runners]
            part.figures["runs asked for, answers accepted"] = f"{runs}, {sum(map(len, accepted))}"
            if runs != sum(map(len, accepted)):
                part.violations.append("a run was accepted twice, or not at all")
            part.violations += [f"an alarm was raised: {each.sentence}" for each in coordinator.ledger.alarms()]
    return part


_EVER = datetime(2000, 1, 1, tzinfo=UTC)


def _quiet(part: Part, coordinator: Coordinator) -> int:
    """What one run costs the coordinator; the first ones are for the runners to take the environment in."""
    for number in range(4):
        coordinator.run(coordinator.order(f"sleep 2; echo warm {number} > /out/x"))
    begun, used = time.monotonic(), time.process_time()
    for number in range(_QUIET):
        coordinator.run(coordinator.order(f"echo quiet {number} > /out/x"))
    milliseconds = (time.process_time() - used) / _QUIET * 1000
    part.figures["coordinator's processor for one run"] = f"{milliseconds:.1f} ms"
    part.figures["one run after the other"] = f"{(time.monotonic() - begun) / _QUIET * 1000:.0f} ms"
    if milliseconds > _MOST_MILLISECONDS:
        part.violations.append(f"a run costs {milliseconds:.1f} ms of the coordinator's processor")
    return 4 + _QUIET


def _troubled(
    part: Part, coordinator: Coordinator, running: Servers, *, chance: random.Random, events: int, seconds: float
) -> int:
    deadline, done = time.monotonic() + seconds, 0
    worst: dict[str, float] = {}

    def kill() -> None:
        until(coordinator.begun)
        next(each for each in running.runners if each.key.key_id == coordinator.begun()).kill()

    def wipe() -> None:
        until(coordinator.orders)
        running.redis.wipe()

    def broker() -> None:
        until(coordinator.orders)
        running.redis.stop()
        running.redis.start()

    def store() -> None:
        until(coordinator.begun)
        running.s3.stop()
        running.s3.start()

    kinds: dict[str, Callable[[], None]] = {
        "a runner killed": kill,
        "the broker wiped": wipe,
        "the broker killed": broker,
        "the S3 store killed": store,
    }
    while done < events and time.monotonic() < deadline:
        name = chance.choice(list(kinds))
        with coordinator.waiting(f"sleep {_BUILD}; echo {done} > /out/x") as found:
            kinds[name]()
            since = time.monotonic()
        worst[name] = max(worst.get(name, 0.0), time.monotonic() - since - _BUILD)
        if coordinator.blobs.read(found[0].outputs[0].sha256) != f"{done}\n".encode():
            part.violations.append(f"after {name} the run gave something else")
        done += 1
        part.say(f"{done}: {name}, {worst[name]:.1f} s at most beyond the build")
        for each in running.runners:
            if each.process is None:
                each.start()
    for name, value in worst.items():
        part.figures[f"{name}: recovered within"] = f"{value:.1f} s beyond the build; the lease is {_LEASE:.0f} s"
        if value > 1.5 * _LEASE:
            part.violations.append(f"{name}: it took {value:.1f} s beyond the build")
    part.figures["events"] = f"{done}"
    return done
