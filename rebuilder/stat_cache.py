"""Large files that were hashed before and have not changed since."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from rebuilder.atomic_file import write_whole

DAY = 86400.0


class StatCache:
    """Notes, by name, of what ``stat`` said of a file when its bytes were last read and found right.

    Any change of a file's bytes or permissions changes its change time, which cannot be set from user space. Bytes that
    rot on the disk change nothing ``stat`` says, so a note counts for a day only. Whoever may write the notes may
    also write the files: they belong to the owner of the store.

    Args:
        directory: Where the notes are; made when needed.
        now: Clock, in seconds since 1970.
    """

    def __init__(self, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now

    def unchanged(self, name: str, status: os.stat_result) -> bool:
        """Whether the file ``name`` was found right within a day and is still what it was."""
        note = self._directory / name
        try:
            age = self._now() - note.stat().st_mtime
            return 0 <= age < DAY and json.loads(note.read_bytes()) == _facts(status)
        except (OSError, ValueError):
            return False

    def found_right(self, name: str, status: os.stat_result) -> None:
        """The bytes of the file ``name`` were read just now and are right; a note that cannot be kept is no loss."""
        with contextlib.suppress(OSError):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._directory / name, json.dumps(_facts(status)).encode())


def _facts(status: os.stat_result) -> list[int]:
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mode,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]
