"""Checks a published log from end to end, as somebody who trusts nothing but its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from rebuilder.log.entry import LogEntry
from rebuilder.log.note import Checkpoint, Note, NoteKey
from rebuilder.log.tiles import (
    HASH,
    WIDTH,
    Nodes,
    TileReader,
    consistency_path,
    grown,
    is_consistent,
    root,
    tile_path,
    unbundle,
    widths,
)

Read = Callable[[str], bytes]
"""The bytes of a file below the log; it raises ValueError where there is none."""


class LogError(ValueError):
    """A log that is not what it must be: a sentence that says how."""


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint that was checked, and the tree it is about."""

    note: Note
    checkpoint: Checkpoint

    @classmethod
    def read(cls, read: Read, key: NoteKey) -> Published:
        """The newest checkpoint.

        Raises:
            LogError: there is none, it is of another log, or this key did not sign it.
        """
        note = Note.read(read("checkpoint"))
        checkpoint = Checkpoint.read(note.text)
        if not note.signed_by([key]):
            raise LogError(f"The checkpoint is not signed by the key of {key.name} that is asked for.")
        if checkpoint.origin != key.name:
            raise LogError(f"The checkpoint is of another log, {checkpoint.origin}.")
        return cls(note, checkpoint)

    def follows(self, earlier: Checkpoint, read: Read) -> None:
        """Make sure that the log goes on from a checkpoint that was seen before.

        Raises:
            LogError: it was cut, or changed.
        """
        now = self.checkpoint
        if now.size < earlier.size:
            raise LogError(
                f"The log was cut, or this is an older copy: it had {earlier.size} entries, and has {now.size} now."
            )
        goes_on(earlier, now, TileReader.of_files(now.size, read))

    def entries(self, read: Read) -> Iterator[tuple[int, bytes]]:
        """Every entry with its number; at the end all of it was what the checkpoint says.

        Raises:
            LogError: a file is missing or damaged, or entries and checkpoint do not belong together.
        """
        size = self.checkpoint.size
        last: dict[int, tuple[int, bytes]] = {}  # by level: the tile that is not full yet
        totals = dict(widths(size))
        for start in range(0, size, WIDTH):
            width = min(WIDTH, size - start)
            path = tile_path(None, start // WIDTH, width)
            rows = unbundle(read(path))
            if len(rows) != width:
                raise LogError(f"{path} has {len(rows)} entries, not {width}.")
            for level, index, tile in grown(start, rows, lambda level, _: last[level][1]):
                last[level] = (index, tile)
                if len(tile) == WIDTH * HASH or index * WIDTH + len(tile) // HASH == totals[level]:
                    _same_tile(read, level, index, tile)
            yield from enumerate(rows, start)
        if root(size, TileReader.of_files(size, read)) != self.checkpoint.root:
            raise LogError("The entries are not those that the checkpoint was signed for.")


def goes_on(earlier: Checkpoint, later: Checkpoint, nodes: Nodes) -> None:
    """Make sure that a log begins with what an earlier checkpoint was over.

    Args:
        earlier: Over as many entries, or fewer.
        later: Of the same log.
        nodes: Of the tree of the later one; what they say is not believed.

    Raises:
        LogError: it does not.
    """
    path = consistency_path(earlier.size, later.size, nodes)
    if not is_consistent(earlier.size, earlier.root, later.size, later.root, path):
        raise LogError(f"The log was forked: its first {earlier.size} entries are not those that it showed before.")


def read_entry(number: int, data: bytes, before: datetime | None) -> LogEntry:
    """Read an entry, which is not older than the one before it.

    Raises:
        LogError: it is none, or says an earlier time.
    """
    try:
        entry = LogEntry.read(data)
    except ValueError:
        raise LogError(f"Entry {number} is not about a statement.") from None
    if before is not None and entry.logged < before:
        raise LogError(f"Entry {number} says it was logged before the one in front of it.")
    return entry


def _same_tile(read: Read, level: int, index: int, tile: bytes) -> None:
    path = tile_path(level, index, len(tile) // HASH)
    if read(path) != tile:
        raise LogError(f"{path} has not the hashes of the entries below it.")
