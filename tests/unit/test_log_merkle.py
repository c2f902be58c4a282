"""The tree of RFC 6962: known roots, an independent checker, and proofs that were tampered with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sigstore._internal.merkle import _chain_border_right, _chain_inner, _decomp_inclusion_proof

from rebuilder.log.tiles import (
    EMPTY_ROOT,
    complete_root,
    consistency_path,
    inclusion_path,
    is_consistent,
    leaf_hash,
    root,
    root_of_inclusion,
)

LEAVES = [bytes.fromhex(each) for each in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes(range(0x60, 0x70)))
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Of the trees with the first one, two … eight leaves: the vectors of the first implementation of RFC 6962."""


def nodes_of(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    """The nodes of a tree, straight from its leaves."""

    def node(level: int, index: int) -> bytes:
        part = leaves[index << level : (index + 1) << level]
        assert len(part) == 1 << level
        return complete_root(list(map(leaf_hash, part)))

    return node


def test_known_roots() -> None:
    """Every tree of the vectors has its root, and the empty one that of nothing."""
    nodes = nodes_of(LEAVES)
    assert [root(size, nodes).hex() for size in range(1, 9)] == ROOTS
    assert root(0, nodes) == EMPTY_ROOT == hashlib.sha256().digest()


@given(st.integers(1, 300), st.data())
def test_inclusion_is_what_another_implementation_computes(size: int, data: st.DataObject) -> None:
    """A proof leads to the root here and by the checker of a Sigstore client, and with any change nowhere."""
    index = data.draw(st.integers(0, size - 1))
    leaves = [each.to_bytes(2) for each in range(size)]
    nodes = nodes_of(leaves)
    path = inclusion_path(index, size, nodes)
    expected = root(size, nodes)
    assert root_of_inclusion(leaf_hash(leaves[index]), index, size, path) == expected
    inner, border = _decomp_inclusion_proof(index, size)
    assert len(path) == inner + border
    other = _chain_border_right(_chain_inner(leaf_hash(leaves[index]), path[:inner], index), path[inner:])
    assert other == expected
    if path:
        place = data.draw(st.integers(0, len(path) - 1))
        changed = [*path[:place], bytes(32), *path[place + 1 :]]
        assert root_of_inclusion(leaf_hash(leaves[index]), index, size, changed) != expected
        with pytest.raises(ValueError, match="shorter"):
            root_of_inclusion(leaf_hash(leaves[index]), index, size, path[:-1])
    with pytest.raises(ValueError, match="longer"):
        root_of_inclusion(leaf_hash(leaves[index]), index, size, [*path, bytes(32)])


@given(st.integers(0, 200), st.integers(0, 200), st.data())
def test_consistency(first: int, second: int, data: st.DataObject) -> None:
    """A tree that grew proves it; one that was changed, cut or put together otherwise does not."""
    old, size = sorted((first, second))
    leaves = [each.to_bytes(2) for each in range(size)]
    nodes = nodes_of(leaves)
    path = consistency_path(old, size, nodes)
    assert is_consistent(old, root(old, nodes), size, root(size, nodes), path)
    if not old:
        return
    place = data.draw(st.integers(0, old - 1))
    forked = nodes_of([*leaves[:place], b"another", *leaves[place + 1 :]])
    assert not is_consistent(old, root(old, forked), size, root(size, nodes), path)
    if old < size:
        other = root(size, forked)
        assert not is_consistent(old, root(old, nodes), size, other, consistency_path(old, size, forked))
        assert not is_consistent(old, root(old, nodes), size, root(size, nodes), path[:-1])
    assert not is_consistent(old, root(old, nodes), size, root(size, nodes), [*path, bytes(32)])
    assert not is_consistent(size + 1, root(old, nodes), size, root(size, nodes), path)


def test_no_proof_of_what_is_not_there() -> None:
    """Neither of an entry past the end nor of a larger tree within a smaller one."""
    nodes = nodes_of(LEAVES)
    for wrong in (-1, 8):
        with pytest.raises(ValueError, match="no entry"):
            inclusion_path(wrong, 8, nodes)
        with pytest.raises(ValueError, match="no entry"):
            root_of_inclusion(bytes(32), wrong, 8, [])
    with pytest.raises(ValueError, match="does not begin"):
        consistency_path(9, 8, nodes)
