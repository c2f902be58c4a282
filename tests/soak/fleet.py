"""A whole service with a fleet: the verdicts of one machine, whatever happens to runners, broker, stores and ledger.

Every part ends with the same questions: has each file the verdict it has to get, once; is the site whole; did any
runner come under suspicion; and how long did it take until what was under way was done elsewhere.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from rebuilder.store.ledger import Ledger, tables
from tests.fakes.fleet_servers import Redis, RunnerProcess, Servers, servers
from tests.fakes.postgres import Postgres
from tests.fakes.rabbitmq import RabbitMQ
from tests.fakes.registry import Registry
from tests.fakes.s3_server import credentials
from tests.soak.figures import Part
from tests.soak.fleet_world import LEASE, FleetRound, fleet_round
from tests.soak.machines import ROOT, FullDisk, builders_of, machine
from tests.soak.processes import children, kill
from tests.soak.rounds import Round
from tests.soak.s3_tap import Tap
from tests.soak.world import install, publish

_NAMES = ("north", "south", "east", "west")
_BUILD = 2.0
"""Seconds of a build, where one is to be interrupted."""
_AWAY = 60.0
"""Seconds for which PostgreSQL is stopped."""
_FULL = 20.0
"""Seconds for which a disk is full."""
_Results = dict[str, tuple[str, dict[str, str]]]


def verdicts(number: int, seed: int) -> Part:
    """So many files on one machine, then with two runners, then with four: verdicts and digests are the same."""
    part = Part("fleet, verdicts")
    with Registry() as registry, _servers() as running:
        expected = publish(registry, number, varied=True)
        part.figures["files"] = f"{number}: " + ", ".join(f"{n} {v}" for v, n in Counter(expected.values()).items())
        part.figures["runners have users of their own"] = "yes" if ROOT else "no: not root"
        alone = _alone(part, registry, expected)
        machines = [machine(running, name) for name in _NAMES]
        for count in (2, 4):
            with fleet_round(part, registry, expected, running, machines[:count], seed=seed, double_runs=0.05) as one:
                began = time.monotonic()
                one.settle()
                part.figures[f"seconds with {count} runners"] = f"{time.monotonic() - began:.0f}"
                found = _results(one.place)
                one.end()
            _same(part, alone, found, f"{count} runners")
    return part


def kills(number: int, events: int, seed: int) -> Part:
    """SIGKILL of a runner in the middle of a build: of all its processes, of the first one, of the one that builds."""
    part = Part("fleet, kills")
    with Registry() as registry, _servers() as running:
        expected = publish(registry, number, seconds=_BUILD, varied=True)
        machines = [machine(running, name) for name in _NAMES]
        with fleet_round(part, registry, expected, running, machines, seed=seed) as one:
            one.wait(4)  # by then all have the build environment
            for event in range(events):
                _kill_one(one)
                one.wait(4 + (number - 8) * event // events)
            one.settle()
            one.end()
        part.figures["kills, files"] = f"{sum(one.events[each] for each in _KILLS)}, {number}"
    return part


def trouble(number: int, seed: int) -> Part:
    """The broker killed and wiped, the S3 store killed during an upload, PostgreSQL away, a full disk, wrong clocks."""
    part = Part("fleet, trouble")
    with Registry() as registry, _servers() as running, Postgres() as postgres, Tap(running.s3) as tap:
        expected = publish(registry, number, seconds=_BUILD, varied=True)
        machines = [
            machine(running, "small-disk", disk="1g" if ROOT else ""),
            machine(running, "a-day-late", days_off=-1),
            machine(running, "a-day-early", days_off=1),
            machine(running, "tapped"),
        ]
        machines[3].environment["AWS_ENDPOINT_URL"] = tap.endpoint
        began = time.time()
        url = postgres.url(postgres.create())
        with fleet_round(part, registry, expected, running, machines, seed=seed, ledger=url) as one:
            events: list[Callable[[], None]] = [
                *([lambda: _disk_full(one, machines[0])] if ROOT else []),
                lambda: _broker_restarted(one),
                lambda: _broker_wiped(one),
                lambda: _store_killed(one, tap),
                lambda: _ledger_away(one, postgres),
            ]
            one.wait(6)
            for event, happen in enumerate(events):
                happen()
                one.recover()
                one.wait(6 + (number - 12) * (event + 1) // len(events))
            one.settle()
            part.violations += _wrong_times(one, began)
            one.end()
        if not ROOT:
            part.violations.append("A small disk is mounted for this part: run it as root.")
    return part


def rabbitmq(number: int, seed: int) -> Part:
    """With RabbitMQ, which is killed once; it takes its time to start, and runners look for it ever more rarely."""
    part = Part("fleet, RabbitMQ")
    with Registry() as registry, _servers(RabbitMQ) as running:
        expected = publish(registry, number, seconds=_BUILD, varied=True)
        machines = [machine(running, name) for name in _NAMES[:2]]
        with fleet_round(part, registry, expected, running, machines, seed=seed, lease=2 * LEASE) as one:
            one.wait(number // 3)
            _broker_restarted(one)
            one.settle()
            one.end()
        part.figures["files"] = str(number)
    return part


_KILLS = ("a machine killed", "a runner's first process killed", "a building process killed")


def _kill_one(one: FleetRound) -> None:
    """Kill one that is at a build for a second, and start it again."""
    ids = {each.key.key_id: each for each in one.machines}
    deadline = time.monotonic() + 60
    while not (found := {each: what for each, what in one.building(for_seconds=1.0).items() if each in ids}):
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
    chosen = one.chance.choice(sorted(found))
    victim, name = ids[chosen], one.chance.choices(_KILLS, (60, 20, 20))[0]
    builders = builders_of(victim)
    if name == _KILLS[2] and not builders:  # it is just being started
        name = _KILLS[0]
    struck = one.building().get(chosen, set()) | found[chosen]  # by now it may be at another one
    if name == _KILLS[0]:
        victim.kill()
        one.killed(chosen)
    elif name == _KILLS[1]:
        assert victim.process is not None
        victim.process.send_signal(signal.SIGKILL)
        victim.process.wait()
    else:
        for each in builders:
            kill(each)
    one.happened(name, struck)
    if name != _KILLS[2]:
        victim.start()


def _broker_restarted(one: FleetRound) -> None:
    under_way = set(one.open().values())
    one.running.broker.stop()
    one.running.broker.start()
    one.happened("the broker killed and started", under_way)


def _broker_wiped(one: FleetRound) -> None:
    assert isinstance(one.running.broker, Redis)
    under_way = set(one.open().values())
    one.running.broker.wipe()
    one.happened("the broker wiped", under_way)


def _store_killed(one: FleetRound, tap: Tap) -> None:
    """In the middle of the bytes of an output."""
    if not tap.interrupt(within=90):
        one.part.violations.append("No output was uploaded, so that this could not be interrupted.")
    under_way = set(one.open().values())
    time.sleep(5)
    one.running.s3.start()
    one.happened("the S3 store killed during an upload", under_way)


def _ledger_away(one: FleetRound, postgres: Postgres) -> None:
    under_way = set(one.open().values())
    postgres.stop("immediate")
    time.sleep(_AWAY)
    postgres.start()
    one.happened("PostgreSQL away for a minute", under_way)


def _disk_full(one: FleetRound, runner: RunnerProcess) -> None:
    """For a while it can build nothing; afterwards it goes on by itself."""
    disk = FullDisk(runner)
    disk.fill()
    under_way = one.building().get(runner.key.key_id, set())
    one.happened("the disk of a runner full", under_way)
    one.wait(len(one.expected), within=_FULL)
    disk.free()
    before = len([each for each in one.accepted() if each[1] == runner.key.key_id])
    freed, deadline = time.monotonic(), time.monotonic() + 90
    while len([each for each in one.accepted() if each[1] == runner.key.key_id]) == before:
        if time.monotonic() > deadline:
            one.part.violations.append("A runner whose disk had been full did not go on.")
            return
        time.sleep(0.5)
    one.part.figures["builds again after its disk had room"] = f"{time.monotonic() - freed:.1f} s"


def _wrong_times(one: FleetRound, began: float) -> Iterator[str]:
    """Builds that are said to have been at another time than they were."""
    with one.ledger._database.reading() as connection:
        started = connection.execute(select(tables.attempt.c.started)).scalars().all()
    wrong = [each for each in started if not began - 1 <= each.timestamp() <= time.time() + 1]
    one.part.figures["builds with a wrong time, of all"] = f"{len(wrong)} of {len(started)}"
    if wrong:
        yield f"Builds are said to have been at {wrong[:3]}."


def _alone(part: Part, registry: Registry, expected: dict[str, str]) -> _Results:
    """The same files on one machine."""
    root = Path(tempfile.mkdtemp(prefix="rebuilder-soak-"))
    installation = install(root, registry, len(expected))
    place = installation.store / "ledger.sqlite"
    chance = random.Random(0)  # noqa: S311 - not used
    one = Round(part, registry, root, place, installation, expected, chance, set(children(os.getpid())))
    try:
        began = time.monotonic()
        one.service.address(within=180)
        while one.missing() and time.monotonic() - began < 60 + 5 * len(expected):
            time.sleep(1)
        part.figures["seconds on one machine"] = f"{time.monotonic() - began:.0f}"
        found = _results(place)
        one.end()
    finally:
        one.service.kill()
        shutil.rmtree(root, ignore_errors=True)
    return found


def _results(place: str | Path) -> _Results:
    """Verdict of each file, and what each definition gave that was run for it."""
    attempt, artifact = tables.attempt.c, tables.artifact.c
    query = (
        select(artifact.filename, attempt.definition_sha256, attempt.outcome, attempt.rebuilt_sha256)
        .select_from(tables.attempt)
        .join(tables.verification, tables.verification.c.id == attempt.verification_id)
        .join(tables.artifact, artifact.id == tables.verification.c.artifact_id)
    )
    with Ledger.open(place) as ledger:
        found = {each.filename: each.verdict.value for each in ledger.latest()}
        with ledger._database.reading() as connection:
            gave: dict[str, dict[str, str]] = defaultdict(dict)
            for filename, definition, outcome, rebuilt in connection.execute(query):
                gave[filename][definition] = f"{outcome} {rebuilt}"
    return {filename: (verdict, gave[filename]) for filename, verdict in found.items()}


def _same(part: Part, alone: _Results, found: _Results, where: str) -> None:
    """Verdicts are the same; a definition that was run in both gave the same bytes in both, but for the time of day."""
    other = [each for each in alone if found.get(each, ("", {}))[0] != alone[each][0]]
    part.violations += [
        f"{each} is {found.get(each)} with {where}, and {alone[each]} on one machine." for each in other
    ]
    shared, unequal = 0, 0
    for filename, (_, here) in alone.items():
        there = found[filename][1] if filename in found else {}
        both = here.keys() & there.keys()
        shared += len(both)
        if not _of_the_day(filename):
            unequal += sum(1 for each in both if here[each] != there[each])
    part.figures[f"verdicts, results that differ with {where}"] = f"{len(other)} of {len(alone)}, {unequal} of {shared}"
    if unequal or not shared:
        part.violations.append(f"{unequal} of {shared} builds gave something else with {where}.")


def _of_the_day(filename: str) -> bool:
    """Whether its backend writes the time of day, which is another one each time."""
    return int(filename.split("-", maxsplit=1)[0].removeprefix("project")) % 10 == 5


@contextmanager
def _servers(kind: type[Redis | RabbitMQ] = Redis) -> Iterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="rebuilder-soak-fleet-") as directory:
        Path(directory).chmod(0o755)
        with servers(Path(directory), kind) as running:
            os.environ.update(credentials(running.endpoint))
            yield running
