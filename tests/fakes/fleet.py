"""A fleet in one process: a broker in memory, runners that work when the coordinator waits, and one that lies.

Nothing sleeps: while the coordinator waits for an answer, time goes on and each runner takes the next order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from obstore.store import MemoryStore

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.environments.store import EnvironmentStore
from rebuilder.fleet import objects
from rebuilder.fleet.ordering import FleetRunner
from rebuilder.fleet.running import OrderedRun
from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import Answer, EnrolledRunner, RunnerState, own_queue, queue_of
from rebuilder.model.settings import FleetSettings
from rebuilder.model.value import sha256_hex
from rebuilder.signing.keys import FileKey
from rebuilder.signing.runner_key import sign_answer
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.protocol import Blobs
from rebuilder.store.remote_blobs import RemoteBlobs, outputs_of
from tests.fakes.clock import FixedClock
from tests.fakes.environments import FakeEnvironments
from tests.fakes.ledgers import open_ledger
from tests.fakes.sandbox import definition

BUILD = definition(("make",))
QUEUE = queue_of(BUILD)
Message = tuple[str, str]
"""Nonce, and digest of the definition."""


class MemoryBroker:
    """Implements :class:`rebuilder.fleet.ordering.Broker`; forgets all when a test says so."""

    def __init__(self) -> None:
        self.queues: dict[str, list[Message]] = {}
        self.sent = 0

    def send(self, queue: str, nonce: str, definition_sha256: str, rank: int) -> None:
        """Put an order into a queue."""
        self.sent += 1
        self.queues.setdefault(queue, []).append((nonce, definition_sha256))

    def waiting(self, queue: str) -> int:
        """How many wait."""
        return len(self.queues.get(queue, ()))

    def take(self, *queues: str) -> Message | None:
        """The next order of one of these queues."""
        return next((self.queues[each].pop(0) for each in queues if self.queues.get(each)), None)


def built(
    blobs: Blobs,
    content: bytes = b"built",
    *,
    name: str = "example",
    log: bytes = b"a log\n",
    outcome: Outcome = Outcome.COMPLETED,
) -> Run:
    """The run of a build that leaves one file."""
    outputs = (Output(filename=name, sha256=blobs.put(content), size=len(content)),)
    completed = outcome is Outcome.COMPLETED
    return Run(
        outcome=outcome,
        exit_code=0 if completed else 1,
        outputs=outputs if completed else (),
        log_sha256=blobs.put(log),
        wall_seconds=1.5,
        cpu_seconds=1.0,
        peak_memory_bytes=1 << 20,
        sandbox_version="bubblewrap 0.8.0",
        started=FixedClock().now(),
    )


class AnyEnvironment(FakeEnvironments):
    """Has whatever is asked for."""

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """The same one each time."""
        return self.get("trixie")


@dataclass
class Machine:
    """A runner: it builds honestly what ``build`` says."""

    name: str
    broker: MemoryBroker
    storage: ObjectStorage
    directory: Path
    build: Callable[[BuildDefinition, Blobs], Run] = lambda _, blobs: built(blobs)
    alive: bool = True
    ran: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key = FileKey(Ed25519PrivateKey.generate())
        self.blobs = RemoteBlobs(
            DiskBlobs(self.directory), self.storage, writes=outputs_of(self.key.key_id), most_bytes=1 << 20
        )
        self.run = OrderedRun(
            lambda asked: self.build(asked, self.blobs),
            AnyEnvironment(self.directory / "environments"),
            self.blobs,
            self.storage,
            self.key,
        )

    @property
    def enrolment(self) -> EnrolledRunner:
        """As the ledger is to know it."""
        now = FixedClock().now()
        return EnrolledRunner(
            id=self.key.key_id,
            name=self.name,
            public_key=self.key.public_pem.decode(),
            state=RunnerState.ACTIVE,
            enrolled=now,
            changed=now,
        )

    def take(self) -> Message | None:
        """The next order for it."""
        return self.broker.take(own_queue(QUEUE, self.key.key_id), QUEUE) if self.alive else None

    def work(self) -> None:
        """Take an order and answer it."""
        if (message := self.take()) is not None:
            self.ran.append(message)
            self.answer(*message)

    def answer(self, nonce: str, definition_sha256: str) -> None:
        """What it does with an order."""
        self.run(nonce, definition_sha256)

    def put_answer(self, nonce: str, answer: Answer, *, key: FileKey | None = None, name: str | None = None) -> None:
        """Put an answer into the store, signed by any key and under any name."""
        place = f"{objects.answers(nonce)}/{name or self.key.key_id}{objects.ANSWER}"
        self.storage.put(place, sign_answer(answer, key or self.key).encode())


@dataclass
class Liar(Machine):
    """A runner that does with orders what a test says."""

    lie: Callable[[Liar, str, str], None] = lambda _liar, _nonce, _definition: None

    def answer(self, nonce: str, definition_sha256: str) -> None:
        """Lie."""
        self.lie(self, nonce, definition_sha256)

    def honest(self, nonce: str, definition_sha256: str) -> Answer:
        """What an honest runner would have said."""
        run = self.build(BUILD, self.blobs)
        size = self.blobs.path(run.log_sha256).stat().st_size
        return Answer(nonce=nonce, definition=definition_sha256, runner=self.key.key_id, run=run, log_bytes=size)


@dataclass
class World:
    """A coordinator with its ledger, and what it shares with runners."""

    directory: Path
    ledger: Ledger
    storage: ObjectStorage
    broker: MemoryBroker
    machines: list[Machine] = field(default_factory=list)
    time: float = 0.0
    between: list[Callable[[], object]] = field(default_factory=list)
    """What happens in the moments of waiting, one each, before the runners work."""

    def __post_init__(self) -> None:
        self.clock = FixedClock()
        self.blobs = DiskBlobs(self.directory / "blobs")
        self.fleet = self.coordinator("fleet/first")

    def coordinator(self, owner: str) -> FleetRunner:
        """One more process that asks for runs."""
        return FleetRunner(
            ledger=self.ledger,
            blobs=RemoteBlobs(self.blobs, self.storage, most_bytes=1 << 20),
            storage=self.storage,
            environments=EnvironmentStore(self.directory / "toolchains", self.clock),
            broker=self.broker,
            clock=self.clock,
            settings=FleetSettings(patience_seconds=900.0),
            owner=owner,
            scratch=self.directory / "scratch",
            pause=self.pause,
            monotonic=lambda: self.time,
        )

    def pause(self, seconds: float) -> None:
        """While the coordinator waits, the others work."""
        self.time += max(seconds, 10.0)
        if self.between:
            self.between.pop(0)()
        for machine in self.machines:
            machine.work()

    def add(self, machine: type[Machine], name: str, *, enrolled: bool = True, **how: Any) -> Machine:
        """A machine of this fleet."""
        made = machine(name, self.broker, self.storage, self.directory / name, **how)
        if enrolled:
            self.ledger.runners.enroll(made.enrolment)
        self.machines.append(made)
        return made

    def later(self, what: Callable[[], object], *, moments: int = 2) -> None:
        """Let something happen after so many looks for an answer."""
        self.between += [*[lambda: None] * moments, what]

    def state(self, machine: Machine) -> RunnerState:
        """Whether answers of a runner count."""
        return self.ledger.runners.named(machine.name).state

    def alarms(self) -> list[str]:
        """Kinds of the alarms that are open."""
        return sorted(each.kind.value for each in self.ledger.alarms())


@contextmanager
def world(directory: Path) -> Iterator[World]:
    """A fleet without runners."""
    with ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(directory / "ledger.sqlite"))
        storage = ObjectStorage(MemoryStore(), "memory")
        storage.put(objects.environment(BUILD.toolchain.sha256), b"an export")
        yield World(directory, ledger, storage, MemoryBroker())


OTHER = sha256_hex(b"another definition")
