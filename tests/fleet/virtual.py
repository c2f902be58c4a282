"""Runners without machines: they take orders from the real broker and sign answers; a build is a moment of waiting.

``python -m tests.fleet.virtual`` is told on its command line how many there are and where everything is. It writes who
they are into a file, works until SIGTERM, and says what it saw.
"""

from __future__ import annotations

import argparse
import base64
import heapq
import json
import random
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import redis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kombu import Connection, Consumer
from obstore.store import LocalStore

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
        queues: How many serve each queue.
        address: Of the broker.
        storage: What the fleet shares.
        seconds: What a build takes on average.
    """

    def __init__(self, queues: Mapping[str, int], address: str, storage: ObjectStorage, seconds: float) -> None:
        self._served = [queue for queue, number in queues.items() for _ in range(number)]
        self._keys = [FileKey(Ed25519PrivateKey.generate()) for _ in self._served]
        self._address, self._storage, self._seconds = address, storage, seconds
        self._random = random.Random(1)  # noqa: S311 - no secret
        self._free: dict[str, list[int]] = {queue: [] for queue in queues}
        for number, queue in enumerate(self._served):
            self._free[queue].append(number)
        self._building: list[tuple[float, int, int, str, str]] = []
        self._order = count()
        self.ended = threading.Event()
        self.most_building = 0

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

    def work(self) -> None:
        """Take orders until :attr:`ended` is set; what is being built then is lost."""
        named, looked = redis.Redis.from_url(self._address), time.monotonic()
        options = broker.make_app(self._address).conf.broker_transport_options
        with Connection(self._address, transport_options=options) as link:
            queues = [broker.queue(each, self._address) for each in self._free]
            consumer = Consumer(link, queues, accept=["json"], callbacks=[self._taken], no_ack=True)
            consumer.qos(prefetch_count=len(self._keys))
            with consumer:
                while not self.ended.is_set():
                    self._finish()
                    if time.monotonic() - looked > _NAMED_SECONDS:
                        self._take_named(named)
                        looked = time.monotonic()
                    try:
                        link.drain_events(timeout=_LOOK_SECONDS)
                    except TimeoutError:
                        continue
                    except (OSError, *link.connection_errors):
                        time.sleep(_LOOK_SECONDS)

    def _take_named(self, server: redis.Redis) -> None:
        """Orders to one runner by name: a queue each, too many to listen to all of them."""
        own = {own_queue(self._served[n], key.key_id): n for n, key in enumerate(self._keys)}
        for name in server.scan_iter("*.*", count=1000):
            number = own.get(name.decode().partition("\x06")[0])
            while number is not None and (found := server.rpop(name)) is not None:
                assert isinstance(found, bytes)
                body = json.loads(base64.b64decode(json.loads(found)["body"]))
                self._begin(number, *body[0])

    def _taken(self, body: object, message: Any) -> None:
        assert isinstance(body, list)
        free = self._free[message.delivery_info["routing_key"]]
        number = free.pop(self._random.randrange(len(free))) if free else 0
        self._begin(number, *body[0])

    def _begin(self, number: int, nonce: str, definition: str) -> None:
        done = time.monotonic() + self._random.expovariate(1 / self._seconds)
        heapq.heappush(self._building, (done, next(self._order), number, nonce, definition))
        self.most_building = max(self.most_building, len(self._building))

    def _finish(self) -> None:
        while self._building and self._building[0][0] <= time.monotonic():
            _, _, number, nonce, definition = heapq.heappop(self._building)
            self._answer(number, nonce, definition)
            self._free[self._served[number]].append(number)

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


def shared(directory: Path) -> ObjectStorage:
    """What the fleet shares, in a directory: an S3 server's costs are another machine's."""
    return ObjectStorage(LocalStore(directory, mkdir=True), "simulated")


def main(words: Sequence[str]) -> None:
    """Be runners."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--queues", type=json.loads)
    parser.add_argument("--broker")
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--enrolments", type=Path)
    given = parser.parse_args(words)
    runners = VirtualRunners(given.queues, given.broker, shared(given.shared), given.seconds)
    signal.signal(signal.SIGTERM, lambda *_: runners.ended.set())
    draft = given.enrolments.with_suffix(".draft")
    draft.write_text(json.dumps([each.model_dump(mode="json") for each in runners.enrolments()]))
    draft.rename(given.enrolments)
    runners.work()
    sys.stdout.write(f"{runners.most_building}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
