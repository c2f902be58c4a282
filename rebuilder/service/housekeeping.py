"""Keeps the store and the ledger free of what nothing needs any more."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from rebuilder.atomic_file import DRAFT
from rebuilder.clock import Clock
from rebuilder.environments.store import EnvironmentStore
from rebuilder.store.blobs import Retention
from rebuilder.store.kept_files import KeptFiles
from rebuilder.store.ledger import Ledger
from rebuilder.store_layout import PREPARED

_DOCUMENTS = ("cache/http/*",)
"""Notes on documents that registries answered with; each asking renews one."""
UNFINISHED = (
    *("cache/uv/resolve-*", f"cache/http/{DRAFT}*", f"scratch/executable/{DRAFT}*"),
    *("toolchains/making/import@*", "toolchains/making/gone@*"),
)
"""What resolving, asking, copying and importing work in until they are done, and a killed process leaves.

Blobs and pages are swept by who writes them."""


def prune_repositories(directory: Path, before: datetime) -> int:
    """Remove repositories (see ``git``) that nobody has opened since; give how many there were.

    The time of a repository's lock says when it was opened last; one that is held is left alone. Locks stay: they
    are empty, and another process may be about to take one.
    """
    count = 0
    with contextlib.suppress(OSError):
        for lock in list(directory.glob("*.lock")):
            repository = lock.with_suffix(".git")
            with contextlib.suppress(OSError), lock.open("rb") as held:
                if not repository.is_dir() or lock.stat().st_mtime >= before.timestamp():
                    continue
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(repository)
                count += 1
    return count


def prune(store: Path, patterns: Sequence[str], before: datetime) -> int:
    """Remove files and directories below a store that nobody has touched since; give how many there were."""
    count = 0
    for pattern in patterns:
        for entry in list(store.glob(pattern)):
            with contextlib.suppress(OSError):
                if entry.lstat().st_mtime >= before.timestamp():
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
                count += 1
    return count


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
        self._prepared = KeptFiles(store / PREPARED, now=lambda: clock.now().timestamp())

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
        prune(self._store, _DOCUMENTS, before)
        prune_repositories(self._store / "cache" / "git", before)
        prune(self._store, UNFINISHED, now - _ABANDONED)
        self._prepared.forget(before.timestamp())
        self._retention.sweep(self._ledger.references)
        self._environments.forget(self._ledger.references, before)
