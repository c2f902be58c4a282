"""Bytes by SHA-256 in a directory: written whole or not at all, checked when read.

What nothing refers to any more is deleted (:class:`Retention`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple

from rebuilder.atomic_file import sync_directory
from rebuilder.byte_counter import MOVED
from rebuilder.clock import Clock
from rebuilder.errors import CorruptStoreError, FetchMismatchError, StoreError
from rebuilder.model.value import Sha256, Sha512, is_sha256
from rebuilder.stat_cache import StatCache
from rebuilder.store.protocol import Blobs

_LARGE = 8 << 20
"""Bytes from which on a file is not hashed by every process."""
_MOST_KNOWN = 4096
"""Blobs that are known to be sound; what is forgotten is hashed once more when it is asked for."""
LEAVING = "leaving"
"""Folder of blobs that are about to be deleted, and come back when somebody asks for them; see ``retention``."""
_Fingerprint = tuple[int, int, int, int, int]


class DiskBlobs:
    """Blobs as read-only files ``ROOT/ab/abcdef…``, safe for several processes at once.

    Checking is meant against rot, accidents and half-written files. Somebody who may write into the directory
    could swap a file between the check and its use; only the owner of the store may (directories 0755, files 0444).

    Args:
        root: Directory of the blobs; made on the first write. Its parents decide who may get there at all.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sound: dict[str, _Fingerprint] = {}
        self._checked = StatCache(root / "checked")
        self._swept = False

    def put(self, data: bytes) -> Sha256:
        """Store bytes; storing the same bytes again is nothing, and mends a damaged copy.

        Raises:
            StoreError: the store cannot be written.
        """
        digest = Sha256(hashlib.sha256(data).hexdigest())
        if not self._is_sound(digest):
            with self._explained(), self._temporary() as (temporary, file):
                file.write(data)
                self._keep(temporary, file, digest)
        return digest

    def put_stream(self, chunks: Iterable[bytes], *, max_bytes: int) -> tuple[Sha256, int]:
        """Store a stream, give its digest and its size in bytes; errors of the stream itself pass through.

        Raises:
            FetchMismatchError: more than ``max_bytes`` came; nothing is kept.
            StoreError: the store cannot be written.
        """
        hasher, size = hashlib.sha256(), 0
        with contextlib.ExitStack() as stack:
            with self._explained():
                temporary, file = stack.enter_context(self._temporary())
            for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise FetchMismatchError(f"More than {max_bytes:,} bytes came; the rest was not read.")
                hasher.update(chunk)
                with self._explained():
                    file.write(chunk)
            digest = Sha256(hasher.hexdigest())
            with self._explained():
                if not self._is_sound(digest):
                    self._keep(temporary, file, digest)
        return digest, size

    def has(self, sha256: str) -> bool:
        """Whether a file of that name is stored; whether it is undamaged shows when it is read."""
        with contextlib.suppress(StoreError, OSError):
            self._called_back(sha256)
            return stat.S_ISREG(self._place(sha256).lstat().st_mode)
        return False

    def read(self, sha256: str) -> bytes:
        """The bytes, hashed again on every call.

        Raises:
            StoreError: they are not stored, cannot be read, or have another digest (the file is moved aside then).
        """
        with self._open(sha256) as file, self._explained(sha256):
            data = file.read()
            fingerprint = _fingerprint(file)
        actual = hashlib.sha256(data).hexdigest()
        if actual != sha256:
            raise self._moved_aside(sha256, actual)
        self._found_sound(sha256, fingerprint)
        return data

    def path(self, sha256: str) -> Path:
        """A read-only file with the bytes; not hashed again as long as nothing about the file changes.

        Raises:
            StoreError: as for :meth:`read`.
        """
        with self._open(sha256) as file, self._explained(sha256):
            fingerprint = _fingerprint(file)
            if self._sound.get(sha256) != fingerprint:
                self._read_through(sha256, file)
                self._found_sound(sha256, fingerprint)
        return self._place(sha256)

    def _found_sound(self, sha256: str, fingerprint: _Fingerprint) -> None:
        if len(self._sound) >= _MOST_KNOWN:  # a process that runs for years meets more blobs than it can remember
            self._sound.clear()
        self._sound[sha256] = fingerprint

    def _read_through(self, sha256: str, file: BinaryIO) -> None:
        """Make sure of the bytes; of large files only once a day, unless something about them changed."""
        status = os.fstat(file.fileno())
        large = status.st_size >= _LARGE
        if large and self._checked.unchanged(sha256, status):
            return
        actual = _digest(file)
        if actual != sha256:
            raise self._moved_aside(sha256, actual)
        if large:
            self._checked.found_right(sha256, status)

    def _place(self, sha256: str) -> Path:
        if not is_sha256(sha256):
            raise StoreError(f"{sha256[:80]!r} is not a SHA-256 digest, so no blob can have that name.")
        return self._root / sha256[:2] / sha256

    def _open(self, sha256: str) -> BinaryIO:
        place = self._place(sha256)
        with self._explained(sha256):
            self._called_back(sha256)
            try:
                if not stat.S_ISREG(place.lstat().st_mode):
                    raise self._moved_aside(sha256, None)
                return os.fdopen(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")
            except FileNotFoundError:
                raise StoreError(
                    f"Blob {sha256} is not in the store {self._root}.",
                    hint="Verify the artifact again: what is missing is fetched or built anew.",
                ) from None

    def _called_back(self, sha256: str) -> None:
        """Bring a blob back that was set aside to be deleted."""
        place = self._place(sha256)
        if not os.path.lexists(place):
            with contextlib.suppress(FileNotFoundError):
                (self._root / LEAVING / sha256).rename(place)

    def _is_sound(self, sha256: str) -> bool:
        """Whether an undamaged copy is there; a damaged one is moved aside."""
        if not self.has(sha256):
            return False
        try:
            self.path(sha256)
        except StoreError:
            if self.has(sha256):
                raise
            return False
        return True

    def _moved_aside(self, sha256: str, actual: str | None) -> StoreError:
        """Make room for a sound copy, keep the damaged one for whoever looks into it."""
        self._sound.pop(sha256, None)
        damage = "is not a regular file" if actual is None else f"is damaged: its bytes have SHA-256 {actual}"
        aside = self._root / "damaged" / f"{sha256}-{secrets.token_hex(4)}"
        try:
            _make_directory(aside.parent)
            self._place(sha256).rename(aside)
        except FileNotFoundError:
            where = "Another process has moved it aside"
        except OSError as error:
            return CorruptStoreError(
                f"Blob {sha256} {damage}, and it cannot be moved aside ({error.strerror}).",
                hint=f"Make {self._root} writable, or delete {self._place(sha256)}.",
            )
        else:
            where = f"It was moved to {aside}"
        return CorruptStoreError(
            f"Blob {sha256} {damage}. {where}.",
            hint="Verify the artifact again: the bytes are fetched or built anew. Check the disk if this repeats.",
        )

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file on the store's file system, locked while it is written and gone afterwards unless renamed."""
        folder = self._root / "incoming"
        _make_directory(self._root)
        _make_directory(folder)
        self._sweep(folder)
        while True:
            temporary = folder / secrets.token_hex(8)
            file = os.fdopen(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                break
            file.close()  # a sweep of another process came between making and locking it
        try:
            yield temporary, file
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
            with contextlib.suppress(OSError):  # what could not be written on a full disk is given up here
                file.close()

    def _keep(self, temporary: Path, file: BinaryIO, sha256: str) -> None:
        """Make the bytes durable, then visible under their digest."""
        file.flush()
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())
        place = self._place(sha256)
        _make_directory(place.parent)
        temporary.rename(place)
        sync_directory(place.parent)
        fingerprint = _fingerprint(file)
        MOVED.add(written=fingerprint[2])
        self._found_sound(sha256, fingerprint)

    def _sweep(self, folder: Path) -> None:
        """Delete what killed writers left: files that nobody holds a lock on. Once per process."""
        if self._swept:
            return
        self._swept = True
        for stale in folder.iterdir():
            with contextlib.suppress(OSError), stale.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                stale.unlink()

    @contextlib.contextmanager
    def _explained(self, sha256: str | None = None) -> Iterator[None]:
        """Errors of the operating system become sentences."""
        try:
            yield
        except OSError as error:
            raise _sentence(error, self._root, sha256) from error


def _fingerprint(file: BinaryIO) -> _Fingerprint:
    """Changes whenever bytes or permissions change: the change time cannot be set from user space."""
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(file: BinaryIO) -> str:
    hasher = hashlib.sha256()
    while chunk := file.read(1 << 20):
        hasher.update(chunk)
    return hasher.hexdigest()


def _make_directory(path: Path) -> None:
    """Make a directory everybody may read, whatever the umask; leave an existing one as it is."""
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        path.chmod(0o755)
        sync_directory(path.parent)


def _sentence(error: OSError, root: Path, sha256: str | None) -> StoreError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            f"The disk that holds the store {root} is full.",
            hint="Make room and run the same command again: what was finished is kept.",
        )
    if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM} and sha256 is None:
        return StoreError(
            f"The store {root} cannot be written: {error.strerror}.",
            hint="Make the directory writable for this user, or name another store.",
        )
    what = f"Blob {sha256}" if sha256 else f"The store {root}"
    return StoreError(f"{what} cannot be used: {error.strerror or error}.", hint="Check the disk and its permissions.")


_CHUNK = 1 << 20


def sha512_of(blobs: Blobs, sha256: Sha256) -> Sha512 | None:
    """SHA-512 of a blob; None: it is not stored. One reading gives both digests, so they are of the same bytes.

    Raises:
        StoreError: what is stored has another SHA-256, or cannot be read.
    """
    if not blobs.has(sha256):
        return None
    first, second = hashlib.sha256(), hashlib.sha512()
    with blobs.path(sha256).open("rb") as file:
        while chunk := file.read(_CHUNK):
            first.update(chunk)
            second.update(chunk)
    if first.hexdigest() != sha256:
        raise CorruptStoreError(f"Blob {sha256} was changed while it was read: its bytes have another SHA-256 now.")
    return Sha512(second.hexdigest())


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
                yield from (each for each in folder.iterdir() if is_sha256(each.name))

    def _set_aside(self) -> Iterator[Path]:
        folder = self._root / LEAVING
        if folder.is_dir():
            yield from (each for each in folder.iterdir() if is_sha256(each.name))

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
                # Its time says since when it is leaving, and does so first: whoever finds it there may be quick.
                os.utime(each, (now.timestamp(), now.timestamp()))
                each.rename(folder / each.name)
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
