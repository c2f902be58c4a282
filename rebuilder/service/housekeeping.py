"""Keeps the store and the ledger free of what nothing needs any more."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rebuilder.clock import Clock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.store.cache_pruning import prune_documents, prune_repositories, prune_unfinished
from rebuilder.store.ledger import Ledger
from rebuilder.store.retention import Retention

_ABANDONED = timedelta(days=1)
"""Nothing is written for so long."""


class Housekeeping:
    """Forgets caches, blobs and build environments that nothing has needed for a while; ends abandoned verifications.

    Args:
        store: Directory of the store.
        ledger: Says what is still referred to.
        keep: How long something stays that nothing refers to.
        clock: Tells the time.
    """

    def __init__(self, store: Path, ledger: Ledger, keep: timedelta, clock: Clock) -> None:
        self._store = store
        self._ledger = ledger
        self._keep = keep
        self._clock = clock
        self._retention = Retention(store / "blobs", keep, clock)
        self._environments = EnvironmentStore(store / "toolchains", clock)

    def step(self) -> None:
        """One round.

        Raises:
            StoreError: the store or the ledger cannot be used.
            BuildEnvironmentError: the build environments cannot be tidied.
        """
        now = self._clock.now()
        before = now - self._keep
        self._ledger.queue.bury(now)
        self._ledger.forget(before)
        cache = self._store / "cache"
        prune_documents(cache / "http", before)
        prune_repositories(cache / "git", before)
        prune_unfinished(self._store, now - _ABANDONED)
        self._retention.sweep(self._ledger.references)
        self._environments.forget(self._ledger.references, before)
