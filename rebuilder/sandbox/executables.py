"""Executable copies of blobs: blobs themselves are mode 0444."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path

from rebuilder.atomic_file import replacing
from rebuilder.errors import CorruptStoreError, SandboxFaultError, StoreError
from rebuilder.model.definition import BuildDefinition
from rebuilder.stat_cache import StatCache

_CHUNK = 1 << 20


class Executables:
    """A directory with copies named by digest, mode 0555, made once and checked before each use.

    A copy is read through once a day, and whenever anything about it changes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._checked = StatCache(directory.with_name("checked"))
        self._lock = threading.Lock()

    def sources(self, definition: BuildDefinition, inputs: Mapping[str, Path]) -> dict[str, Path]:
        """Path inside the sandbox to the file to bind there, for every input of a definition.

        Raises:
            SandboxFaultError: other inputs are given than the definition names.
            StoreError: see :meth:`path`.
        """
        differ = sorted({each.path for each in definition.inputs} ^ set(inputs))
        if differ:
            raise SandboxFaultError(f"The inputs given and those in the build definition differ at {differ[0]!r}.")
        return {
            each.path: self.path(inputs[each.path], each.sha256) if each.executable else inputs[each.path]
            for each in definition.inputs
        }

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
        status = copy.stat()
        if not self._checked.unchanged(sha256, status):
            with copy.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    return False
            self._checked.found_right(sha256, status)
        return True

    def _make(self, source: Path, copy: Path, sha256: str) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with replacing(copy, mode=0o555) as target, source.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                target.write(chunk)
            _same(source, sha256, digest.hexdigest())
        self._checked.found_right(sha256, copy.stat())


def _same(source: Path, wanted: str, found: str) -> None:
    if wanted != found:
        raise CorruptStoreError(f"{source} has the digest {found}, not {wanted}: it was modified.")
