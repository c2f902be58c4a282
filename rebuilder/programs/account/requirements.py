"""What the build files at the top of a source say is required, wherever that is put together.

A requirement that depends on the platform is in no ``PKG-INFO``, so it may stand here. Any other text of a build file
is none: the code of a warning, or a directory, is the name of somebody's distribution, too.
"""

from __future__ import annotations

import ast
import configparser
from collections.abc import Iterator, Sequence
from typing import Any

from rebuilder.programs.account.members import SourceFiles
from rebuilder.programs.account.tables import read_toml, table

_KEYS = {"install_requires", "extras_require", "requires", "requires_dist"}


def required_texts(source: SourceFiles) -> Iterator[str]:
    """Texts that a build may make requirements of; of ``setup.py`` all that may get into one."""
    for path in ("setup.py", "setup.cfg"):
        text = source.texts.get(path, b"").decode("utf-8", "replace")
        yield from _of_setup_py(text) if path == "setup.py" else _of_setup_cfg(text)
    document = read_toml(source.texts.get("pyproject.toml", b""))
    project = table(document, "project")
    for each in (project.get("dependencies"), *table(project, "optional-dependencies").values()):
        yield from (text for text in each if isinstance(text, str)) if isinstance(each, list) else ()


def _of_setup_cfg(text: str) -> Iterator[str]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return
    for section in parser.sections():
        for key, value in parser.items(section):
            if section == "options.extras_require" or key in _KEYS | {"install-requires", "requires-dist"}:
                yield from filter(None, map(str.strip, value.replace(";\n", "\n").splitlines()))


def _of_setup_py(text: str) -> Iterator[str]:
    """Texts given to setuptools as requirements, directly or by names that are assigned, extended or returned."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    parts = [part for node in nodes for part in _parts(node)]
    names, used, grows = set(_KEYS), set[int](), True
    while grows:
        grows = False
        for number, (name, values) in enumerate(parts):
            if name in names and number not in used:
                used.add(number)
                grows = True
                inside = [each for value in values for each in ast.walk(value)]
                names |= {each.id for each in inside if isinstance(each, ast.Name)}
                yield from (
                    line.strip()
                    for each in inside
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                    for line in each.value.splitlines()
                )


def _parts(node: Any) -> Iterator[tuple[str, Sequence[ast.AST]]]:
    """Names that a statement or an expression gives a value, or a piece of one, and that."""
    if isinstance(node, ast.keyword) and node.arg is not None:
        yield node.arg, [node.value]
    elif isinstance(node, ast.Assign):
        yield from ((name, [node.value]) for target in node.targets for name in _names(target))
    elif isinstance(node, (ast.AugAssign, ast.AnnAssign)) and node.value is not None:
        yield from ((name, [node.value]) for name in _names(node.target))
    elif isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values)  # noqa: B905 - Python 3.9
        yield from ((str(key.value), [value]) for key, value in pairs if isinstance(key, ast.Constant))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in {"append", "extend", "insert", "add", "update", "setdefault"}:
            yield from ((name, list(node.args)) for name in _names(node.func.value))
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node.name, [each for each in ast.walk(node) if isinstance(each, (ast.Return, ast.Yield))]


def _names(target: ast.AST) -> Iterator[str]:
    """Names and keys that are written to."""
    for each in ast.walk(target):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
