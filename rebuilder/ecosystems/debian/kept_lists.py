"""States of suites and lists that were verified once: a history of an archive of our own, which is never tidied away.

A release is a file whose name begins with its moment, in a directory for its suite; a list is a file named by its
digest. Nothing is ever changed, so that processes cannot be in each other's way.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rebuilder.atomic_file import replacing, write_whole
from rebuilder.errors import CorruptStoreError, StoreError
from rebuilder.model.value import Sha256, sha256_hex

_NAME = re.compile(r"(?P<moment>[0-9]{8}T[0-9]{6})-(?P<sha256>[0-9a-f]{64})")
_MOMENT = "%Y%m%dT%H%M%S"


class KeptRelease(NamedTuple):
    """One state of a suite."""

    moment: datetime
    """When the archive made it; UTC, whole seconds."""
    sha256: Sha256
    """Of ``InRelease``."""
    path: Path


class KeptLists:
    """Below a directory of the store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keep_release(self, suite: str, moment: datetime, data: bytes) -> None:
        """Keep a state that was verified; one that is kept stays as it is.

        Args:
            suite: Tells suites apart, and those of one name in several archives; any text.
            moment: When the archive made it.
            data: ``InRelease``.

        Raises:
            StoreError: it cannot be written.
        """
        directory = self._directory(suite)
        path = directory / f"{moment.astimezone(UTC):{_MOMENT}}-{sha256_hex(data)}"
        if not path.exists():
            with _writing(path):
                directory.mkdir(parents=True, exist_ok=True)
                write_whole(path, data, mode=0o444, durable=True)

    def releases(self, suite: str) -> list[KeptRelease]:
        """The states of a suite, oldest first."""
        return _states(self._directory(suite))

    def others(self, suites: Collection[str]) -> list[KeptRelease]:
        """The states of all suites but some, oldest first."""
        own = {self._directory(each) for each in suites}
        found = [each for each in (self._root / "releases").glob("*") if each not in own]
        return sorted(state for each in found for state in _states(each))

    def keep_list(self, sha256: Sha256, file: Path) -> None:
        """Keep a list that a kept state binds.

        Raises:
            StoreError: it cannot be written.
        """
        path = self._list(sha256)
        if not path.exists():
            with _writing(path), file.open("rb") as data:
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing(path, mode=0o444, durable=True) as draft:
                    shutil.copyfileobj(data, draft)

    def has(self, sha256: str) -> bool:
        """Whether a list is kept."""
        return self._list(sha256).is_file()

    def read(self, sha256: str) -> bytes:
        """A list.

        Raises:
            StoreError: it is not kept, or was modified.
        """
        return read_kept(self._list(sha256), sha256)

    def _list(self, sha256: str) -> Path:
        return self._root / "lists" / sha256

    def _directory(self, suite: str) -> Path:
        return self._root / "releases" / sha256_hex(suite.encode())[:32]


def _states(directory: Path) -> list[KeptRelease]:
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    return [
        KeptRelease(datetime.strptime(name["moment"], _MOMENT).replace(tzinfo=UTC), Sha256(name["sha256"]), each)
        for each in found
        if (name := _NAME.fullmatch(each.name)) is not None
    ]


def read_kept(path: Path, sha256: str) -> bytes:
    """A kept file.

    Raises:
        StoreError: it cannot be read, or was modified.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"The kept list {path} cannot be read: {error.strerror}.") from None
    if sha256_hex(data) != sha256:
        raise CorruptStoreError(f"The kept list {path} was modified.", hint="Put it back from a backup, or delete it.")
    return data


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}.", hint="Check the disk.") from None
