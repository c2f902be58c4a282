"""Which toolchain a wheel is rebuilt on (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from rebuilder.ecosystems.pypi.obstacles import Stopped, quoted
from rebuilder.model.inspection import Inspection
from rebuilder.model.verdict import Verdict


@dataclass(frozen=True)
class Interpreter:
    """A toolchain with the CPython it has."""

    toolchain: str
    python: str
    released: datetime
    """When this CPython came out: nothing was built with it before."""
    usual: bool = True
    """Whether it is tried when nothing points to it."""


INTERPRETERS = (
    Interpreter("forky", "3.14", datetime(2025, 10, 7, tzinfo=UTC), usual=False),
    Interpreter("trixie", "3.13", datetime(2024, 10, 7, tzinfo=UTC)),
    Interpreter("bookworm", "3.11", datetime(2022, 10, 24, tzinfo=UTC)),
    Interpreter("bullseye", "3.9", datetime(2020, 10, 5, tzinfo=UTC)),
)
"""Newest first."""

_NSPKG = re.compile(r".+-py(3\.\d{1,2})-nspkg\.pth")
_SCRIPT = re.compile(r"^(?P<name>[\w-]{1,60}?)-?(?P<python>3\.\d{1,2})\s*=\s*(?P<goal>\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class NamedPython:
    """The Python a wheel says it was built with."""

    python: str
    sentence: str


def named_python(wheel: Inspection) -> NamedPython | None:
    """The Python whose version is in the name of a file or of a command; None when none is.

    setuptools puts it into the names of ``-nspkg.pth`` files; some projects have a command such as ``pip3.9``.
    """
    for member in wheel.members:
        found = _NSPKG.fullmatch(member.name)
        if found:
            return NamedPython(found[1], f"The wheel holds {quoted(member.name)}: Python {found[1]} built it.")
    scripts = next((text for name, text in wheel.texts.items() if name.endswith("/entry_points.txt")), "")
    for found in _SCRIPT.finditer(scripts):
        if re.search(rf"^{re.escape(found['name'])}\s*=\s*{re.escape(found['goal'])}\s*$", scripts, re.MULTILINE):
            command = f"{found['name']}{found['python']}"
            return NamedPython(
                found["python"], f"The wheel has a command {quoted(command)}: Python {found['python']} built it."
            )
    return None


def choose(
    requires_python: str | None,
    uploaded: datetime,
    *,
    named: str | None = None,
    interpreters: Iterable[Interpreter] = INTERPRETERS,
) -> list[Interpreter]:
    """Interpreters the release supports, the likeliest first.

    The one that is named comes first; then the newest that existed when the wheel was uploaded; a wheel older than
    all of them gets the oldest, which differs least from what there was.

    Args:
        requires_python: ``Requires-Python`` as published; one that cannot be read is passed over.
        uploaded: When the wheel was published.
        named: The version the wheel names, such as ``3.9``.
        interpreters: Those there are, newest first.

    Raises:
        Stopped: the release supports none of them.
    """
    known = list(interpreters)
    supported = [each for each in known if _supports(requires_python, each.python)]
    if not supported:
        have = ", ".join(each.python for each in reversed(known))
        raise Stopped(
            Verdict.UNSUPPORTED,
            f"The release asks for Python {quoted(requires_python or '')}; there are toolchains with {have} only.",
        )
    usual = [each for each in supported if each.usual] or supported
    existed = [each for each in usual if each.released <= uploaded]
    later = [each for each in usual if each.released > uploaded]
    first = [each for each in supported if each.python == named]
    return list(dict.fromkeys([*first, *existed, *later[::-1]]))


def _supports(requires_python: str | None, python: str) -> bool:
    if not requires_python:
        return True
    try:
        # Any patch release of the series will do: the toolchain has the last one Debian took.
        return SpecifierSet(requires_python).contains(f"{python}.99", prereleases=True)
    except InvalidSpecifier:
        return True
