"""The Merkle tree of RFC 6962, section 2.1: hashes, proofs that an entry is in it, proofs that it only grew.

Positions and sizes count entries from 0. A *node* is a hash over a complete subtree: level 0 are the entries, and node
``index`` of ``level`` covers the entries from ``index * 2**level`` to ``(index + 1) * 2**level``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

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
