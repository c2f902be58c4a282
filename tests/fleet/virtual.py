"""Runners without machines: they take orders from the real broker and sign answers; a build is a moment of waiting."""

from __future__ import annotations

import base64
import heapq
import json
import random
import threading
import time
from datetime import UTC, datetime
from itertools import count

import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kombu import Connection, Consumer

from rebuilder.fleet import broker, objects
from rebuilder.model.attempt import Outcome, Output, Run
from rebuilder.model.fleet import Answer, EnrolledRunner, RunnerState, own_queue
from rebuilder.model.value import sha256_hex
from rebuilder.signing.keys import FileKey
from rebuilder.signing.runner_key import sign_answer
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import key_of, outputs_of

_LOOK_SECONDS = 0.05
_NAMED_SECONDS = 1.0


class VirtualRunners:
    """Any number of runners in one thread.

    Args:
        number: How many.
        address: Of the broker.
        storage: What the fleet shares.
        queue: Their queue.
        seconds: What a build takes on average.
    """

    def __init__(self, number: int, address: str, storage: ObjectStorage, queue: str, seconds: float) -> None:
        self._keys = [FileKey(Ed25519PrivateKey.generate()) for _ in range(number)]
        self._address, self._storage, self._queue, self._seconds = address, storage, queue, seconds
        self._random = random.Random(1)  # noqa: S311 - no secret
        self._free = list(range(number))
        self._building: list[tuple[float, int, int, str, str]] = []
        self._order = count()
        self._ended = threading.Event()
        self.asleep = threading.Event()
        """While it is set they take nothing."""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.answered = [0] * number
        self.most_building = 0
        self.cpu_seconds = 0.0

    def enrolments(self) -> list[EnrolledRunner]:
        """All of them, active."""
        now = datetime.now(UTC)
        return [
            EnrolledRunner(
                id=key.key_id,
                name=f"v{number}",
                public_key=key.public_pem.decode(),
                state=RunnerState.ACTIVE,
                enrolled=now,
                changed=now,
            )
            for number, key in enumerate(self._keys)
        ]

    def start(self) -> None:
        """Begin to take orders."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more; what is being built is lost."""
        self._ended.set()
        self._thread.join(timeout=30)

    def _work(self) -> None:
        named, looked = redis.Redis.from_url(self._address), time.monotonic()
        options = broker.make_app(self._address).conf.broker_transport_options
        with Connection(self._address, transport_options=options) as link:
            queues = broker.queues([self._queue], self._address)
            consumer = Consumer(link, queues, accept=["json"], callbacks=[self._taken], no_ack=True)
            consumer.qos(prefetch_count=len(self._keys))
            with consumer:
                while not self._ended.is_set():
                    self._finish()
                    if self.asleep.wait(0):
                        time.sleep(_LOOK_SECONDS)
                        continue
                    if time.monotonic() - looked > _NAMED_SECONDS:
                        self._take_named(named)
                        looked = time.monotonic()
                    try:
                        link.drain_events(timeout=_LOOK_SECONDS)
                    except TimeoutError:
                        continue
                    except (OSError, link.connection_errors):
                        time.sleep(_LOOK_SECONDS)
        self.cpu_seconds = time.thread_time()

    def _take_named(self, server: redis.Redis) -> None:
        """Orders to one runner by name: a queue each, too many to listen to all of them."""
        own = {own_queue(self._queue, key.key_id): number for number, key in enumerate(self._keys)}
        for name in server.scan_iter(f"{self._queue}.*", count=1000):
            while (found := server.rpop(name)) is not None:
                assert isinstance(found, bytes)
                body = json.loads(base64.b64decode(json.loads(found)["body"]))
                self._begin(own[name.decode().partition("\x06")[0]], *body[0])

    def _taken(self, body: object, _message: object) -> None:
        assert isinstance(body, list)
        number = self._free.pop(self._random.randrange(len(self._free))) if self._free else 0
        self._begin(number, *body[0])

    def _begin(self, number: int, nonce: str, definition: str) -> None:
        done = time.monotonic() + self._random.expovariate(1 / self._seconds)
        heapq.heappush(self._building, (done, next(self._order), number, nonce, definition))
        self.most_building = max(self.most_building, len(self._building))

    def _finish(self) -> None:
        while self._building and self._building[0][0] <= time.monotonic():
            _, _, number, nonce, definition = heapq.heappop(self._building)
            self._answer(number, nonce, definition)
            self._free.append(number)

    def _answer(self, number: int, nonce: str, definition: str) -> None:
        key = self._keys[number]
        content, log = b"built " + definition.encode(), b"a log\n"
        for each in (content, log):
            self._storage.put(key_of(outputs_of(key.key_id), sha256_hex(each)), each)
        run = Run(
            outcome=Outcome.COMPLETED,
            exit_code=0,
            outputs=(Output(filename="example", sha256=sha256_hex(content), size=len(content)),),
            log_sha256=sha256_hex(log),
            wall_seconds=self._seconds,
            cpu_seconds=self._seconds,
            peak_memory_bytes=1 << 20,
            sandbox_version="bubblewrap 0.8.0",
            started=datetime.now(UTC),
        )
        answer = Answer(nonce=nonce, definition=definition, runner=key.key_id, run=run, log_bytes=len(log))
        self._storage.put(f"{objects.answers(nonce)}/{key.key_id}{objects.ANSWER}", sign_answer(answer, key).encode())
        self.answered[number] += 1
