"""Which Node a release was built with, by rule; ranges of versions as package.json writes them (pure)."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rebuilder.ecosystems.npm.subject import is_version, precedence
from rebuilder.model.replayed import Replayed, When

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
            told = Replayed(name="build-node", when=When.BEFORE_BUILD, value=version, bits=_BITS)
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
    """Whether a version is in a range; None where the text is no range. Versions before a release are in none.

    The forms are those of https://github.com/npm/node-semver#ranges.

    Args:
        version: An exact one.
        wanted: Such as ``^18.17 || >=20``.
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
