"""One order on a runner: fetch all by digest, run it, upload what it left, sign."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rebuilder.environments.protocol import Environments
from rebuilder.errors import (
    BuildEnvironmentError,
    NoGuestError,
    RebuilderError,
    SandboxUnavailableError,
    StoreError,
)
from rebuilder.fleet import objects
from rebuilder.foreign_json import read_json
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import Answer, Fault, FaultKind
from rebuilder.sandbox.protocol import Runner
from rebuilder.signing.protocol import SigningKey
from rebuilder.signing.runner_key import sign_answer
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.protocol import Blobs

_BEAT_SECONDS = 5.0

log = logging.getLogger("rebuilder.runner")


@dataclass
class OrderedRun:
    """Callable with what a message of the broker says; nothing of it is believed.

    Args:
        run: The runner of this machine.
        environments: Its build environments.
        blobs: With the S3 store behind; what is put lies below the prefix of this runner there.
        storage: That S3 store.
        key: Of this runner.
    """

    run: Runner
    environments: Environments
    blobs: Blobs
    storage: ObjectStorage
    key: SigningKey
    beat_seconds: float = _BEAT_SECONDS

    def __call__(self, nonce: str, definition_sha256: str) -> Answer | None:
        """Run a definition and answer its order; gives the answer, None when nobody waits for it any more.

        Raises:
            StoreError: the S3 store does not answer: somebody else may have more luck.
        """
        if self.storage.listed(objects.order(nonce)) is None:
            log.info("Nobody waits for the order %s any more.", nonce)
            return None
        place = f"{objects.answers(nonce)}/{self.key.key_id}"
        with self._signs_of_life(place + objects.BEGUN):
            answer = self._answer(nonce, definition_sha256)
        self.storage.put(place + objects.ANSWER, sign_answer(answer, self.key).encode())
        log.info("Answered the order %s: %s.", nonce, answer.run.outcome if answer.run else answer.fault)
        return answer

    def _answer(self, nonce: str, definition_sha256: str) -> Answer:
        about = {"nonce": nonce, "definition": definition_sha256, "runner": self.key.key_id}
        try:
            definition = read_definition(self.blobs, definition_sha256)
            self.environments.by_digest(definition.toolchain.sha256)
            run = self.run(definition)
            return Answer(**about, run=run, log_bytes=self.blobs.path(run.log_sha256).stat().st_size)
        except RebuilderError as error:
            log.warning("The definition %s could not be run: %s", definition_sha256, error)
            return Answer(**about, fault=Fault(kind=_kind(error), sentence=str(error)[:1000]))

    @contextmanager
    def _signs_of_life(self, key: str) -> Iterator[None]:
        ended = threading.Event()

        def beat() -> None:
            number = 0
            while True:
                try:
                    self.storage.put(key, f"{number}".encode())
                except StoreError as error:
                    log.warning("A sign of life could not be given: %s", error)
                number += 1
                if ended.wait(self.beat_seconds):
                    return

        thread = threading.Thread(target=beat, name="signs-of-life", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def read_definition(blobs: Blobs, sha256: str) -> BuildDefinition:
    """The definition with a digest.

    Raises:
        StoreError: it cannot be had, or is none.
    """
    data = blobs.read(sha256)
    try:
        definition = BuildDefinition.from_slsa(read_json(data))
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"What has the digest {sha256} is no build definition.") from None
    if definition.digest != sha256:
        raise StoreError(f"The build definition {sha256} is not one that this version writes.")
    return definition


def _kind(error: RebuilderError) -> FaultKind:
    for family, kind in (
        (NoGuestError, FaultKind.NO_GUEST),
        (SandboxUnavailableError, FaultKind.UNAVAILABLE),
        (BuildEnvironmentError, FaultKind.ENVIRONMENT),
        (StoreError, FaultKind.STORE),
    ):
        if isinstance(error, family):
            return kind
    return FaultKind.SANDBOX
