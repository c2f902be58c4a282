"""Which hash seed puts texts of a set in the order that a published file has them in (pure).

Python hashes texts with a key that each process draws anew, unless ``PYTHONHASHSEED`` is set; sets are iterated in the
order of those hashes. A project that collects its requirements in a set so writes them in another order each time.
What is done here is what CPython does: ``Python/bootstrap_hash.c`` makes a key of a seed, ``Python/pyhash.c`` hashes
(SipHash-2-4 up to 3.10, SipHash-1-3 from 3.11), ``Objects/setobject.c`` keeps sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from math import factorial, prod

SEEDS = 1 << 16
"""Seeds that are looked at: 1 to one less. 0 is that of every other build."""
_LONGEST = 8
"""Texts in one set that are looked at."""
_MANY = 6
"""Texts of which not every order is looked at."""
_MASK = (1 << 64) - 1
_LINEAR_PROBES = 9


def seed_for(orders: Sequence[tuple[Sequence[str], Sequence[str]]], python: str) -> int | None:
    """The first seed with which every set comes in the published order; None when there is none.

    Args:
        orders: For each set the texts in the order of the published and of a rebuilt file, that with the seed 0. They
            are sets only if the seed 0 gives that order.
        python: Version of the interpreter, such as ``3.11``.
    """
    if python.startswith("2."):
        return None  # it hashes otherwise, and the same in each run
    rounds = 1 if tuple(map(int, python.split("."))) >= (3, 11) else 2
    numbers = [len(published) for published, _ in orders]
    if not orders or max(numbers) > _LONGEST or prod(map(factorial, numbers)) > SEEDS:
        return None  # hardly any seed gives all of them
    added = [_added(published, rebuilt, rounds) for published, rebuilt in orders]
    for seed in range(1, SEEDS if all(added) else 1):
        if all(_ascends(published, seed, rounds) for published, _ in orders) and all(
            iterated(each, seed, rounds) == list(published)
            for (published, _), found in zip(orders, added, strict=True)
            for each in found
        ):
            return seed
    return None


def _added(published: Sequence[str], rebuilt: Sequence[str], rounds: int) -> list[Sequence[str]]:
    """In which order the texts may have been added to a set that comes as the rebuilt one with the seed 0."""
    every = permutations(published) if len(published) < _MANY else (published, rebuilt, sorted(published))
    return [each for each in every if iterated(each, 0, rounds) == list(rebuilt)]


def _ascends(texts: Sequence[str], seed: int, rounds: int) -> bool:
    """Whether no text would be before the one before it, as far as none is in the way of another; soon told."""
    key, mask, before = _key(seed), (8 if len(texts) < 5 else 32) - 1, 0
    for text in texts:
        slot = hashed(text.encode(), key, rounds) & mask
        if slot < before:
            return False
        before = slot
    return True


def iterated(texts: Sequence[str], seed: int, rounds: int) -> list[str]:
    """The order in which a set of texts is iterated that were added in this order, eight at most."""
    key = _key(seed)
    hashes = [(hashed(text.encode(), key, rounds), text) for text in texts]
    table = _filled(8, hashes[:5])
    if len(hashes) > 4:
        table = _filled(32, [*(each for each in table if each is not None), *hashes[5:]])
    return [entry[1] for entry in table if entry is not None]


def hashed(data: bytes, key: tuple[int, int], rounds: int) -> int:
    """SipHash of what is not empty, with 1 or 2 rounds for each word and 3 or 4 at the end, as 64 bits."""
    v0, v1 = key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D
    v2, v3 = key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573
    whole = len(data) & ~7
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    words.append((len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little"))
    for number, word in enumerate((*words, 0)):
        last = number == len(words)
        v3 ^= word
        v2 ^= 0xFF if last else 0
        for _ in range(rounds + 2 if last else rounds):
            v0 = (v0 + v1) & _MASK
            v1 = (v1 << 13 | v1 >> 51) & _MASK ^ v0
            v2 = (v2 + v3) & _MASK
            v3 = (v3 << 16 | v3 >> 48) & _MASK ^ v2
            v2 = (v2 + v1) & _MASK
            v1 = (v1 << 17 | v1 >> 47) & _MASK ^ v2
            v0 = (v0 << 32 | v0 >> 32) & _MASK
            v0 = (v0 + v3) & _MASK
            v3 = (v3 << 21 | v3 >> 43) & _MASK ^ v0
            v2 = (v2 << 32 | v2 >> 32) & _MASK
        v0 ^= word
    result = v0 ^ v1 ^ v2 ^ v3
    return _MASK - 1 if result == _MASK else result


def _key(seed: int) -> tuple[int, int]:
    """The key of a seed; that of 0 is zero."""
    drawn, state = bytearray(16), seed
    for at in range(16 if seed else 0):
        state = (state * 214013 + 2531011) & 0xFFFFFFFF
        drawn[at] = state >> 16 & 0xFF
    return int.from_bytes(drawn[:8], "little"), int.from_bytes(drawn[8:], "little")


_Table = list[tuple[int, str] | None]


def _filled(size: int, entries: Sequence[tuple[int, str]]) -> _Table:
    table: _Table = [None] * size
    for entry in entries:
        _add(table, entry)
    return table


def _add(table: _Table, entry: tuple[int, str]) -> None:
    mask = len(table) - 1
    at, perturb = entry[0] & mask, entry[0]
    while True:
        for slot in range(at, at + (_LINEAR_PROBES if at + _LINEAR_PROBES <= mask else 0) + 1):
            if table[slot] is None:
                table[slot] = entry
                return
        perturb >>= 5
        at = (at * 5 + 1 + perturb) & mask
