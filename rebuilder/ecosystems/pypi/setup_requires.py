"""What ``setup.py`` says it needs to be run, as far as that can be read without running it (pure).

Setuptools from before there was a hook to ask loads ``setup_requires`` over the network while it runs.
"""

from __future__ import annotations

import ast
import warnings
from dataclasses import replace

from packaging.requirements import InvalidRequirement

from rebuilder.ecosystems.pypi.requirements import Requirements
from rebuilder.foreign_words import read_requirement

_MOST = 20
_LONGEST = 1 << 18


def with_setup_requires(found: Requirements, setup_py: str | None) -> Requirements:
    """Add what ``setup.py`` names to the build requirements, whatever else of them is tried."""
    texts = setup_requires(setup_py)
    return _added(found, texts, f"setup.py asks for {', '.join(texts)} to be run.") if texts else found


def _added(found: Requirements, texts: tuple[str, ...], note: str) -> Requirements:
    return replace(
        found,
        requirements=(*found.requirements, *texts),
        notes=(*found.notes, note),
        alternatives=tuple(_added(each, texts, note) for each in found.alternatives),
        stand_in=found.stand_in and _added(found.stand_in, texts, note),
    )


def setup_requires(setup_py: str | None) -> tuple[str, ...]:
    """Requirements in the keyword ``setup_requires`` of a call, where they are written out; releases only."""
    if setup_py is None or len(setup_py) > _LONGEST:
        return ()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(setup_py)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "setup_requires":
            return tuple(text for text in _literals(node.value)[:_MOST] if _is_release(text))
    return ()


def _literals(node: ast.expr) -> list[str]:
    items = node.elts if isinstance(node, ast.List | ast.Tuple) else [node]
    return [each.value for each in items if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_release(text: str) -> bool:
    try:
        return read_requirement(text).url is None
    except InvalidRequirement:
        return False
