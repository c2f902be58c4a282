"""Ranges of versions as package.json writes them (https://github.com/npm/node-semver#ranges); pure."""

from __future__ import annotations

import re

from rebuilder.ecosystems.npm.subject import is_version, precedence

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
