"""Which toolchain a wheel is rebuilt on (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from rebuilder.ecosystems.pypi.obstacles import Stopped, quoted
from rebuilder.model.verdict import Verdict


@dataclass(frozen=True)
class Interpreter:
    """A toolchain with the CPython it has."""

    toolchain: str
    python: str
    released: datetime
    """When this CPython came out: nothing was built with it before."""


INTERPRETERS = (
    Interpreter("trixie", "3.13", datetime(2024, 10, 7, tzinfo=UTC)),
    Interpreter("bookworm", "3.11", datetime(2022, 10, 24, tzinfo=UTC)),
)
"""Newest first."""


def choose(requires_python: str | None, uploaded: datetime) -> list[Interpreter]:
    """Interpreters the release supports, the likeliest first.

    The newest that existed when the wheel was uploaded comes first; a wheel older than all of them gets the oldest,
    which differs least from what there was.

    Args:
        requires_python: ``Requires-Python`` as published; one that cannot be read is passed over.
        uploaded: When the wheel was published.

    Raises:
        Stopped: the release supports none of them.
    """
    supported = [each for each in INTERPRETERS if _supports(requires_python, each.python)]
    if not supported:
        have = " and ".join(each.python for each in reversed(INTERPRETERS))
        raise Stopped(
            Verdict.UNSUPPORTED,
            f"The release asks for Python {quoted(requires_python or '')}; there are toolchains with {have} only.",
        )
    existed = [each for each in supported if each.released <= uploaded]
    later = [each for each in supported if each.released > uploaded]
    return existed + later[::-1]


def _supports(requires_python: str | None, python: str) -> bool:
    if not requires_python:
        return True
    try:
        # Any patch release of the series will do: the toolchain has the last one Debian took.
        return SpecifierSet(requires_python).contains(f"{python}.99", prereleases=True)
    except InvalidSpecifier:
        return True
