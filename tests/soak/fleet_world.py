"""A service whose builds run on a fleet, over many small releases, and what can be seen of its orders."""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import tempfile
import time
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from rebuilder.errors import RebuilderError
from rebuilder.fleet import objects, ordering
from rebuilder.store.ledger import Ledger, tables
from rebuilder.store.object_storage import ObjectStorage
from tests.fakes.fleet_servers import FleetInstallation, RunnerProcess, Servers
from tests.fakes.registry import Registry
from tests.soak.figures import Part
from tests.soak.processes import children
from tests.soak.rounds import Round
from tests.soak.world import install

LEASE = 15.0
"""Seconds; the default is a minute."""
_MOST_LEASES = 1.5
"""From an event until what was under way is done elsewhere, beside its build."""
_SETTLING = 420
"""Seconds without any further verdict after which what has none yet counts as lost."""

_ORDER = tables.run_order.c


@dataclass(kw_only=True)
class FleetRound(Round):
    """One store whose builds run on a fleet."""

    running: Servers
    machines: Sequence[RunnerProcess]
    lease: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ledger = Ledger.open(self.place)
        self.storage = ObjectStorage.open(self.running.blobs)
        self.recoveries: list[tuple[str, datetime, set[str]]] = []
        """Name of an event, when it was over, and the definitions that were under way."""
        self._first_seen: dict[str, float] = {}
        self._dead: set[str] = set()
        """Signs of life of those who were killed since; they stay until the order is closed."""

    def missing(self) -> set[str]:
        """Files without a verdict."""
        try:
            return self.expected.keys() - {each.filename for each in self.ledger.latest()}
        except RebuilderError:  # the database is away
            return set(self.expected)

    def done(self) -> int:
        """How many files have a verdict."""
        return len(self.expected) - len(self.missing())

    def open(self) -> dict[str, str]:
        """Definitions by the nonces of open orders."""
        with self.ledger._database.reading() as connection:
            rows = connection.execute(select(_ORDER.nonce, _ORDER.definition_sha256).where(_ORDER.runner_id.is_(None)))
            return dict(rows.tuples().all())

    def building(self, *, for_seconds: float = 0.0) -> dict[str, set[str]]:
        """Definitions that runners build just now, by runner; those that it has been seen at for some time."""
        said = self.storage.below("answers", 1000)
        self._first_seen = {each: self._first_seen.get(each, time.monotonic()) for each in said}
        found: dict[str, set[str]] = {}
        open_now = self.open()
        for each, since in self._first_seen.items():
            nonce, name = each.split("/")
            if not name.endswith(objects.BEGUN) or nonce not in open_now or each in self._dead:
                continue
            runner = name.removesuffix(objects.BEGUN)
            if f"{nonce}/{runner}{objects.ANSWER}" not in said and time.monotonic() - since >= for_seconds:
                found.setdefault(runner, set()).add(open_now[nonce])
        return found

    def killed(self, runner: str) -> None:
        """What it was at it will not go on with."""
        self._dead |= {each for each in self.storage.below("answers", 1000) if each.endswith(runner + objects.BEGUN)}

    def happened(self, event: str, definitions: set[str]) -> None:
        """Remember what was under way when something bad was over."""
        self.events[event] += 1
        self.recoveries.append((event, datetime.now(UTC), definitions))
        self.part.say(f"{event}; {self.done()} of {len(self.expected)} are done")

    def recover(self) -> None:
        """Let all be done that was under way at the last event, before there is another one."""
        _, since, definitions = self.recoveries[-1]
        deadline = time.monotonic() + 6 * self.lease
        while definitions and time.monotonic() < deadline:
            with suppress(RebuilderError):
                answered = {each for each, _, moment, _ in self.accepted() if moment >= since}
                definitions = definitions & set(self.open().values()) - answered
            time.sleep(0.5)

    def wait(self, done: int, *, within: float | None = None) -> bool:
        """Wait until so many files have a verdict; whether they have. Without a time, as long as there are more."""
        began, last, most = time.monotonic(), time.monotonic(), -1
        while (now := self.done()) < done:
            if now > most:
                last, most = time.monotonic(), now
            if time.monotonic() - (last if within is None else began) > (within or _SETTLING):
                return False
            for each in self.machines:
                if each.process is not None and (code := each.process.poll()) is not None:
                    self.part.violations.append(f"The runner {each.name} ended with {code}: {_end(each.log)}")
                    each.start()
            time.sleep(0.3)
        return True

    def settle(self) -> None:
        """Nothing is asked for by hand: what went wrong is tried again by itself."""
        if not self.wait(len(self.expected)):
            self.part.violations.append(f"Without a verdict: {sorted(self.missing())[:10]}")

    def end(self) -> None:
        """Stop all, look at what there is, and how long things took."""
        for each in self.machines:
            each.kill()
        self._judge_recoveries()
        alarms = [each.sentence for each in self.ledger.alarms() if each.kind.value.startswith("runner")]
        self.part.violations += [f"An alarm about a runner that did nothing wrong: {each}" for each in alarms]
        self.ledger.close()
        self.known |= set(children(os.getpid())) - {self.service.process.pid} - set(self._left())
        super().end()

    def _left(self) -> Iterator[int]:
        """Children that are neither servers nor the service: what runners left."""
        for each in children(os.getpid()):
            words = Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")
            if any(word in {b"worker", b"bwrap"} for word in words):
                yield each

    def accepted(self) -> list[tuple[str, str, datetime, float]]:
        """Definition, runner, moment and seconds of the build of each answer that counts."""
        with self.ledger._database.reading() as connection:
            columns = (_ORDER.definition_sha256, _ORDER.runner_id, _ORDER.answered, _ORDER.envelope)
            rows = connection.execute(select(*columns).where(_ORDER.runner_id.is_not(None))).all()
        return [(one, two, three, _seconds(envelope)) for one, two, three, envelope in rows]

    def _judge_recoveries(self) -> None:
        """How long it took until all was done that was under way, beside its builds."""
        accepted, most = self.accepted(), _MOST_LEASES * self.lease
        took: dict[str, list[float]] = defaultdict(list)
        struck = Counter(each for _, _, definitions in self.recoveries for each in definitions)
        if put_back := [each for each, times in struck.items() if times >= ordering._MOST_ORDERS]:
            self.part.figures["struck so often that they are put back for a minute"] = str(len(put_back))
        for number, (event, since, definitions) in enumerate(self.recoveries):
            for definition in definitions:
                moments = sorted((moment, seconds) for each, _, moment, seconds in accepted if each == definition)
                done = next((each for each in moments if each[0] >= since), None)
                if done is None:  # it was just done
                    continue
                if definition in put_back:
                    continue
                if any(definition in also and again < done[0] for _, again, also in self.recoveries[number + 1 :]):
                    continue  # it was struck once more
                took[event].append(max(0.0, (done[0] - since).total_seconds() - done[1]))
        for event, seconds in took.items():
            middle, worst = statistics.median(seconds), max(seconds)
            self.part.figures[f"{event}: back within, most and median"] = f"{worst:.1f} s, {middle:.1f} s of {most:g} s"
            if worst > most:
                self.part.violations.append(f"{event}: it took {worst:.1f} s beside the build.")
        for each in self.machines:
            number = sum(1 for _, runner, _, _ in accepted if runner == each.key.key_id)
            self.part.figures[f"builds of {each.name}"] = str(number)
            if not number:
                self.part.violations.append(f"The runner {each.name} did nothing.")


@contextmanager
def fleet_round(
    part: Part,
    registry: Registry,
    expected: dict[str, str],
    running: Servers,
    machines: Sequence[RunnerProcess],
    *,
    seed: int = 1,
    ledger: str | None = None,
    workers: int | None = None,
    double_runs: float = 0.0,
    lease: float = LEASE,
) -> Iterator[FleetRound]:
    """A service that watches what was published; its runners are enrolled and started.

    The credentials of the S3 store are in the environment already.
    """
    root = Path(tempfile.mkdtemp(prefix="rebuilder-soak-"))
    made = install(root, registry, len(expected), ledger=ledger)
    installation = FleetInstallation(made.root, made.index_url, running.endpoint)
    settings = root / "rebuilder.toml"
    settings.write_text(
        settings.read_text().replace("workers = 2", f"workers = {workers or len(machines) + 2}")
        + f'\n[fleet]\nbroker = "{running.broker.url}"\nblobs = "{running.blobs}"\n'
        + f"lease_seconds = {lease}\ndouble_runs = {double_runs}\n"
    )
    place: str | Path = ledger or installation.store / "ledger.sqlite"
    with Ledger.open(place) as opened:
        for each in machines:
            each.enroll(opened)
            each.start()
    one = FleetRound(
        part,
        registry,
        root,
        place,
        installation,
        expected,
        random.Random(seed),  # noqa: S311 - which event comes next
        set(children(os.getpid())),
        running=running,
        machines=machines,
        lease=lease,
    )
    try:
        one.service.address(within=180)
        yield one
    finally:
        one.service.kill()
        for each in machines:
            each.kill()
        if part.violations:
            part.say(f"what the service said is in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


def _seconds(envelope: str) -> float:
    return float(json.loads(b64decode(json.loads(envelope)["payload"]))["run"]["wall_seconds"])


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-600:]
