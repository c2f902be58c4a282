"""What tests assert: never whole sentences of the program, but where wording is tested; no loop that finds nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from textwrap import indent

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "rebuilder").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
ROW = 7
"""So many words in a row are a sentence, not a fragment that a message must contain."""


@cache
def tree(path: Path) -> ast.Module:
    """A module as it was parsed once for all tests."""
    return ast.parse(path.read_text())


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and value of the strings in a module, but for docstrings and queries of a database."""
    idle = {id(node.value) for node in ast.walk(tree(path)) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree(path)):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or id(node) in idle:
            continue
        if not node.value.startswith("SELECT "):
            yield node.lineno, node.value


def rows(text: str) -> set[tuple[str, ...]]:
    """Every row of so many words."""
    words = [word for part in text.split() if (word := part.strip(".,:;!?()“”'"))]
    return {tuple(words[at : at + ROW]) for at in range(len(words) - ROW + 1)}


def test_sentences_stand_in_tests_of_wording_only() -> None:
    """Elsewhere a test looks at a value, or at a short fragment: whoever mends a sentence mends one test."""
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    patterns = re.findall(r"`(tests/[^`]+\.py)", guide.split("Tests of wording", 1)[1].split(" A loop ", 1)[0])
    wording = {path for pattern in patterns for path in ROOT.glob(pattern)}
    assert wording
    said = {row for path in MODULES for _, text in texts(path) for row in rows(text)}
    assert said
    others = [path for path in TESTS if path not in wording]
    assert [] == [f"{path}:{line} {text}" for path in others for line, text in texts(path) if rows(text) & said]


FEW = (ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Constant, ast.JoinedStr)
AS_MANY = {"enumerate", "sorted", "reversed", "list", "tuple", "set", "zip", "items", "values", "keys"}
"""Calls that give as many as they are given."""


def named(node: ast.AST) -> set[str]:
    """Names, attributes and calls in an expression, as they are written."""
    kinds = (ast.Name, ast.Attribute, ast.Call, ast.Subscript)
    return {ast.unparse(each) for each in ast.walk(node) if isinstance(each, kinds)}


def sources(node: ast.expr) -> list[ast.expr]:
    """What a loop goes over, out of the calls around it."""
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if name in AS_MANY and (inner := node.args or [getattr(node.func, "value", node)]):
            return [each for argument in inner for each in sources(argument)]
    return [node]


def written(node: ast.expr, names: dict[str, ast.expr]) -> bool:
    """Whether somebody wrote down what a loop goes over: a display, ``range(3)``, a constant or an enumeration."""
    if isinstance(node, FEW):
        return bool(getattr(node, "elts", True)) and bool(getattr(node, "keys", True))
    if isinstance(node, ast.Name):
        if node.id in names:
            return all(written(each, {}) for each in sources(names[node.id]))
        return node.id[0].isupper()
    if isinstance(node, ast.Attribute):
        return node.attr.isupper()
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "range"


def empty_loops(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and iterable of loops with assertions that pass where there is nothing to go over."""
    constants = assigned(module.body)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        asserts = [node for node in ast.walk(function) if isinstance(node, ast.Assert)]
        names = constants | assigned(list(ast.walk(function)))
        for loop in (node for node in ast.walk(function) if isinstance(node, ast.For)):
            inside = [node for line in loop.body for node in ast.walk(line) if isinstance(node, ast.Assert)]
            given = sources(loop.iter)
            if not inside or any(written(each, names) for each in given):
                continue
            outside = {name for node in asserts if node not in inside for name in named(node.test)}
            if not outside & {ast.unparse(each) for each in given}:
                yield loop.lineno, ast.unparse(loop.iter)


def assigned(nodes: list[ast.stmt] | list[ast.AST]) -> dict[str, ast.expr]:
    """Names that are given a value once, and that value."""
    found: dict[str, list[ast.expr]] = {}
    for node in nodes:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def test_loops_with_assertions_loop() -> None:
    """What is worked out may be empty: the same function asserts that it is not, or how many there are."""
    assert [] == [f"{path}:{line} for … in {what}" for path in TESTS for line, what in empty_loops(tree(path))]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("for a in find():\n  assert a", True),
        ("b = find()\nfor a in b:\n  assert a", True),
        ("b = find()\nassert b\nfor a in b:\n  assert a", False),
        ("b = find()\nassert 3 == len(b)\nfor a in sorted(b):\n  assert a", False),
        ("b = []\nfor a in b:\n  assert a", True),
        ("b = [1, 2]\nfor a in b:\n  assert a", False),
        ("for a, b in zip(find(), (1, 2), strict=True):\n  assert a", False),
        ("for a in b.items():\n  if a:\n    assert a", True),
        ("for a in find():\n  print(a)", False),
        ("assert b\nfor a in find(b):\n  assert a", True),
    ],
)
def test_an_empty_loop_is_found(body: str, found: bool) -> None:
    """The rule sees what may be empty, and no more."""
    assert found == bool([*empty_loops(ast.parse(f"def test():\n{indent(body, '  ')}"))])
