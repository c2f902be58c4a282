"""Packages of the same repository that have to be built before another one, since it imports them (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rebuilder.ecosystems.npm.scripts import ScriptStep, ways_to_build

MOST = 60
"""Neighbours of one package."""
_KINDS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies")


def built_before(packages: Mapping[str, Mapping[str, Any]], directory: str) -> tuple[ScriptStep, ...]:
    """The commands that build what a package depends on in its own repository, in an order in which each finds its own.

    Args:
        packages: The package.json of each package of the repository by its directory; hostile.
        directory: Of the package that is to be built, which is one of them.

    Raises:
        UnreadableScript: see :func:`rebuilder.ecosystems.npm.scripts.ways_to_build`.
    """
    places: dict[str, str] = {}
    for place, manifest in packages.items():
        if isinstance(name := manifest.get("name"), str):
            places.setdefault(name, place)
    order: list[str] = []
    open_: list[tuple[str, list[str]]] = [(directory, _needed(packages[directory], places))]
    seen = {directory}
    while open_:
        place, waiting = open_[-1]
        if not waiting:
            open_.pop()
            order.append(place)
            continue
        following = waiting.pop()
        if following not in seen and len(seen) <= MOST:
            seen.add(following)
            open_.append((following, _needed(packages[following], places)))
    return tuple(step for place in order[:-1] for step in _steps(packages[place], place))


def _needed(manifest: Mapping[str, Any], places: Mapping[str, str]) -> list[str]:
    """Directories of what a package names among its dependencies, the last first."""
    named = [name for kind in _KINDS if isinstance(found := manifest.get(kind), dict) for name in found]
    return list(dict.fromkeys(places[each] for each in named if each in places))[::-1]


def _steps(manifest: Mapping[str, Any], place: str) -> tuple[ScriptStep, ...]:
    scripts = manifest.get("scripts")
    texts = {name: text for name, text in scripts.items() if isinstance(text, str)} if isinstance(scripts, dict) else {}
    ways = ways_to_build(texts, place)
    return ways[0].steps if ways else ()
