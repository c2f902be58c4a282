"""``rebuilder worker --broker …``: a runner.

It has a key of its own; no ledger, not the key that signs what is published, and no index to ask.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from celery.signals import setup_logging

from rebuilder.clock import SystemClock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import RebuilderError, SandboxUnavailableError, StoreError, UsageError
from rebuilder.fleet.broker import TASK, make_app, queue
from rebuilder.fleet.environments import ImportedEnvironments
from rebuilder.fleet.running import OrderedRun
from rebuilder.model.fleet import FaultKind, own_queue
from rebuilder.model.settings import EnvironmentSettings
from rebuilder.sandbox.bubblewrap.sandbox import BubblewrapSandbox
from rebuilder.sandbox.local_runner import LocalRunner, check_isolation
from rebuilder.sandbox.prepared import Prepared
from rebuilder.sandbox.uml.sandbox import ENVIRONMENT, UmlSandbox
from rebuilder.signing.keys import Algorithm, FileKey
from rebuilder.store.blobs import DiskBlobs, by_last_use, trim
from rebuilder.store.kept_files import KeptFiles
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import RemoteBlobs, outputs_of
from rebuilder.store_layout import PREPARED

_MOST_RUNS = 500
"""After so many a process makes room for a fresh one."""
_REST_SECONDS = 20
_PATIENCE_SECONDS = 120
"""So long an S3 store may be away without costing the build that is to be uploaded."""
_LARGEST = 2 << 30
"""Bytes of one input."""

log = logging.getLogger("rebuilder.runner")


@dataclass(frozen=True)
class RunnerOptions:
    """How a runner was started."""

    broker: str
    blobs: str
    queues: tuple[str, ...]
    store: Path
    """Directory of its own: cached blobs, build environments."""
    key: Path
    concurrency: int = 1
    """Builds at once."""
    cache_bytes: int = 20 << 30
    """What cached blobs may take; the oldest go first, between two runs."""


def work(options: RunnerOptions) -> None:
    """Take orders until SIGTERM or SIGINT; the run that is going on is finished first.

    Raises:
        UsageError: an address is none.
        SigningError: the key cannot be used.
        SandboxUnavailableError: this machine cannot give the isolation.
    """
    if problems := check_isolation():
        raise SandboxUnavailableError(f"This machine cannot be a runner. {problems[0]}", hint="rebuilder doctor")
    key = FileKey.open(options.key, Algorithm.ED25519, store=options.store)
    ObjectStorage.open(options.blobs)  # a slip is told now
    if not options.queues:
        raise UsageError("A runner needs a queue.", hint="Such as --queue linux-amd64.")
    app = make_app(options.broker)
    app.conf.update(
        worker_concurrency=options.concurrency,
        worker_max_tasks_per_child=_MOST_RUNS,
        task_queues=[
            queue(name, options.broker) for each in options.queues for name in (each, own_queue(each, key.key_id))
        ],
    )
    # Made in the process that runs builds, not in the one that was forked from: a sandbox has processes of its own.
    run = cache(partial(_ordered_run, options, key))

    def answer(nonce: str, definition_sha256: str) -> None:
        trouble = True
        try:
            with _cache_in_use(options.store, fcntl.LOCK_SH):
                said = run()(str(nonce), str(definition_sha256))
            if sum(each.bytes for each in by_last_use(options.store / "blobs")) > options.cache_bytes:
                with _cache_in_use(options.store, fcntl.LOCK_EX):  # waits until no other build runs here
                    trim(options.store / "blobs", options.cache_bytes)
            trouble = said is not None and said.fault is not None and said.fault.kind is not FaultKind.NO_GUEST
        except RebuilderError as error:  # nothing can be answered; the coordinator orders again
            log.warning("The order %s could not be answered: %s", nonce, error)
        except Exception:
            log.exception("A defect of the rebuilder: the order %s could not be answered.", nonce)
        if trouble:
            time.sleep(_REST_SECONDS)  # whoever has trouble of its own must not be the quickest to take orders

    app.task(answer, name=TASK)
    setup_logging.connect(_as_we_log, weak=False)
    log.info("The runner %s serves %s.", key.key_id, ", ".join(options.queues))
    worker = app.Worker(
        hostname=f"{key.key_id[:16]}@{os.uname().nodename}",
        pool="prefork",
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    if worker.exitcode:
        raise StoreError(f"The runner ended with code {worker.exitcode}.")


def _as_we_log(**_: object) -> None:
    """Celery sets up no logging of its own where somebody listens to this signal; its warnings go where ours go."""
    celery = logging.getLogger("celery")
    celery.handlers, celery.propagate = logging.getLogger("rebuilder").handlers, False
    celery.setLevel(logging.WARNING)


@contextmanager
def _cache_in_use(store: Path, kind: int) -> Iterator[None]:
    """Several processes may run builds at once; cached blobs are deleted while none does."""
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock = (store / "runner.lock").open("wb")
    except OSError as error:
        raise StoreError(f"The store {store} cannot be written: {error.strerror}.") from error
    with lock:
        fcntl.flock(lock, kind)
        yield


def _ordered_run(options: RunnerOptions, key: FileKey) -> OrderedRun:
    clock, store, storage = SystemClock(), options.store, ObjectStorage.open(options.blobs, seconds=_PATIENCE_SECONDS)
    blobs = RemoteBlobs(DiskBlobs(store / "blobs"), storage, writes=outputs_of(key.key_id), most_bytes=_LARGEST)
    environments = ImportedEnvironments(EnvironmentStore(store / "toolchains", clock), storage, store / "scratch")
    bubblewrap = BubblewrapSandbox(blobs, clock, scratch=store / "scratch")
    kernel, guest = partial(environments.get, ENVIRONMENT), store / "cache" / "guest.json"
    uml = UmlSandbox(blobs, clock, scratch=store / "scratch", kernel=kernel, memory=guest)
    kept = KeptFiles(store / PREPARED, most_bytes=EnvironmentSettings().prepared_bytes)
    prepared = Prepared(bubblewrap.storing(kept.blobs), kept)
    run = LocalRunner({bubblewrap.kind: bubblewrap, uml.kind: uml}, environments, blobs, prepared)
    return OrderedRun(run, environments, blobs, storage, key)
