"""Writing files of the site: a reader never meets half of one, and what would come out as it is is not made again."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from rebuilder.atomic_file import replacing
from rebuilder.errors import StoreError
from rebuilder.model.report import Summary
from rebuilder.resources import resource
from rebuilder.site.marks import SHOWN, mark

PARTIAL = ".partial"
"""Directory below the site's root for files that are still being written; a name that no page has."""
_ABANDONED = timedelta(days=1)


class Writer:
    """Writes below one directory: each file whole or not at all, and only when its bytes change."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, path: str, data: bytes) -> bool:
        """Make the file at ``path`` (below the root) hold ``data``; True when it did not already.

        Raises:
            StoreError: the disk is full, read-only, or has no room for such a name.
        """
        target = self._root / path
        try:
            if self._holds(target, data):
                return False
            self._replace(target, data)
        except OSError as error:
            raise StoreError(
                f"The page {target} cannot be written: {error.strerror or error}.",
                hint="Make room or mend the permissions there, then run `rebuilder publish`: nothing else is lost.",
            ) from error
        return True

    def remove_others(self, directory: str, keep: set[str]) -> None:
        """Remove the plain files of ``directory`` that are not in ``keep``; what cannot be removed stays.

        Called last, when no page links to them any more.
        """
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self._root / directory)):
                if entry.name not in keep and entry.is_file(follow_symlinks=False):
                    Path(entry.path).unlink(missing_ok=True)

    def remove_directory(self, directory: str) -> None:
        """Remove a directory of plain files that are not needed any more; what cannot be removed stays."""
        self.remove_others(directory, set())
        with contextlib.suppress(OSError):
            (self._root / directory).rmdir()

    def sweep(self, now: datetime) -> None:
        """Remove what a killed process left half-written more than a day before ``now``."""
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(self._root / PARTIAL)):
                written = datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_mtime, UTC)
                if now - written > _ABANDONED:
                    Path(entry.path).unlink(missing_ok=True)

    @staticmethod
    def _holds(target: Path, data: bytes) -> bool:
        try:
            return target.stat().st_size == len(data) and target.read_bytes() == data
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _replace(self, target: Path, data: bytes) -> None:
        # A directory of its own, so that no listing of a page's directory ever shows an unfinished file; on the
        # same file system, so that the rename is atomic. Mode from the umask: a web server has to read it.
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = self._root / PARTIAL
        partial.mkdir(exist_ok=True)
        with replacing(target, mode=None, drafts=partial) as draft:
            draft.write(data)


_LOOK_AT = 1024
"""Bytes at the start of a page that hold its fingerprint."""


def fingerprint(rows: Iterable[Summary], *about: str) -> str:
    """Digest over ``rows``, whatever else the page shows, and what makes pages of them."""
    digest = hashlib.sha256(_maker())
    digest.update(repr(about).encode())
    for each in rows:
        shown = (each.ecosystem, each.name, each.version, each.filename, each.sha256, each.verdict, each.kind)
        digest.update(repr((shown, each.sentence, each.purl, each.finished)).encode())
    return digest.hexdigest()


def carries(page: Path, expected: str) -> bool:
    """Whether the file is there and was made from just this."""
    try:
        with page.open("rb") as file:
            return f'<meta name="made-from" content="{expected}">'.encode() in file.read(_LOOK_AT)
    except OSError:
        return False


@cache
def _maker() -> bytes:
    digest = hashlib.sha256(repr([mark(each) for each in SHOWN]).encode())
    for folder in (resource("reports") / "templates", Path(__file__).parent):
        for file in sorted((*folder.rglob("*.html"), *folder.rglob("*.py"))):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.digest()
