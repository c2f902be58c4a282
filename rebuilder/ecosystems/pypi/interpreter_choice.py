"""Which build environment a wheel is rebuilt on (pure)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from rebuilder.ecosystems.pypi.interpreter_limits import refusal
from rebuilder.ecosystems.pypi.obstacles import NotRebuildable, quoted
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Inspection
from rebuilder.model.settings import InterpreterSettings
from rebuilder.model.verdict import Verdict


@dataclass(frozen=True)
class Interpreter:
    """A build environment with the CPython it has."""

    environment: str
    python: str
    released: datetime
    """When this CPython came out: nothing was built with it before."""
    ended: datetime
    """After that its makers mend nothing any more, and hardly anybody builds with it."""
    usual: bool = True
    """Whether it is tried when nothing points to it."""
    reason: str = ""
    """Why it was chosen, as a sentence; empty when it was not chosen yet."""


def python_of(environment: BuildEnvironment) -> str:
    """Version of the Python an environment provides, such as ``3.13``.

    Raises:
        BuildEnvironmentError: it provides none.
    """
    try:
        return environment.provides["python"]
    except KeyError:
        raise BuildEnvironmentError(f"The build environment {environment.name} has no Python.") from None


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_LIVES = {
    "3.9": (_day("2020-10-05"), _day("2025-10-31")),
    "3.10": (_day("2021-10-04"), _day("2026-10-31")),
    "3.11": (_day("2022-10-24"), _day("2027-10-31")),
    "3.12": (_day("2023-10-02"), _day("2028-10-31")),
    "3.13": (_day("2024-10-07"), _day("2029-10-31")),
    "3.14": (_day("2025-10-07"), _day("2030-10-31")),
    "3.15": (_day("2026-10-01"), _day("2031-10-31")),
}
"""First release and end of each CPython, from PEPs 596, 619, 664, 693, 719, 745 and 790."""
_UNKNOWN = (_day("2000-01-01"), _day("9999-12-31"))

INTERPRETERS = (
    Interpreter("forky", "3.14", *_LIVES["3.14"], usual=False),
    Interpreter("trixie", "3.13", *_LIVES["3.13"]),
    Interpreter("bookworm", "3.11", *_LIVES["3.11"]),
    Interpreter("bullseye", "3.9", *_LIVES["3.9"]),
)
"""Newest first. Forky is Debian's next release: a mirror may lack it or lag behind, so something has to ask for it."""

_MOST = 3
"""Interpreters that are tried for one file."""
_NSPKG = re.compile(r".+-py(\d\.\d{1,2})-nspkg\.pth")
_BYTECODE = re.compile(r"(?:.*/)?__pycache__/[^/]+\.cpython-(3)(\d{1,2})(?:\.opt-[12])?\.pyc")
_SCRIPT = re.compile(r"^(?P<name>[\w-]{1,60}?)-?(?P<python>3\.\d{1,2})\s*=\s*(?P<goal>\S+)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class NamedPython:
    """The Python a wheel says it was built with."""

    python: str
    sentence: str


def named_python(wheel: Inspection) -> NamedPython | None:
    """The Python whose version is in the name of a file or of a command; None when none is.

    setuptools puts it into the names of ``-nspkg.pth`` files; some projects have a command such as ``pip3.9``. Bytecode
    has it in its name (PEP 3147), and says it as long as all of it is of one Python.
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
    compiled = {f"{found[1]}.{found[2]}" for each in wheel.members if (found := _BYTECODE.fullmatch(each.name))}
    if len(compiled) == 1:
        [python] = compiled
        return NamedPython(python, f"The wheel holds bytecode of Python {python}.")
    return None


def with_configured(settings: Mapping[str, InterpreterSettings]) -> tuple[Interpreter, ...]:
    """The interpreters there are and those of the settings, newest first; of one version that of the settings."""
    own = [
        Interpreter(name, each.version, *_LIVES.get(each.version, _UNKNOWN)) for name, each in sorted(settings.items())
    ]
    versions = {each.python for each in own}
    everything = [*own, *(each for each in INTERPRETERS if each.python not in versions)]
    return tuple(sorted(everything, key=lambda each: _minor(each.python), reverse=True))


def choose(
    requires_python: str | None,
    uploaded: datetime,
    *,
    named: str | None = None,
    tools: Mapping[str, str] | None = None,
    interpreters: Iterable[Interpreter] = INTERPRETERS,
) -> list[Interpreter]:
    """Interpreters the release supports, the likeliest first, at most three, each with the reason.

    The one that is named comes first, or the nearest to it; then the newest that existed when the wheel was uploaded;
    a wheel older than all of them gets the oldest, which differs least from what there was. What the tools do not run
    on, and what had come to its end before the upload, is left out as long as something else is there.

    Args:
        requires_python: ``Requires-Python`` as published; one that cannot be read is passed over.
        uploaded: When the wheel was published.
        named: The version the wheel names, such as ``3.9``.
        tools: Versions of build tools that were inferred, by name, such as ``{"setuptools": "44.1.1"}``.
        interpreters: Those there are, newest first.

    Raises:
        NotRebuildable: the release supports none of them.
    """
    known = list(interpreters)
    supported = [each for each in known if _supports(requires_python, each.python)]
    if not supported:
        have = ", ".join(each.python for each in reversed(known))
        raise NotRebuildable(
            Verdict.UNSUPPORTED,
            f"The release asks for Python {quoted(requires_python or '')}; there are environments with {have} only.",
            Cause.MISSING_INTERPRETER,
        )
    refusals = {each.python: refusal(tools or {}, each.python) for each in supported}
    able = [each for each in supported if refusals[each.python] is None] or supported
    first = [each for each in able if each.python == named]
    usual = [each for each in able if each.usual] or able
    alive = [each for each in usual if each.ended > uploaded] or usual
    existed = [each for each in alive if each.released <= uploaded]
    later = [each for each in alive if each.released > uploaded][::-1]
    ranked = [*existed, *later]
    if named is not None and not first:
        ranked.sort(key=lambda each: abs(_minor(each.python) - _minor(named)))
    chosen = list(dict.fromkeys([*first, *ranked]))[:_MOST]
    passed_over = [each.python for each in supported if each.usual and each.released <= uploaded and each not in able]
    refused = refusals[passed_over[0]] if passed_over else None
    return [replace(each, reason=_reason(each, uploaded, named, refusals[each.python], refused)) for each in chosen]


def _reason(chosen: Interpreter, uploaded: datetime, named: str | None, own: str | None, other: str | None) -> str:
    python = f"Python {chosen.python}"
    if own is not None:
        return f"{own} There is no build environment with a Python that fits."
    if named == chosen.python:
        return f"{python} is the one the wheel names."
    if named is not None:
        return f"No build environment for Python {named}, which the wheel names, fits; {python} is tried instead."
    if other is not None:
        return f"{other} So {python} is used."
    if chosen.released > uploaded:
        return f"{python} came out after the upload; it is tried because nothing that fits is as old as the wheel."
    return f"{python} was there when the wheel was uploaded."


def _minor(python: str) -> int:
    """Python 2 is older than any 3."""
    major, _, minor = python.partition(".")
    return int(minor) if major == "3" else 0


def _supports(requires_python: str | None, python: str) -> bool:
    if not requires_python:
        return True
    try:
        # Any patch release of the series will do: the build environment has the last one Debian took.
        return SpecifierSet(requires_python).contains(f"{python}.99", prereleases=True)
    except InvalidSpecifier:
        return True
