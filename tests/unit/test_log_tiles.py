"""The tree in static files: their names, their bytes however the tree grew, and proofs out of them."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebuilder.log.tiles import (
    TileReader,
    bundle,
    consistency_path,
    grown,
    inclusion_path,
    is_consistent,
    leaf_hash,
    root,
    root_of_inclusion,
    tile_path,
    unbundle,
    widths,
)


class Tiles:
    """Tiles in memory, grown as a log grows them."""

    def __init__(self) -> None:
        self.size = 0
        self.tiles: dict[tuple[int, int], bytes] = {}

    def add(self, entries: list[bytes]) -> None:
        """Add entries."""
        for level, index, data in list(grown(self.size, entries, lambda level, index: self.tiles[level, index])):
            self.tiles[level, index] = data
        self.size += len(entries)

    def reader(self, size: int | None = None) -> TileReader:
        """Nodes out of files with the names of the specification; of an older size, shorter tiles."""
        files = {}
        for level, total in widths(self.size if size is None else size):
            for index in range((total + 255) // 256):
                width = min(256, total - index * 256)
                files[tile_path(level, index, width)] = self.tiles[level, index][: width * 32]
        return TileReader(self.size if size is None else size, lambda *place: files[tile_path(*place)])


def numbered(numbers: Iterable[int]) -> list[bytes]:
    """Entries that all differ."""
    return [b"entry %d" % each for each in numbers]


def test_names() -> None:
    """As in the specification, and a reader's tiles of a tree of 70,000 are those it lists."""
    assert tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert tile_path(1, 5, 17) == "tile/1/005.p/17"
    assert tile_path(None, 1000, 1) == "tile/entries/x001/000.p/1"
    assert [(level, *divmod(total, 256)) for level, total in widths(70_000)] == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert list(widths(256)) == [(0, 256), (1, 1)]
    assert list(widths(0)) == []


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=5))
def test_tiles_do_not_depend_on_how_the_tree_grew(steps: list[int]) -> None:
    """In one go or in pieces: the same bytes; every tree on the way proves its entries and that it only grew."""
    pieces, whole = Tiles(), Tiles()
    sizes = []
    for step in steps:
        pieces.add(numbered(range(pieces.size, pieces.size + step)))
        sizes.append(pieces.size)
    whole.add(numbered(range(pieces.size)))
    assert pieces.tiles == whole.tiles
    now = whole.reader()
    assert len(sizes) == len(steps)
    for size in sizes:
        then = whole.reader(size)
        path = inclusion_path(size - 1, size, then)
        assert root_of_inclusion(leaf_hash(b"entry %d" % (size - 1)), size - 1, size, path) == root(size, then)
        proof = consistency_path(size, whole.size, now)
        assert is_consistent(size, root(size, then), whole.size, root(whole.size, now), proof)


def test_a_large_tree_reads_few_tiles() -> None:
    """A proof in a tree of 70,000 entries reads at most two tiles of each level, each once."""
    tiles = Tiles()
    tiles.add(numbered(range(70_000)))
    asked: list[tuple[int, int, int]] = []
    inner = tiles.reader()._read

    def read(level: int, index: int, width: int) -> bytes:
        asked.append((level, index, width))
        return inner(level, index, width)

    reader = TileReader(70_000, read)
    path = inclusion_path(12_345, 70_000, reader)
    assert root_of_inclusion(leaf_hash(b"entry 12345"), 12_345, 70_000, path) == root(70_000, tiles.reader())
    assert len(asked) == len(set(asked)) <= 6


def test_a_tile_of_another_length_is_refused() -> None:
    """Shorter, longer, or one that the tree does not have."""
    tiles = Tiles()
    tiles.add(numbered(range(300)))
    for wrong in (b"", bytes(32), bytes(257 * 32)):
        with pytest.raises(ValueError, match="bytes, not"):
            TileReader(300, lambda *_, wrong=wrong: wrong)(0, 7)
    with pytest.raises(ValueError, match="no tile"):
        tiles.reader()(0, 600)
    with pytest.raises(ValueError, match="no node"):
        tiles.reader()(2, 75)


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_bundles(entries: list[bytes]) -> None:
    """What is bundled comes out again; cut or lengthened, it is no bundle."""
    data = bundle(entries)
    assert unbundle(data) == entries
    if data:
        with pytest.raises(ValueError, match="bundle"):
            unbundle(data[:-1] if len(data) > 1 and entries[-1] else data + b"\x00")
    with pytest.raises(ValueError, match="bundle"):
        unbundle(data + b"\x00")


def test_bounds_of_bundles() -> None:
    """Too long an entry, too many entries."""
    assert unbundle(bundle([bytes(65535)])) == [bytes(65535)]
    with pytest.raises(ValueError, match="65535"):
        bundle([bytes(65536)])
    with pytest.raises(ValueError, match="bundle"):
        unbundle(bundle([b"x"] * 257))
