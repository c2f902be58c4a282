"""Removes from the S3 store what nothing needs any more, while others write into it.

What is there are copies, so nothing is lost for good; but a run that is under way must not lose its inputs:

1. Whoever asks for a run opens its order in the ledger first. Then it makes sure of the inputs, and writes those again
   that are older than :data:`rebuilder.store.remote_blobs.STAYS`.
2. Only what was written more than twice as long ago is looked at here, by the clock of the server.
3. What an order needs that is open now stays. Each object is looked at once more just before it is removed: one that
   was written again meanwhile stays.
4. What is written again in that very moment and is removed all the same, a runner misses: it says so, and the run is
   ordered once more, with its inputs.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from rebuilder.clock import Clock
from rebuilder.errors import StoreError
from rebuilder.fleet import objects
from rebuilder.fleet.running import read_definition
from rebuilder.store.ledger.runners import RunOrders
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.protocol import Blobs
from rebuilder.store.remote_blobs import SHARED, STAYS, key_of

_OURS = ("answers/", "blobs/", "environments/", "orders/", "outputs/")
_CLOCK = "clock"
"""Written to learn what time it is there."""
_AT_ONCE = 100
_WAITED_FOR = timedelta(days=1)
"""An order whose process has ended is another's to take over for so long."""

log = logging.getLogger("rebuilder.fleet")


class Tidying:
    """One round at a time; several services may do it at once.

    Args:
        storage: What is tidied.
        blobs: Have the definitions of open orders.
        run_orders: Say which orders are open.
        clock: Tells the time here.
        stays: What was written within this time stays.
    """

    def __init__(
        self, storage: ObjectStorage, blobs: Blobs, run_orders: RunOrders, clock: Clock, *, stays: timedelta = 2 * STAYS
    ) -> None:
        self._storage = storage
        self._blobs = blobs
        self._run_orders = run_orders
        self._clock = clock
        self._stays = stays

    def step(self) -> int:
        """Remove what is old and not needed; give how many objects there were.

        Raises:
            StoreError: the S3 store or the ledger does not answer, or a definition of an open order cannot be read.
        """
        self._run_orders.bury(self._clock.now() - _WAITED_FOR)
        self._storage.put(_CLOCK, b"")
        written = self._storage.listed(_CLOCK)
        if written is None:
            raise StoreError("What was just written into the S3 store is not there.")
        before, count = written.modified - self._stays, 0
        old = self._older(before)
        while batch := list(itertools.islice(old, _AT_ONCE)):
            needed = self._needed()
            for key in batch:
                if not needed.isdisjoint({key, *_order_of(key)}):
                    continue
                again = self._storage.listed(key)
                if again is not None and again.modified < before:
                    self._storage.delete(key)
                    count += 1
        if count:
            log.info("%d objects that nothing needs any more were removed from the S3 store.", count)
        return count

    def _older(self, before: datetime) -> Iterator[str]:
        return (key for key, each in self._storage.all() if each.modified < before and key.startswith(_OURS))

    def _needed(self) -> set[str]:
        needed: set[str] = set()
        for order in self._run_orders.open():
            needed.add(objects.order(order.nonce))
            definition = read_definition(self._blobs, order.definition_sha256)
            digests = (definition.digest, *(each.sha256 for each in definition.inputs))
            needed.update(key_of(SHARED, each) for each in digests)
            needed.add(objects.environment(definition.toolchain.sha256))
        return needed


def _order_of(key: str) -> tuple[str, ...]:
    """The order that an object answers."""
    kind, *rest = key.split("/")
    return (objects.order(rest[0]),) if kind == "answers" else ()
