"""Which Node a release was built with, and which package manager installed what that needed, by rule (pure).

Ranges of versions are read as package.json writes them.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rebuilder.ecosystems.npm.dependencies import LockFile, Tool, find_lock
from rebuilder.ecosystems.npm.lock_files import LOCK_NAMES
from rebuilder.ecosystems.npm.subject import is_version, precedence
from rebuilder.model.replayed import Replayed, told_before

_MACHINES = {"aarch64": "arm64", "x86_64": "x64"}
NODE = f"node-linux-{_MACHINES.get(platform.machine(), platform.machine())}"
"""Package of the registry with the executable of each Node, for the machine that builds."""
_FIRST = {
    4: (2015, 9), 6: (2016, 4), 8: (2017, 5), 10: (2018, 4), 12: (2019, 4), 14: (2020, 4), 16: (2021, 4),
    18: (2022, 4), 20: (2023, 4), 22: (2024, 4), 24: (2025, 5), 26: (2026, 4),
}  # fmt: skip
"""Year and month of the first release of each series with long-term support (https://github.com/nodejs/release)."""
_SETTLED = timedelta(days=183)
"""After which a series is one with long-term support, and is what workflows and people use."""
_NAMED = re.compile(r"v?(?P<version>[0-9]+(?:\.[0-9]+){0,2})(?:\.x)?")
_CODENAMES = {
    "argon": 4, "boron": 6, "carbon": 8, "dubnium": 10, "erbium": 12, "fermium": 14, "gallium": 16, "hydrogen": 18,
    "iron": 20, "jod": 22, "krypton": 24,
}  # fmt: skip
_PUBLISHES = re.compile(
    r"\b(?:npm|pnpm|yarn)\s+(?:[a-z-]+\s+)*publish\b|changesets/action|semantic-release|release-please"
)
_WORKFLOW_NODE = re.compile(r"""node-version:\s*\[?\s*["']?v?(?P<version>[0-9]+(?:\.[0-9]+){0,2})""")
_MOST = 3
_BITS = 10
"""Of a Node: the registry has fewer than 1,024."""


@dataclass(frozen=True)
class NodeChoice:
    """A Node, and what speaks for it."""

    version: str
    sentence: str
    """The end of a sentence: "which .nvmrc names"."""
    replayed: tuple[Replayed, ...] = ()
    """Where it is what the registry has recorded of the published file."""


def choose(
    versions: Sequence[str],
    manifest: Mapping[str, Any],
    texts: Mapping[str, str],
    moment: datetime,
    recorded: str | None = None,
) -> list[NodeChoice]:
    """Nodes to build with, likeliest first.

    Args:
        versions: Those that can be had.
        manifest: The package.json; hostile.
        texts: Other files of the commit by path: ``.nvmrc``, ``.node-version``, workflows.
        moment: When it was released, about.
        recorded: What the registry says it was published with.
    """
    usable = [each for each in versions if is_version(each) and "-" not in each]
    found: dict[str, NodeChoice] = {}
    for named, sentence in _named(manifest, texts, recorded):
        version = _newest_of(usable, named)
        if version is not None:
            told = told_before("build-node", version, _BITS)
            found.setdefault(version, NodeChoice(version, sentence, (told,) if named == recorded else ()))
    usual = usual_at(usable, moment)
    engines = manifest.get("engines")
    wanted = engines.get("node") if isinstance(engines, dict) else None
    wanted = wanted if isinstance(wanted, str) else ""
    if usual is not None and satisfies(usual, wanted) is not False:
        found.setdefault(usual, NodeChoice(usual, "the newest with long-term support at the time"))
    elif wanted:
        fitting = [each for major in _FIRST if (each := newest(usable, major)) and satisfies(each, wanted)]
        nearest = min(fitting, key=lambda each: abs(precedence(each)[0][0] - series_at(moment)), default=None)
        if nearest is not None:
            found.setdefault(nearest, NodeChoice(nearest, "the nearest that engines of package.json allows"))
    if found:
        first = next(iter(found))
        before = newest(usable, max((each for each in _FIRST if each < precedence(first)[0][0]), default=0))
        if before is not None and satisfies(before, wanted) is not False:
            found.setdefault(before, NodeChoice(before, f"of the series before {first}, with which it did not build"))
    return list(found.values())[:_MOST]


def usual_at(versions: Sequence[str], moment: datetime) -> str | None:
    """The newest release of the newest series with long-term support at a moment that can be had."""
    settled = [major for major in sorted(_FIRST, reverse=True) if major <= series_at(moment)]
    return next((each for major in settled if (each := newest(versions, major)) is not None), None)


def series_at(moment: datetime) -> int:
    """The newest series with long-term support at a moment."""
    settled = [major for major, (year, month) in _FIRST.items() if _first(year, month) + _SETTLED <= moment]
    return max(settled, default=min(_FIRST))


def newest(versions: Iterable[str], major: int) -> str | None:
    """The newest release of a series; None where there is none."""
    return _newest_of(versions, str(major))


def _first(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)


def _newest_of(versions: Iterable[str], named: str) -> str | None:
    """The newest release that begins with these numbers."""
    found = [each for each in versions if is_version(each) and "-" not in each and f"{each}.".startswith(f"{named}.")]
    return max(found, key=precedence, default=None)


def _named(manifest: Mapping[str, Any], texts: Mapping[str, str], recorded: str | None) -> Iterator[tuple[str, str]]:
    """Versions that something names, each with what does."""
    if recorded is not None and is_version(recorded):
        yield recorded, "which the registry has recorded"
    for path, text in sorted(texts.items()):
        if path.startswith(".github/") and _PUBLISHES.search(text):
            yield from ((each["version"], f"which {path} publishes with") for each in _WORKFLOW_NODE.finditer(text))
    for path in (".nvmrc", ".node-version"):
        text = texts.get(path, "").strip().lower()[:40]
        found = _NAMED.fullmatch(text)
        series = _CODENAMES.get(text.removeprefix("lts/"))
        if found is not None or series is not None:
            yield found["version"] if found is not None else str(series), f"which {path} names"
    volta = manifest.get("volta")
    pinned = volta.get("node") if isinstance(volta, dict) else None
    if isinstance(pinned, str) and is_version(pinned):
        yield pinned, "which volta of package.json names"


_LONGEST = 500
_PARTIAL = re.compile(
    r"(?P<operator><=|>=|<|>|=|\^|~>?)?\s*[v=]?\s*"
    r"(?P<major>[0-9]{1,9}|[xX*])(?:\.(?P<minor>[0-9]{1,9}|[xX*]))?(?:\.(?P<patch>[0-9]{1,9}|[xX*]))?"
    r"(?P<before>-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?"
)
_HYPHEN = re.compile(r"\s+-\s+")
_Bound = tuple[int, int, int]


def satisfies(version: str, wanted: str) -> bool | None:
    """Whether an exact version is in a range; None where the text is no range. Versions before a release are in none.

    The forms are those of https://github.com/npm/node-semver#ranges, such as ``^18.17 || >=20``.
    """
    if len(wanted) > _LONGEST or not is_version(version):
        return None
    numbers, is_release = precedence(version)[:2]
    found = [_alternative(numbers, each.strip()) for each in wanted.split("||")]
    if None in found:
        return None
    return bool(is_release) and any(found)


def _alternative(numbers: _Bound, text: str) -> bool | None:
    if text in {"", "*", "x", "X", "latest"}:
        return True
    ends = _HYPHEN.split(text)
    if len(ends) == 2:
        text = f">={ends[0]} <={ends[1]}"
    at, fits = 0, True
    while at < len(text):
        comparator = _PARTIAL.match(text, at)
        if comparator is None:
            return None
        lowest, end = _bounds(comparator)
        fits = fits and lowest <= numbers < end
        at = comparator.end()
        while at < len(text) and text[at] in " \t,":
            at += 1
    return fits


_NONE, _ANY = (0, 0, 0), (1 << 40, 0, 0)


def _bounds(comparator: re.Match[str]) -> tuple[_Bound, _Bound]:
    """The lowest version of a comparator, and the lowest above it that is not in it."""
    parts = [int(each) for each in _given(comparator)]
    if not parts:
        return _NONE, _ANY
    start: _Bound = (*parts, *(0,) * (3 - len(parts)))  # type: ignore[assignment]
    after = _next(start, len(parts))
    operator = comparator["operator"] or "="
    if operator == "^":
        first = next((index for index, each in enumerate(parts) if each), len(parts) - 1)
        return start, _next(start, first + 1)
    if operator.startswith("~"):
        return start, _next(start, min(len(parts), 2))
    return {
        "=": (start, after),
        ">=": (start, _ANY),
        ">": (after, _ANY),
        "<": (_NONE, start),
        "<=": (_NONE, after),
    }[operator]


def _given(comparator: re.Match[str]) -> list[str]:
    found: list[str] = []
    for name in ("major", "minor", "patch"):
        if comparator[name] in {None, "x", "X", "*"}:
            break
        found.append(comparator[name])
    return found


def _next(start: _Bound, places: int) -> _Bound:
    """The lowest version that differs in the first ``places`` numbers."""
    kept = list(start[:places])
    kept[-1] += 1
    return (*kept, *(0,) * (3 - places))  # type: ignore[return-value]


_NAMED_MANAGER = re.compile(r"(?P<tool>npm|pnpm|yarn)@(?P<version>[0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?)(?:\+.*)?")
_TOOLS: tuple[Tool, ...] = ("npm", "pnpm", "yarn")
_NPM_OF_NODE = {4: 2, 6: 3, 8: 6, 10: 6, 12: 6, 14: 6, 16: 8, 18: 10, 20: 10, 22: 10, 24: 11, 26: 11}
"""Series of npm that each series of Node comes with in the end (https://nodejs.org/dist/index.json)."""
_PNPM_OF_LOCK = (("9", 9), ("6.1", 8), ("6", 8), ("5.4", 7), ("5.3", 6), ("5", 5))
"""Series of pnpm that writes each form of its lock file."""
_YARN_OF_LOCK = {b"4": 2, b"5": 3, b"6": 3, b"7": 4, b"8": 4}
"""Series of Yarn from version 2 on that writes each form of its lock file."""
_YARN_LOCK_VERSION = re.compile(rb"^__metadata:\s+version:\s*(?P<version>[0-9]{1,3})\b", re.MULTILINE)
_LOCK_VERSION = re.compile(rb"^lockfileVersion:\s*['\"]?(?P<version>[0-9.]+)", re.MULTILINE)


_ALLOWED = (("pnpm", "onlyBuiltDependencies"), ("trustedDependencies",), ("lavamoat", "allowScripts"))
_MOST_ALLOWED = 50
_PLAIN = re.compile(r"(?:@[A-Za-z0-9][A-Za-z0-9._-]{0,99}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
"""A name that is nothing else to a shell, and no option."""


@dataclass(frozen=True)
class ManagerChoice:
    """A package manager, and what it installs from."""

    tool: Tool
    version: str | None
    """The exact one that the source names; None: one that fits."""
    lock: LockFile | None
    """The lock file of the source; None where it has none."""


def choose_manager(
    manifests: Sequence[Mapping[str, Any] | None], locks: Mapping[str, bytes], directory: str
) -> ManagerChoice:
    """The package manager that a source is made for: the one it names, else the one whose lock file is nearest."""
    for manifest in manifests:
        named = manifest.get("packageManager") if manifest is not None else None
        found = _NAMED_MANAGER.fullmatch(named) if isinstance(named, str) and len(named) < 400 else None
        if found is not None:
            tool = next(each for each in _TOOLS if each == found["tool"])
            return ManagerChoice(tool, found["version"], _lock(locks, directory, tool))
    having = [(tool, lock) for tool in _TOOLS if (lock := _lock(locks, directory, tool)) is not None]
    if having:
        tool, lock = max(having, key=lambda each: len(each[1].directory))
        return ManagerChoice(tool, None, lock)
    return ManagerChoice("npm", None, None)


def _lock(locks: Mapping[str, bytes], directory: str, tool: Tool) -> LockFile | None:
    return find_lock(locks, directory, tool) if tool in LOCK_NAMES else None


def fitting_version(choice: ManagerChoice, node: str, versions: Sequence[str]) -> str | None:
    """A version that runs on a Node and reads the lock file; None where there is none among those that can be had."""
    if choice.version is not None:
        return choice.version if choice.version in versions else None
    if choice.tool == "npm":
        return newest(versions, npm_series(node))
    lock = choice.lock.data if choice.lock is not None else b""
    if choice.tool == "yarn":
        later = _YARN_LOCK_VERSION.search(lock)
        return newest(versions, _YARN_OF_LOCK.get(later["version"], 4) if later is not None else 1)
    found = _LOCK_VERSION.search(lock)
    written = found["version"].decode() if found is not None else "9"
    series = next((series for form, series in _PNPM_OF_LOCK if f"{written}.".startswith(f"{form}.")), 9)
    return newest(versions, series)


def allowed_scripts(manifests: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """Packages whose scripts of installation a source allows by name, in the fields of pnpm, Bun and LavaMoat."""
    found: list[Any] = []
    for manifest in manifests:
        for path in _ALLOWED:
            listed: Any = manifest
            for key in path:
                listed = listed.get(key) if isinstance(listed, Mapping) else None
            allowed = (
                [each for each, allows in listed.items() if allows is True] if isinstance(listed, dict) else listed
            )
            found += allowed if isinstance(allowed, list) else []
    return sorted({each for each in found if isinstance(each, str) and _PLAIN.fullmatch(each)})[:_MOST_ALLOWED]


def npm_series(node: str) -> int:
    """The series of npm that a Node comes with."""
    major = precedence(node)[0][0]
    return _NPM_OF_NODE[max((each for each in _NPM_OF_NODE if each <= major), default=4)]
