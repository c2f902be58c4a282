"""Executable copies of blobs: blobs themselves are mode 0444."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from pathlib import Path

from rebuilder.errors import StoreError

_CHUNK = 1 << 20


class Executables:
    """A directory with copies named by digest, mode 0555, made once and checked before each use.

    A copy is read through once per process; after that its inode, times and size must stay as they were.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def path(self, source: Path, sha256: str) -> Path:
        """The executable copy of ``source``, whose digest is ``sha256``.

        Raises:
            StoreError: it cannot be written, or ``source`` has another digest.
        """
        copy = self._directory / sha256
        try:
            with self._lock:
                if not (copy.exists() and self._sound(copy, sha256)):
                    self._make(source, copy, sha256)
                return copy
        except OSError as error:
            raise StoreError(
                f"An executable copy of {source} could not be made in {self._directory} ({error.strerror}).",
                hint="Is the disk full or read-only?",
            ) from error

    def _sound(self, copy: Path, sha256: str) -> bool:
        facts = _facts(copy)
        if self._known.get(sha256) != facts:
            with copy.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    return False
            self._known[sha256] = facts
        return True

    def _make(self, source: Path, copy: Path, sha256: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._directory, prefix=".new-")
        try:
            digest = hashlib.sha256()
            with os.fdopen(descriptor, "wb") as target, source.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
                os.fchmod(target.fileno(), 0o555)
            _same(source, sha256, digest.hexdigest())
            Path(name).replace(copy)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._known[sha256] = _facts(copy)


def _same(source: Path, wanted: str, found: str) -> None:
    if wanted != found:
        raise StoreError(f"{source} has the digest {found}, not {wanted}: it was modified.")


def _facts(path: Path) -> tuple[int, ...]:
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_mode
