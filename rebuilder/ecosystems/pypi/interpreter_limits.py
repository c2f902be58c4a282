"""Which Python a version of a build tool runs on, as ``interpreter_limits.toml`` has it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version


@dataclass(frozen=True)
class InterpreterLimit:
    """Some versions of a tool, and the Pythons they run on."""

    tools: tuple[str, ...]
    versions: str
    """As a specifier."""
    pythons: str
    """The same for Python."""
    why: str
    """As a clause."""
    source: str


LIMITS = tuple(
    InterpreterLimit(**row | {"tools": tuple(row["tools"])})
    for row in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["limits"]
)


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
            known = canonicalize_name(name)
            fits = known in limit.tools and SpecifierSet(limit.versions).contains(version, prereleases=True)
            if fits and not SpecifierSet(limit.pythons).contains(python):
                return f"{known} {version} does not run on Python {python}: {limit.why}."
    return None
