"""Removes what caches keep for nobody: documents and repositories that were not asked for lately."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from datetime import datetime
from pathlib import Path

from rebuilder.atomic_file import DRAFT

_UNFINISHED = (
    *("cache/uv/resolve-*", f"cache/http/{DRAFT}*", f"scratch/executable/{DRAFT}*"),
    *("toolchains/making/import@*", "toolchains/making/gone@*"),
)
"""What resolving, asking, copying and importing work in until they are done."""


def prune_documents(directory: Path, before: datetime) -> int:
    """Remove notes on documents (see ``http_cache``) that were not renewed since; give how many there were."""
    count = 0
    with contextlib.suppress(OSError):
        for entry in list(directory.iterdir()):
            with contextlib.suppress(OSError):
                if entry.is_file() and entry.lstat().st_mtime < before.timestamp():
                    entry.unlink()
                    count += 1
    return count


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


def prune_unfinished(store: Path, before: datetime) -> int:
    """Remove what killed processes left half-made below a store and nobody has touched since; give how many there were.

    Blobs and pages are swept by who writes them.
    """
    count = 0
    for pattern in _UNFINISHED:
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
