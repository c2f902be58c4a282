"""The fleet that the settings name, as a runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.compare.comparer import Comparer
from rebuilder.environments.store import EnvironmentStore
from rebuilder.fleet.broker import CeleryBroker
from rebuilder.fleet.double_runs import DoubleRuns
from rebuilder.fleet.ordering import FleetRunner
from rebuilder.fleet.tidying import Tidying
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import queue_of, this_platform
from rebuilder.model.settings import FleetSettings
from rebuilder.sandbox.protocol import Runner
from rebuilder.store.blobs import DiskBlobs
from rebuilder.store.ledger import Ledger
from rebuilder.store.ledger.liveness import this_process
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import RemoteBlobs


def tidying(settings: FleetSettings, *, ledger: Ledger, blobs: DiskBlobs, clock: Clock, most_bytes: int) -> Tidying:
    """What removes from the S3 store of a fleet what nothing needs any more; the arguments are those of :func:`fleet`.

    Raises:
        UsageError: an address in the settings is none.
    """
    assert settings.blobs is not None  # noqa: S101 - the caller looked
    storage = ObjectStorage.open(settings.blobs)
    return Tidying(storage, RemoteBlobs(blobs, storage, most_bytes=most_bytes), ledger.run_orders, clock)


@contextmanager
def fleet(
    settings: FleetSettings,
    *,
    ledger: Ledger,
    blobs: DiskBlobs,
    environments: EnvironmentStore,
    here: Runner,
    comparer: Comparer,
    clock: Clock,
    store: Path,
    most_bytes: int,
) -> Iterator[Runner]:
    """What runs definitions on the runners that the settings name, and here what none of them serves.

    Args:
        settings: With a broker.
        ledger: Runners and orders.
        blobs: Of this machine.
        environments: Of this machine.
        here: Runs definitions on this machine.
        comparer: Says whether two results agree.
        clock: Tells the time.
        store: Directory of this machine's store.
        most_bytes: Largest blob that is fetched.

    Raises:
        UsageError: an address in the settings is none.
    """
    assert settings.broker is not None  # noqa: S101 - the caller looked
    assert settings.blobs is not None  # noqa: S101 - they belong together
    storage = ObjectStorage.open(settings.blobs)
    broker = CeleryBroker(settings.broker)
    away = DoubleRuns(
        FleetRunner(
            ledger=ledger,
            blobs=RemoteBlobs(blobs, storage, most_bytes=most_bytes),
            storage=storage,
            environments=environments,
            broker=broker,
            clock=clock,
            settings=settings,
            owner=f"fleet/{this_process()}",
            scratch=store / "scratch",
        ),
        here,
        settings.double_runs,
        comparer,
    )
    served = set(settings.queues) or {this_platform()}

    def run(definition: BuildDefinition) -> Run:
        return away(definition) if queue_of(definition) in served else here(definition)

    try:
        yield run
    finally:
        broker.close()
