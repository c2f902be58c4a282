"""Which Python a version of a build tool runs on (pure).

Each row was measured: a small project was built with releases before and after the limit, on Python 3.9, 3.11, 3.13 and
3.14. The source says what changed in Python, or in the tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class InterpreterLimit:
    """Some versions of a tool, and the Pythons they run on."""

    tool: str
    versions: str
    """As a specifier."""
    pythons: str
    """The same for Python."""
    why: str
    """As a clause."""
    source: str


LIMITS = (
    InterpreterLimit(
        "setuptools",
        "<39",
        "<3.10",
        "collections.MutableMapping is gone since Python 3.10",
        "docs.python.org, What's New In Python 3.10, Removed",
    ),
    InterpreterLimit(
        "setuptools",
        ">=39,<41.1",
        "<3.9",
        "HTMLParser.unescape is gone since Python 3.9",
        "setuptools 41.1.0, #1788; docs.python.org, What's New In Python 3.9, Removed",
    ),
    InterpreterLimit(
        "setuptools",
        ">=41.1,<66.1",
        "<3.12",
        "distutils and pkgutil.ImpImporter are gone since Python 3.12",
        "PEP 632; setuptools 66.1.0, #3685",
    ),
    InterpreterLimit(
        "setuptools", ">=83", ">=3.10", "it asks for Python 3.10", "Requires-Python of setuptools 84.0.0 and 82.0.1"
    ),
    InterpreterLimit(
        "wheel",
        "<0.29",
        "<3.12",
        "the module imp is gone since Python 3.12",
        "docs.python.org, What's New In Python 3.12, Removed",
    ),
    *(
        InterpreterLimit(
            tool,
            "<3.10",
            "<3.14",
            "ast.Str is gone since Python 3.14",
            "docs.python.org, What's New In Python 3.14, Removed",
        )
        for tool in ("flit", "flit-core")
    ),
    *(
        InterpreterLimit(
            tool,
            "<1.1",
            "<3.12",
            "its copy of six cannot be imported since Python 3.12",
            "six 1.16.0, which has find_spec; docs.python.org, What's New In Python 3.12, Removed",
        )
        for tool in ("poetry", "poetry-core")
    ),
)
"""Versions in no row run on every Python there is a build environment for, or were not measured."""


def refusal(tools: Mapping[str, str], python: str) -> str | None:
    """Why one of these tools does not run on a Python, as a sentence; None when nothing says so.

    Args:
        tools: Version by name of what a build uses; a version that cannot be read is passed over.
        python: Such as ``3.11``.
    """
    for name, text in tools.items():
        try:
            version = Version(text)
        except InvalidVersion:
            continue
        for limit in LIMITS:
            fits = limit.tool == canonicalize_name(name) and SpecifierSet(limit.versions).contains(
                version, prereleases=True
            )
            if fits and not SpecifierSet(limit.pythons).contains(python):
                return f"{limit.tool} {version} does not run on Python {python}: {limit.why}."
    return None
