"""Which build environment a wheel is rebuilt on; which Python a build tool runs on (``interpreter_limits.toml``)."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from rebuilder.ecosystems.obstacles import quoted, unsupported
from rebuilder.ecosystems.pypi.subject import version_of
from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Inspection, Obstacle
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
    runs_on: str | None = None
    """The version that there is really, where that presents itself as ``python``; see docs/adr/0032."""
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
    "2.7": (_day("2010-07-03"), _day("2020-01-01")),
    "3.4": (_day("2014-03-16"), _day("2019-03-18")),
    "3.5": (_day("2015-09-13"), _day("2020-09-30")),
    "3.6": (_day("2016-12-23"), _day("2021-12-23")),
    "3.7": (_day("2018-06-27"), _day("2023-06-27")),
    "3.8": (_day("2019-10-14"), _day("2024-10-07")),
    "3.9": (_day("2020-10-05"), _day("2025-10-31")),
    "3.10": (_day("2021-10-04"), _day("2026-10-31")),
    "3.11": (_day("2022-10-24"), _day("2027-10-31")),
    "3.12": (_day("2023-10-02"), _day("2028-10-31")),
    "3.13": (_day("2024-10-07"), _day("2029-10-31")),
    "3.14": (_day("2025-10-07"), _day("2030-10-31")),
    "3.15": (_day("2026-10-01"), _day("2031-10-31")),
}
"""First release and end of each CPython, from PEPs 373, 429, 478, 494, 537, 569, 596, 619, 664, 693, 719, 745, 790."""
_UNKNOWN = (_day("2000-01-01"), _day("9999-12-31"))

INTERPRETERS = (
    Interpreter("forky", "3.14", *_LIVES["3.14"], usual=False),
    Interpreter("trixie", "3.13", *_LIVES["3.13"]),
    Interpreter("bookworm", "3.11", *_LIVES["3.11"]),
    Interpreter("bullseye", "3.9", *_LIVES["3.9"]),
    Interpreter("python2", "2.7", *_LIVES["2.7"], usual=False),
)
"""Newest first. Forky is Debian's next release: a mirror may lack it or lag behind, so something has to ask for it.

Only what is for Python 2 alone is built on that.
"""

_LAST_PYTHON_2 = INTERPRETERS[-1]
PYTHON_2 = "2.7"
_TAG = re.compile(r"^Tag: *((?:py|cp)2\d?)-|^Tag: *(\S+)", re.MULTILINE)
_LATER = "came out after the upload; it is tried because nothing that fits is as old as the wheel"
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
    compiled: bool = False
    """Whether the wheel has its bytecode, which no other Python writes."""


def named_python(wheel: Inspection) -> NamedPython | None:
    """The Python whose version is in the name of a file or of a command; None when none is.

    setuptools puts it into the names of ``-nspkg.pth`` files; some projects have a command such as ``pip3.9``, and
    ``pip`` or ``pip3`` that does the same. Bytecode has it in its name (PEP 3147), and says it as long as all of it is
    of one Python.
    """
    for member in wheel.members:
        found = _NSPKG.fullmatch(member.name)
        if found:
            return NamedPython(found[1], f"The wheel holds {quoted(member.name)}: Python {found[1]} built it.")
    tags = _TAG.findall(next((text for name, text in wheel.texts.items() if name.endswith(".dist-info/WHEEL")), ""))
    if tags and not any(other for _, other in tags):
        return NamedPython(PYTHON_2, f"The wheel is for Python 2 alone (its tag is {tags[0][0]}).")
    scripts = next((text for name, text in wheel.texts.items() if name.endswith("/entry_points.txt")), "")
    for found in _SCRIPT.finditer(scripts):
        name, goal = re.escape(found["name"]), re.escape(found["goal"])
        if re.search(rf"^{name}3?\s*=\s*{goal}\s*$", scripts, re.MULTILINE):
            command = f"{found['name']}{found['python']}"
            return NamedPython(
                found["python"], f"The wheel has a command {quoted(command)}: Python {found['python']} built it."
            )
    compiled = {f"{found[1]}.{found[2]}" for each in wheel.members if (found := _BYTECODE.fullmatch(each.name))}
    if len(compiled) == 1:
        [python] = compiled
        return NamedPython(python, f"The wheel holds bytecode of Python {python}.", compiled=True)
    return None


def named_is_lacking(named: NamedPython | None, used: Interpreter) -> Obstacle | None:
    """What stands in the way where a wheel names a Python and another one builds it: it shows in the files.

    The Python 2 that comes with this program is the last one, with the tools of its end: where it does not give a wheel
    that another Python 2 may have made, that says nothing about the wheel.
    """
    last = used.environment == _LAST_PYTHON_2.environment
    if named is None or (named.python == used.python and not last):
        return None
    lacking = f"No build environment has that Python; the build on {used.python} does not give it."
    if last:
        lacking = "The Python 2 that is here, Debian's last one, does not give it, and it may have been another one."
    sentence = f"{named.sentence} {lacking}"
    return Obstacle(verdict=Verdict.UNSUPPORTED, sentence=sentence, cause=Cause.MISSING_INTERPRETER)


def with_configured(settings: Mapping[str, InterpreterSettings]) -> tuple[Interpreter, ...]:
    """The interpreters there are and those of the settings, newest first; of one version that of the settings."""
    own = [
        Interpreter(name, each.version, *_LIVES.get(each.version, _UNKNOWN)) for name, each in sorted(settings.items())
    ]
    versions = {each.python for each in own}
    everything = [*own, *(each for each in INTERPRETERS if each.python not in versions)]
    return tuple(sorted(everything, key=lambda each: _minor(each.python), reverse=True))


def interpreter_in(environment: str, python: str) -> Interpreter:
    """The Python of an environment that is used because of something else that it has."""
    return Interpreter(environment, python, *_LIVES.get(python, _UNKNOWN))


def stand_ins(interpreters: Iterable[Interpreter]) -> list[Interpreter]:
    """For each CPython 3 there is no environment with, the nearest newer one that presents itself as it; newest first.

    What CPython changes from one release to the next rarely reaches the files of a wheel; its version does.
    """
    usual = sorted((each for each in interpreters if each.usual), key=lambda each: _minor(each.python))
    known = {each.python for each in interpreters}
    found = []
    for python, (released, ended) in _LIVES.items():
        real = next((each for each in usual if _minor(each.python) > _minor(python)), None)
        if python not in known and real is not None and python != PYTHON_2:
            found.append(Interpreter(real.environment, python, released, ended, usual=False, runs_on=real.python))
    return found[::-1]


def choose(
    requires_python: str | None,
    uploaded: datetime,
    *,
    named: NamedPython | None = None,
    tools: Mapping[str, str] | None = None,
    python_2: bool = False,
    interpreters: Iterable[Interpreter] = INTERPRETERS,
) -> list[Interpreter]:
    """Interpreters the release supports, the likeliest first, at most three, each with the reason.

    The one that is named comes first, or one that presents itself as it; then the newest that existed when the wheel
    was uploaded; a wheel older than all of them gets the oldest, which differs least from what there was, and then that
    presenting itself as the newest of that time. What the tools do not run on, and what had come to its end before the
    upload, is left out as long as something else is there.

    Args:
        requires_python: ``Requires-Python`` as published; one that cannot be read is passed over.
        uploaded: When the wheel was published.
        named: The one the wheel names.
        tools: Versions of build tools that were inferred, by name, such as ``{"setuptools": "44.1.1"}``.
        python_2: Whether the wheel is for Python 2, too: that comes last then, for what Python 3 cannot build.
        interpreters: Those there are, newest first.

    Raises:
        NotRebuildable: the release supports none of them.
    """
    known, last = list(interpreters), list[Interpreter]()
    if named is None or named.python != PYTHON_2:  # where nothing asks for it, any other is nearer
        last = [each for each in known if each.python == PYTHON_2 and supports(requires_python, PYTHON_2)]
        known = [each for each in known if each.python != PYTHON_2]
    supported = [each for each in known if supports(requires_python, each.python)]
    refusals = {each.python: refusal(tools or {}, each.python) for each in (*known, *stand_ins(known))}
    presented = [
        each for each in stand_ins(known) if supports(requires_python, each.python) and refusals[each.python] is None
    ]
    presented = [each for each in presented if each.released <= uploaded] or presented[-1:]
    if not supported and not presented:
        have = ", ".join(each.python for each in reversed(known))
        raise unsupported(
            f"The release asks for Python {quoted(requires_python or '')}; there are environments with {have} only.",
            Cause.MISSING_INTERPRETER,
        )
    able = [each for each in supported if refusals[each.python] is None] or (supported if not presented else [])
    wanted = named.python if named is not None else None
    first = [each for each in (*able, *(presented if named and not named.compiled else ())) if each.python == wanted]
    usual = [each for each in able if each.usual] or able
    alive = [each for each in usual if each.ended > uploaded] or usual
    existed = [each for each in alive if each.released <= uploaded]
    later = [each for each in alive if each.released > uploaded][::-1]
    ranked = [*existed, *later]
    if not existed:
        ranked[1:1] = presented[:1]
    if wanted is not None and not first:
        ranked.sort(key=lambda each: abs(_minor(each.python) - _minor(wanted)))
    chosen = list(dict.fromkeys([*first, *ranked]))[:_MOST] + (last if python_2 else [])
    passed_over = [each.python for each in supported if each.usual and each.released <= uploaded and each not in able]
    passed_over = passed_over or [each.python for each in supported if each.usual and refusals[each.python]][-1:]
    refused = refusals[passed_over[0]] if passed_over else None
    return [
        replace(each, reason=_reason(each, uploaded, wanted, refusals.get(each.python), refused)) for each in chosen
    ]


def _reason(chosen: Interpreter, uploaded: datetime, named: str | None, own: str | None, other: str | None) -> str:
    python = f"Python {chosen.python}"
    told = f"{other} " if other is not None and named is None else ""
    if chosen.runs_on is not None:
        why = "which the wheel names" if named == chosen.python else "which is as old as the wheel"
        return f"{told}No build environment has {python}, {why}: Python {chosen.runs_on} presents itself as it."
    if own is not None:
        return f"{own} There is no build environment with a Python that fits."
    if named == chosen.python:
        return f"{python} is the one the wheel names."
    if named is not None:
        return f"No build environment for Python {named}, which the wheel names, fits; {python} is tried instead."
    if other is not None:
        return f"{told}So {python} is used."
    was = "was there when the wheel was uploaded" if chosen.released <= uploaded else _LATER
    return f"{python} {was}."


def _minor(python: str) -> int:
    """Python 2 is older than any 3."""
    major, _, minor = python.partition(".")
    return int(minor) if major == "3" else 0


def supports(requires_python: str | None, python: str) -> bool:
    """Whether a release is for a series of Python; what cannot be read is passed over."""
    if not requires_python:
        return True
    try:
        # Any patch release of the series will do: the build environment has the last one Debian took.
        return SpecifierSet(requires_python).contains(f"{python}.99", prereleases=True)
    except InvalidSpecifier:
        return True


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
    for row in tomllib.loads(Path(__file__).with_name("interpreter_limits.toml").read_text(encoding="utf-8"))["limits"]
)


def refusal(tools: Mapping[str, str], python: str) -> str | None:
    """Why one of these tools does not run on a Python, as a sentence; None when nothing says so.

    A version that cannot be read is passed over.
    """
    for name, text in tools.items():
        if (version := version_of(text)) is None:
            continue
        for limit in LIMITS:
            known = canonicalize_name(name)
            fits = known in limit.tools and SpecifierSet(limit.versions).contains(version, prereleases=True)
            if fits and not SpecifierSet(limit.pythons).contains(python):
                return f"{known} {version} does not run on Python {python}: {limit.why}."
    return None
