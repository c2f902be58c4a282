"""Which hash seed gives a set its order."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from rebuilder.ecosystems.pypi.hash_seed import SEEDS, hashed, iterated, seed_for

NAMES = ["matplotlib", "scipy", "python-crfsuite", "twython", "numpy", "pyparsing", "scikit-learn", "requests"]
HASH_39 = 11745306734968678616
ORDER_39 = ["python-crfsuite", "requests", "matplotlib", "pyparsing", "twython", "scipy", "scikit-learn", "numpy"]
THIS = f"{sys.version_info[0]}.{sys.version_info[1]}"


def iterated_by_python(seed: int, texts: list[str]) -> list[str]:
    """What the interpreter of the tests does with that seed."""
    program = "import json, sys; print(json.dumps(list(set(json.loads(sys.argv[1])))))"
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    ran = subprocess.run(
        [sys.executable, "-c", program, json.dumps(texts)], env=environment, check=True, capture_output=True, text=True
    )
    order: list[str] = json.loads(ran.stdout)
    return order


@pytest.mark.parametrize("seed", [0, 1, 77, 65_535])
@pytest.mark.parametrize("number", [2, 4, 5, 8])
def test_like_python(seed: int, number: int) -> None:
    """The same order as the interpreter gives, for tables of both sizes."""
    assert iterated_by_python(seed, NAMES[:number]) == iterated(NAMES[:number], seed, 1)


def test_before_python_3_11() -> None:
    """Two rounds a word then; order and hash are those that Python 3.9 gave."""
    assert HASH_39 == hashed(b"scikit-learn", (0, 0), 2)
    assert ORDER_39 == iterated(NAMES, 3, 2)


def test_found() -> None:
    """A seed that gives all orders at once, though another one made them."""
    names, others = NAMES[:5], NAMES[5:]
    orders = [(iterated(each, 4711, 1), iterated(each, 0, 1)) for each in (names, others)]
    seed = seed_for(orders, "3.13")
    assert seed is not None
    assert 0 < seed < SEEDS
    assert [order for order, _ in orders] == [iterated_by_python(seed, each) for each in (names, others)]


@pytest.mark.parametrize(
    "orders",
    [
        [],
        [(["a", "b"], ["b", "a"])] if iterated(["a", "b"], 0, 1) == ["a", "b"] else [(["b", "a"], ["a", "b"])],
        [(NAMES, iterated(NAMES, 0, 2))],
        [([f"a{number}" for number in range(9)], [f"a{number}" for number in range(9)][::-1])],
    ],
)
def test_not_a_set(orders: list[tuple[list[str], list[str]]]) -> None:
    """What the seed 0 does not order so is no set of these texts; of too many no seed is looked for."""
    assert seed_for(orders, THIS) is None
