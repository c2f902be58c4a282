"""A fleet as it is run: Redis, SeaweedFS and runners as processes of their own, each with a directory of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rebuilder.clock import SystemClock
from rebuilder.compare.comparer import Comparer
from rebuilder.environments.store import EnvironmentStore
from rebuilder.fleet import objects
from rebuilder.fleet.from_settings import fleet
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition, EnvironmentRef
from rebuilder.model.fleet import EnrolledRunner, RunnerState
from rebuilder.model.settings import FleetSettings
from rebuilder.sandbox.protocol import Runner
from rebuilder.signing.keys import Algorithm, FileKey
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.object_storage import ObjectStorage
from tests.fakes.clock import FixedClock
from tests.fakes.command import PROGRAM, Installation
from tests.fakes.ledgers import open_ledger
from tests.fakes.processes import family, until
from tests.fakes.programs import InProcessPrograms
from tests.fakes.rabbitmq import RabbitMQ
from tests.fakes.s3_server import BUCKET, Seaweed, credentials, free_ports
from tests.fakes.sandbox import command, definition

HELD = "sleep 1000 || true"
"""A command of a build that goes on when :meth:`RunnerProcess.let_go` lets it."""


class Redis:
    """A server that keeps nothing on a disk."""

    def __init__(self) -> None:
        self._program = shutil.which("redis-server")
        assert self._program is not None, "Redis is not installed; run `apt-get install redis-server`."
        self.directory = Path(tempfile.mkdtemp(prefix="rebuilder-redis-"))
        [self.port] = free_ports(1)
        self.start()

    @property
    def url(self) -> str:
        """As Celery writes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": self.directory}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        log = self.directory / "log"
        self._server = subprocess.Popen([str(self._program), *words, "--logfile", str(log)], stdin=subprocess.DEVNULL)
        until(self._answers)

    def stop(self) -> None:
        """Kill it: all that it knew is gone."""
        self._server.kill()
        self._server.wait()

    def wipe(self) -> None:
        """Forget all that is queued and what is unacknowledged."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            assert b"+OK" in connection.recv(100)

    def close(self) -> None:
        """Stop it for good."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False


@dataclass
class RunnerProcess:
    """``rebuilder worker --broker …`` in a directory of its own, in a session of its own."""

    name: str
    directory: Path
    broker: str
    blobs: str
    environment: dict[str, str]
    through: tuple[str, ...] = ()
    """A program that starts it, such as for another user."""

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True)
        self._key = self.directory / "key" / "runner.pem"
        self.key = FileKey.open(self._key, Algorithm.ED25519, store=self.store)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def store(self) -> Path:
        """Its cached blobs and build environments."""
        return self.directory / "store"

    @property
    def log(self) -> Path:
        """What it said."""
        return self.directory / "log"

    def enroll(self, ledger: Ledger) -> None:
        """Let its answers count."""
        now = FixedClock().now()
        public = self.key.public_pem.decode()
        runner = EnrolledRunner(
            id=self.key.key_id, name=self.name, public_key=public, state=RunnerState.ACTIVE, enrolled=now, changed=now
        )
        ledger.runners.enroll(runner)

    def start(self) -> None:
        """Start it; it takes orders as soon as it is ready."""
        command = [PROGRAM, "worker", "--broker", self.broker, "--blobs", self.blobs, "--runner-key", self._key]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.through, *map(str, command), "--store", str(self.store)],
                env=self.environment | {"HOME": str(self.directory), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """As when the machine loses its power."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def let_go(self) -> None:
        """Wait until a build of it is at :data:`HELD`, and let that go on."""

        def held() -> list[int]:
            pids = family(self.process.pid) if self.process is not None else []
            return [each for each in pids if command(each) == b"sleep\x001000\x00"]

        until(held, "no build of it waits")
        for each in held():
            os.kill(each, signal.SIGKILL)

    def stop(self) -> int:
        """End it in good order; gives its exit code."""
        assert self.process is not None
        self.process.terminate()
        code = self.process.wait(timeout=300)
        self.process = None
        return code


@dataclass(frozen=True)
class FleetInstallation(Installation):
    """An installation whose builds run on a fleet, which its settings ``fleet.toml`` name."""

    endpoint: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """With the credentials of the S3 store, and settings."""
        return super().environment | credentials(self.endpoint) | {"REBUILDER_CONFIG": str(self.root / "fleet.toml")}


@dataclass
class Servers:
    """A broker, an S3 store, and any number of runners."""

    directory: Path
    broker: Redis | RabbitMQ
    s3: Seaweed
    runners: list[RunnerProcess] = field(default_factory=list)

    @property
    def endpoint(self) -> str:
        """Of the S3 store."""
        return self.s3.endpoint

    @property
    def blobs(self) -> str:
        """Where the fleet shares its blobs."""
        return f"s3://{BUCKET}/{self.directory.name}"

    def runner(self, name: str) -> RunnerProcess:
        """One more machine."""
        made = RunnerProcess(
            name, self.directory / name, self.broker.url, self.blobs, environment=credentials(self.endpoint)
        )
        self.runners.append(made)
        return made


@contextmanager
def servers(directory: Path, kind: type[Redis | RabbitMQ] = Redis) -> Iterator[Servers]:
    """Both servers; they and all runners are gone afterwards."""
    with ExitStack() as stack:
        broker = kind()
        stack.callback(broker.close)
        s3 = Seaweed()
        stack.callback(s3.close)
        made = Servers(directory, broker, s3)
        try:
            yield made
        finally:
            for each in made.runners:
                each.kill()


@dataclass
class Coordinator:
    """Asks a fleet for runs, in threads."""

    run: Runner
    ledger: Ledger
    blobs: DiskBlobs
    storage: ObjectStorage
    environment: EnvironmentRef

    def order(self, script: str) -> BuildDefinition:
        """A definition that runs a script."""
        return definition(("/bin/sh", "-e", "-c", script), toolchain=self.environment)

    @contextmanager
    def waiting(self, script: str) -> Iterator[list[Run]]:
        """Wait for a run meanwhile; it is in the list at the end."""
        found: list[Run] = []
        thread = threading.Thread(target=lambda: found.append(self.run(self.order(script))))
        thread.start()
        yield found
        thread.join(timeout=600)
        assert found, "no run came"

    def begun(self) -> str | None:
        """Id of the runner that is at an order."""
        names = self.storage.below("answers", 100)
        return next((name.split("/")[1].removesuffix(objects.BEGUN) for name in names if "begun" in name), None)

    def orders(self) -> bool:
        """Whether an order was sent."""
        return bool(self.storage.below("orders", 1))


@contextmanager
def coordinating(running: Servers, environments: EnvironmentStore, *, lease_seconds: float) -> Iterator[Coordinator]:
    """One with a ledger of its own; the credentials of the S3 store are in the environment already."""
    directory = running.directory
    settings = FleetSettings(
        broker=running.broker.url, blobs=running.blobs, lease_seconds=lease_seconds, double_runs=0.0
    )

    def here(_: BuildDefinition) -> Run:
        raise AssertionError("nothing runs here")

    with open_ledger(directory / "ledger.sqlite") as ledger:
        blobs = DiskBlobs(directory / "blobs")
        with fleet(
            settings,
            ledger=ledger,
            blobs=blobs,
            environments=environments,
            here=here,
            comparer=Comparer(blobs, InProcessPrograms(blobs)),
            clock=SystemClock(),
            store=directory,
            most_bytes=1 << 20,
        ) as run:
            trixie = environments.get("trixie")
            reference = EnvironmentRef(name=trixie.name, sha256=trixie.sha256)
            yield Coordinator(run, ledger, blobs, ObjectStorage.open(running.blobs), reference)
