"""Files that can be made again at any time, kept by a key up to a total size: what was not used for longest goes first.

Below the root directory::

    files/      what was made, by its SHA-256, and notes on it: see :class:`rebuilder.store.blobs.DiskBlobs`
    keys/KEY    digest of the file that was made for a key; its time says when it was last used
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rebuilder.atomic_file import DRAFT, write_whole
from rebuilder.errors import StoreError
from rebuilder.model.value import Sha256, is_sha256
from rebuilder.store.blobs import DiskBlobs

_RECENT = 600.0
"""Seconds in which a file may still be on its way from being asked for to being used."""
_NOTED = 60.0
"""Seconds in which a second use is not noted."""


class KeptFiles:
    """Implements :class:`rebuilder.store.protocol.Kept`; safe for several processes at once.

    Args:
        root: Directory, made when it is needed.
        most_bytes: Of all files together; one may have an eighth of it.
        now: Clock, in seconds since 1970.
    """

    def __init__(self, root: Path, *, most_bytes: int = 1 << 62, now: Callable[[], float] = time.time) -> None:
        self.blobs = DiskBlobs(root / "files")
        self.largest = most_bytes // 8
        self._files = root / "files"
        self._keys = root / "keys"
        self._most_bytes = most_bytes
        self._now = now

    def get(self, key: str) -> tuple[Sha256, Path] | None:
        """See :meth:`rebuilder.store.protocol.Kept.get`."""
        note = self._keys / key
        try:
            sha256 = note.read_text(encoding="ascii", errors="replace").strip()
            if not is_sha256(sha256) or not self.blobs.has(sha256):
                return None
            if self._now() - note.stat().st_mtime > _NOTED:
                self._use(note)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        return Sha256(sha256), self.blobs.path(sha256)

    def keep(self, key: str, sha256: Sha256) -> None:
        """See :meth:`rebuilder.store.protocol.Kept.keep`."""
        try:
            self._keys.mkdir(parents=True, exist_ok=True)
            write_whole(self._keys / key, f"{sha256}\n".encode())
            self._use(self._keys / key)
            self._make_room(self._most_bytes)
        except OSError as error:
            raise self._unusable(error) from error

    def forget(self, before: float) -> int:
        """Remove what was not used since a moment (seconds since 1970); give how many keys there were.

        Raises:
            StoreError: the directory cannot be read or changed.
        """
        try:
            return self._make_room(self._most_bytes, before) if self._keys.is_dir() else 0
        except OSError as error:
            raise self._unusable(error) from error

    def _use(self, note: Path) -> None:
        os.utime(note, (self._now(), self._now()))

    def _make_room(self, most_bytes: int, before: float = 0.0) -> int:
        recent, left, gone = self._now() - _RECENT, most_bytes, 0
        wanted = set()
        for used, note in sorted(((_used(each), each) for each in self._keys.iterdir()), reverse=True):
            sha256 = "" if note.name.startswith(DRAFT) else _read(note)
            left -= _size(self._files / sha256[:2] / sha256) if sha256 not in wanted else 0
            if used < recent and (left < 0 or used < before or not sha256):
                note.unlink(missing_ok=True)
                gone += 1
            else:
                wanted.add(sha256)
        for file in self._files.glob("??/*"):
            if file.name not in wanted and _used(file) < recent:
                file.unlink(missing_ok=True)
                (self._files / "checked" / file.name).unlink(missing_ok=True)
        return gone

    def _unusable(self, error: OSError) -> StoreError:
        return StoreError(
            f"The files kept below {self._keys.parent} cannot be used: {error.strerror or error}.",
            hint="Check the disk; the directory may be removed as a whole, and is made again.",
        )


def _used(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _read(note: Path) -> str:
    with suppress(FileNotFoundError):
        return note.read_text(encoding="ascii", errors="replace").strip()
    return ""
