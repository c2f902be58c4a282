"""Build environments by digest: exported once by the coordinator, taken in and checked by each runner."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rebuilder.environments.exchange import MOST_BYTES
from rebuilder.environments.protocol import BuildEnvironment, Environments, Wanted
from rebuilder.environments.store import EnvironmentStore
from rebuilder.errors import BaseMissingError, BuildEnvironmentError, CorruptEnvironmentError, StoreError, UsageError
from rebuilder.fleet import objects
from rebuilder.store.object_storage import ObjectStorage
from rebuilder.store.remote_blobs import STAYS

_LARGEST = 2 * MOST_BYTES
"""Bytes of an export: content, and a header for each file."""


def publish_environment(store: EnvironmentStore, sha256: str, storage: ObjectStorage, scratch: Path) -> None:
    """Put the export of a build environment into the S3 store, unless it is there and was put there lately.

    What it lies over is put there before. One process at a time does that.

    Args:
        store: Has it.
        sha256: Digest of its tree.
        storage: Where runners look.
        scratch: Directory for the file while it is sent; made when it is missing.

    Raises:
        BuildEnvironmentError: this machine does not have it, or it was modified.
        StoreError: the S3 store cannot be used.
    """
    base = None
    with suppress(BuildEnvironmentError):  # one that is there already need not be here
        base = store.record(sha256).base
    if base is not None:
        publish_environment(store, base, storage, scratch)
    key = objects.environment(sha256)
    if _is_fresh(storage, key):
        return
    with _alone(scratch, "export.lock"):
        if _is_fresh(storage, key):  # another process was quicker
            return
        with tempfile.TemporaryDirectory(prefix="export@", dir=scratch) as directory:
            file = Path(directory) / "environment.tar"
            store.export(sha256, file)
            storage.put(key, file)


def _is_fresh(storage: ObjectStorage, key: str) -> bool:
    found = storage.listed(key)
    return found is not None and found.is_younger(STAYS)


@contextmanager
def _alone(scratch: Path, name: str) -> Iterator[None]:
    """One process of this machine at a time."""
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / name).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class ImportedEnvironments(Environments):
    """Implements :class:`rebuilder.environments.protocol.Environments` on a runner: none is ever made here.

    Args:
        store: Of this machine.
        storage: Where exports are.
        scratch: Directory for a file while it is read in.
    """

    def __init__(self, store: EnvironmentStore, storage: ObjectStorage, scratch: Path) -> None:
        self._store = store
        self._storage = storage
        self._scratch = scratch

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """The one with that digest, taken in when it is not here yet; one process at a time does that.

        Raises:
            BuildEnvironmentError: nobody exported it, what is there is another one, or it was modified.
        """
        try:
            return self._store.by_digest(sha256)
        except CorruptEnvironmentError:
            raise
        except BuildEnvironmentError:
            with _alone(self._scratch, "import.lock"):
                try:
                    return self._store.by_digest(sha256)  # another process was quicker
                except CorruptEnvironmentError:
                    raise
                except BuildEnvironmentError:
                    return self._taken_in(sha256)

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """Names mean nothing on a runner.

        Raises:
            BuildEnvironmentError: always.
        """
        name = wanted if isinstance(wanted, str) else type(wanted).__name__
        raise BuildEnvironmentError(f"A runner has build environments by digest only, and none is called {name[:64]}.")

    def remake(self, name: str) -> BuildEnvironment:
        """See :meth:`get`."""
        return self.get(name)

    def _taken_in(self, sha256: str) -> BuildEnvironment:
        with tempfile.TemporaryDirectory(prefix="import@", dir=self._scratch) as directory:
            file, size = Path(directory) / "environment.tar", 0
            try:
                with file.open("wb") as out:
                    for chunk in self._storage.stream(objects.environment(sha256)):
                        size += len(chunk)
                        if size > _LARGEST:
                            raise BuildEnvironmentError(f"The export of {sha256} is larger than any can be.")
                        out.write(chunk)
                try:
                    found = self._store.import_(file)
                except BaseMissingError as missing:
                    self._taken_in(missing.sha256)
                    found = self._store.import_(file)
            except (StoreError, UsageError, OSError) as error:
                raise BuildEnvironmentError(
                    f"The build environment {sha256} cannot be taken in: {str(error).rstrip('.')}."
                ) from error
        if found.sha256 != sha256:
            raise BuildEnvironmentError(f"The export of {sha256} is that of {found.sha256}.")
        return found
