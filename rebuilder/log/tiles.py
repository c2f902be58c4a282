"""The tree as static files (C2SP tlog-tiles): where each tile lies, what is new in a tree that grew, how it is read.

A tile is up to 256 consecutive hashes of one level; a hash of level *n* + 1 is over a full tile of level *n*. A bundle
is up to 256 entries, each behind its length in two bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from rebuilder.log.merkle import complete_root, leaf_hash, node_hash

WIDTH = 256
HASH = 32
LARGEST_ENTRY = (1 << 16) - 1
"""Bytes; a bundle gives the length of an entry in two bytes."""
_HEIGHT = 8
_KEPT = 64
"""Tiles of 8 KiB that a reader keeps."""


def tile_path(level: int | None, index: int, width: int = WIDTH) -> str:
    """Where a tile lies below the log; ``level`` None: a bundle of entries."""
    number = f"{index % 1000:03d}"
    while index := index // 1000:
        number = f"x{index % 1000:03d}/{number}"
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{'entries' if level is None else level}/{number}{partial}"


def widths(size: int) -> Iterator[tuple[int, int]]:
    """Level, and how many hashes of it the tiles of a tree of ``size`` entries hold in all."""
    level = 0
    while size:
        yield level, size
        level, size = level + 1, size >> _HEIGHT


def grown(old: int, entries: Sequence[bytes], read: Callable[[int, int], bytes]) -> Iterator[tuple[int, int, bytes]]:
    """The tiles that are new or longer in a tree that entries were added to.

    Args:
        old: Entries there were.
        entries: What was added.
        read: The bytes of a tile as it was, by level and index; asked for the last one of a level that was not full.

    Yields:
        Level, index and bytes of a tile; the lowest level first.
    """
    level, fresh = 0, [leaf_hash(each) for each in entries]
    while fresh:
        index, kept = divmod(old, WIDTH)
        row = [*hashes(read(level, index)[: kept * HASH]), *fresh] if kept else fresh
        fresh = []
        for start in range(0, len(row), WIDTH):
            tile = row[start : start + WIDTH]
            yield level, index + start // WIDTH, b"".join(tile)
            if len(tile) == WIDTH:
                fresh.append(complete_root(tile))
        level, old = level + 1, old >> _HEIGHT


def hashes(tile: bytes) -> list[bytes]:
    """The hashes in a tile."""
    return [tile[start : start + HASH] for start in range(0, len(tile), HASH)]


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as one file.

    Raises:
        ValueError: an entry is too long.
    """
    return b"".join(len(each).to_bytes(2) + each for each in _bounded(entries))


def _bounded(entries: Sequence[bytes]) -> Sequence[bytes]:
    if any(len(each) > LARGEST_ENTRY for each in entries):
        raise ValueError(f"An entry of the log has more than {LARGEST_ENTRY} bytes.")
    return entries


def unbundle(data: bytes) -> list[bytes]:
    """The entries of a file that :func:`bundle` made.

    Raises:
        ValueError: it ends within an entry, or has more than a bundle holds.
    """
    found, place = list[bytes](), 0
    while place < len(data):
        start = place + 2
        place = start + int.from_bytes(data[place:start])
        found.append(data[start:place])
        if place > len(data) or start > len(data) or len(found) > WIDTH:
            raise ValueError("The file is no bundle of entries.")
    return found


class TileReader:
    """The nodes of a tree of a known size, out of its tiles.

    What is read is believed: a proof made of it shows by its root whether it was right.

    Args:
        size: Entries of the tree.
        read: The bytes of a tile, by level, index and how many hashes it must have.
    """

    def __init__(self, size: int, read: Callable[[int, int, int], bytes]) -> None:
        self._totals = dict(widths(size))
        self._read = read
        self._kept: OrderedDict[tuple[int, int], dict[tuple[int, int], bytes]] = OrderedDict()

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; see :data:`rebuilder.log.merkle.Nodes`.

        Raises:
            ValueError: the tree has no such node, or its tile is not as long as it must be.
        """
        row, within = divmod(level, _HEIGHT)
        number, offset = divmod(index << within, WIDTH)
        tile = self._tile(row, number)
        if (found := _node(tile, within, offset >> within)) is None:
            raise ValueError(f"The tree has no node {index} on level {level}.")
        return found

    @classmethod
    def of_files(cls, size: int, read: Callable[[str], bytes]) -> TileReader:
        """Read tiles from their files by their paths below the log.

        A tile that has become full since the size was read stands at the place of full ones only.

        Raises:
            ValueError: by the reader, as ``read`` does where there is no such file.
        """

        def tile(level: int, index: int, width: int) -> bytes:
            try:
                return read(tile_path(level, index, width))
            except ValueError:
                if width == WIDTH:
                    raise
            return read(tile_path(level, index))[: width * HASH]

        return cls(size, tile)

    def _tile(self, level: int, index: int) -> dict[tuple[int, int], bytes]:
        found = self._kept.get((level, index))
        if found is None:
            width = min(WIDTH, self._totals.get(level, 0) - index * WIDTH)
            if width <= 0:
                raise ValueError(f"The tree has no tile {index} on level {level}.")
            data = self._read(level, index, width)
            if len(data) != width * HASH:
                raise ValueError(f"{tile_path(level, index, width)} has {len(data)} bytes, not {width * HASH}.")
            found = {(0, place): each for place, each in enumerate(hashes(data))}
            self._kept[level, index] = found
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end((level, index))
        return found


def _node(tile: dict[tuple[int, int], bytes], level: int, index: int) -> bytes | None:
    """A node inside a tile, which is worked out once; None where the tile is not as long."""
    found = tile.get((level, index))
    if found is None and level:
        left, right = _node(tile, level - 1, 2 * index), _node(tile, level - 1, 2 * index + 1)
        if left is None or right is None:
            return None
        found = tile[level, index] = node_hash(left, right)
    return found
