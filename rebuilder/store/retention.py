"""Deletes blobs that nothing refers to any more."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from rebuilder.clock import Clock
from rebuilder.errors import StoreError
from rebuilder.store.blobs import LEAVING

_DIGEST = re.compile(r"[0-9a-f]{64}")
_FOLDER = re.compile(r"[0-9a-f]{2}")
_FAREWELL = timedelta(days=1)
"""So long a blob can still be called back; longer than any verification takes."""

log = logging.getLogger("rebuilder.retention")


class Retention:
    """Blobs leave in two steps, so that one that a verification is just about to use is never lost.

    One that is older than ``keep`` and that nothing refers to is set aside; asking for it brings it back. What is
    still set aside, and still not referred to, a day later is deleted.

    Args:
        root: Directory of the blobs.
        keep: How long a blob stays that nothing refers to.
        clock: Tells the time.
    """

    def __init__(self, root: Path, keep: timedelta, clock: Clock) -> None:
        self._root = root
        self._keep = keep
        self._clock = clock

    def sweep(self, referred: Callable[[], set[bytes]]) -> tuple[int, int]:
        """Go through all blobs once; give how many were set aside, and how many deleted.

        Args:
            referred: Gives the SHA-256 digests (32 bytes each) that reports and caches refer to.

        Raises:
            StoreError: the directory cannot be read or changed.
        """
        now = self._clock.now()
        try:
            candidates = [each for each in self._stored() if self._older(each, now - self._keep)]
            set_aside = list(self._set_aside())
            if not candidates and not set_aside:
                return 0, 0
            wanted = referred()
            deleted, freed = self._delete(set_aside, wanted, now)
            leaving = self._put_aside(candidates, wanted, now)
        except OSError as error:
            raise StoreError(
                f"The blobs in {self._root} cannot be tidied: {error.strerror}.", hint="Check the disk."
            ) from error
        if leaving or deleted:
            log.info("%d blobs were set aside, %d deleted (%d bytes).", leaving, deleted, freed)
        return leaving, deleted

    def _stored(self) -> Iterator[Path]:
        if not self._root.is_dir():
            return
        for folder in self._root.iterdir():
            if _FOLDER.fullmatch(folder.name) and folder.is_dir():
                yield from (each for each in folder.iterdir() if _DIGEST.fullmatch(each.name))

    def _set_aside(self) -> Iterator[Path]:
        folder = self._root / LEAVING
        if folder.is_dir():
            yield from (each for each in folder.iterdir() if _DIGEST.fullmatch(each.name))

    @staticmethod
    def _older(path: Path, moment: datetime) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return path.lstat().st_mtime < moment.timestamp()
        return False

    def _put_aside(self, candidates: list[Path], wanted: set[bytes], now: datetime) -> int:
        folder, count = self._root / LEAVING, 0
        for each in candidates:
            if bytes.fromhex(each.name) in wanted:
                continue
            folder.mkdir(mode=0o755, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                each.rename(folder / each.name)
                # From now on its time says since when it is leaving.
                os.utime(folder / each.name, (now.timestamp(), now.timestamp()))
                count += 1
        return count

    def _delete(self, set_aside: list[Path], wanted: set[bytes], now: datetime) -> tuple[int, int]:
        count = freed = 0
        for each in set_aside:
            with contextlib.suppress(FileNotFoundError):
                if bytes.fromhex(each.name) in wanted:
                    each.rename(self._root / each.name[:2] / each.name)
                elif self._older(each, now - _FAREWELL):
                    size = each.lstat().st_size
                    each.unlink()
                    count, freed = count + 1, freed + size
        return count, freed


class Used(NamedTuple):
    """One blob of a cache."""

    when: float
    """Seconds of the epoch when it was read or written last, as far as the file system says it."""
    bytes: int
    path: Path


def by_last_use(root: Path) -> list[Used]:
    """The blobs below a directory, those first that were not used for longest."""
    found = []
    for folder in root.glob("[0-9a-f][0-9a-f]"):
        for each in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = each.lstat()
                found.append(Used(max(status.st_atime, status.st_mtime), status.st_size, each))
    return sorted(found)


def trim(root: Path, most_bytes: int) -> int:
    """Delete the blobs that were not used for longest, where all of them together take more than ``most_bytes``.

    Only for blobs that are stored elsewhere too, at a time when none of them is in use.

    Returns:
        How many were deleted.
    """
    found = by_last_use(root)
    total, count = sum(each.bytes for each in found), 0
    for each in found:
        if total <= most_bytes:
            break
        each.path.unlink(missing_ok=True)
        total, count = total - each.bytes, count + 1
    return count
