"""The Merkle tree of RFC 6962, section 2.1, and its static files (C2SP tlog-tiles).

A tile is up to 256 consecutive hashes of one level; a hash of level *n* + 1 is over a full tile of level *n*. A bundle
is up to 256 entries, each behind its length in two bytes.

Positions and sizes count entries from 0. A *node* is a hash over a complete subtree: level 0 are the entries, and node
``index`` of ``level`` covers the entries from ``index * 2**level`` to ``(index + 1) * 2**level``.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

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
        """The hash of a complete subtree; see :data:`rebuilder.log.tiles.Nodes`.

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


EMPTY_ROOT = hashlib.sha256(b"").digest()
Nodes = Callable[[int, int], bytes]
"""The hash of a complete subtree by its level and its index."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry, 32 bytes."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The hash over a complete subtree whose nodes of one level are given; their number is a power of two."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[index], row[index + 1]) for index in range(0, len(row), 2)]
    return row[0]


def root(size: int, nodes: Nodes) -> bytes:
    """The root of the tree with the first ``size`` entries."""
    return _subtree(0, size, nodes) if size else EMPTY_ROOT


def inclusion_path(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """The hashes beside the way from an entry up to the root of a tree (RFC 6962, section 2.1.1).

    Raises:
        ValueError: the tree has no such entry.
    """
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} entries has no entry {index}.")
    path: list[bytes] = []
    start, length = 0, size
    while length > 1:
        half = _split(length)
        if index < start + half:
            path.append(_subtree(start + half, length - half, nodes))
            length = half
        else:
            path.append(_subtree(start, half, nodes))
            start, length = start + half, length - half
    return path[::-1]


def consistency_path(old: int, size: int, nodes: Nodes) -> list[bytes]:
    """The hashes that show that a tree begins with an older one (RFC 6962, section 2.1.2).

    Raises:
        ValueError: the older tree is the larger one.
    """
    if not 0 <= old <= size:
        raise ValueError(f"A tree of {size} entries does not begin with one of {old}.")
    if old in {0, size}:
        return []
    path: list[bytes] = []
    start, length, known = 0, size, True
    while old != start + length:
        half = _split(length)
        if old <= start + half:
            path.append(_subtree(start + half, length - half, nodes))
            length = half
        else:
            path.append(_subtree(start, half, nodes))
            start, length, known = start + half, length - half, False
    if not known:
        path.append(_subtree(start, length, nodes))
    return path[::-1]


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that a proof of inclusion leads to (RFC 9162, section 2.1.3.2).

    Raises:
        ValueError: the path has not the length that an entry at this place has.
    """
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} entries has no entry {index}.")
    place, last, found = index, size - 1, leaf
    for each in path:
        if last == 0:
            raise ValueError("The proof of inclusion is longer than the tree is high.")
        if place & 1 or place == last:
            found = node_hash(each, found)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, each)
        place, last = place >> 1, last >> 1
    if last:
        raise ValueError("The proof of inclusion is shorter than the tree is high.")
    return found


def is_consistent(old: int, old_root: bytes, size: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a proof shows that a tree begins with an older one (RFC 9162, section 2.1.4.2)."""
    if old > size or old < 0:
        return False
    if old in {0, size}:
        return not path and (old_root == new_root if old else old_root == EMPTY_ROOT)
    hashes = [old_root, *path] if old & (old - 1) == 0 else list(path)
    if not hashes:
        return False
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = hashes[0]
    for each in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(each, first), node_hash(each, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, each)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(length: int) -> int:
    """The largest power of two that is smaller."""
    return 1 << ((length - 1).bit_length() - 1)


def _subtree(start: int, length: int, nodes: Nodes) -> bytes:
    """The hash over ``length`` entries from ``start`` on, where ``start`` is a multiple of what it is split into."""
    if length & (length - 1) == 0:
        level = length.bit_length() - 1
        return nodes(level, start >> level)
    half = _split(length)
    return node_hash(_subtree(start, half, nodes), _subtree(start + half, length - half, nodes))
