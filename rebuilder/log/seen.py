"""What somebody saw of a log the last time: a log must go on from there, and keep its key."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from rebuilder.atomic_file import write_whole
from rebuilder.errors import StoreError, UsageError
from rebuilder.log.note import Checkpoint, Note, NoteKey


@dataclass(frozen=True, slots=True)
class Before:
    """The key and the newest checkpoint that were seen."""

    key: NoteKey
    note: Note
    checkpoint: Checkpoint


class SeenLog:
    """The memory of one log, in a file.

    Args:
        memory: Directory of such files.
        place: Where the log is published.
    """

    def __init__(self, memory: Path, place: str) -> None:
        self._file = memory / f"{hashlib.sha256(place.rstrip('/').encode()).hexdigest()[:32]}.checkpoint"

    def read(self) -> Before | None:
        """What was seen; None: nothing yet.

        Raises:
            UsageError: the file cannot be used.
        """
        try:
            key, _, note = self._file.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"What was seen before, {self._file}, cannot be read: {error.strerror}.") from None
        try:
            found = Note.read(note)
            return Before(NoteKey.read(text_of(key)), found, Checkpoint.read(found.text))
        except ValueError as error:
            raise UsageError(
                f"What was seen before, {self._file}, is damaged: {error}", hint="Move it away to begin anew."
            ) from None

    def keep(self, key: NoteKey, note: Note) -> None:
        """Remember a checkpoint; one that is not larger than what another process saw meanwhile is passed over.

        Raises:
            StoreError: the file cannot be written.
        """
        before = self.read()
        if before is not None and before.key == key and before.checkpoint.size > Checkpoint.read(note.text).size:
            return
        if before is not None and (before.key, before.note) == (key, note):
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._file, f"{key.vkey}\n".encode() + note.encode(), mode=0o600)
        except OSError as error:
            raise StoreError(f"What was seen cannot be remembered in {self._file}: {error.strerror}.") from None


class SeenVerdicts:
    """The memory of what a log said against files, by its key: the number of the newest such statement about each.

    A copy of the log can hold back what it said last; who has seen it does not believe what it said before.

    Args:
        memory: Directory of such files.
        vkey: The key of the log.
    """

    def __init__(self, memory: Path, vkey: str) -> None:
        self._file = memory / f"{hashlib.sha256(vkey.encode()).hexdigest()[:32]}.against.json"

    def read(self) -> dict[str, int]:
        """Numbers by the SHA-256 of the file.

        Raises:
            UsageError: the file cannot be used.
        """
        try:
            found = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not all(type(each) is int for each in found.values()):
            raise UsageError(f"What was seen before, {self._file}, cannot be used.", hint="Move it away to begin anew.")
        return found

    def keep(self, against: dict[str, int]) -> None:
        """Remember more; the newest of each counts.

        Raises:
            StoreError: the file cannot be written.
        """
        before = self.read()
        after = before | {each: max(number, before.get(each, 0)) for each, number in against.items()}
        if after != before:
            try:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(self._file, json.dumps(after, sort_keys=True).encode(), mode=0o600)
            except OSError as error:
                raise StoreError(f"What was seen cannot be remembered in {self._file}: {error.strerror}.") from None


def usual_memory() -> Path:
    """The directory of this user."""
    import platformdirs

    return platformdirs.user_state_path("rebuilder") / "logs"


def text_of(data: bytes) -> str:
    """A file that holds one line."""
    return data.decode("utf-8", "replace").strip()
