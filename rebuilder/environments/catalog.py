"""The build environments there are, as data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Manifest

_COMPILER = re.compile(r"gcc(?:-\d+)?(?:=.*)?")
_DATA = Path(__file__).with_name("catalog.toml")


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(_DATA.read_text(encoding="utf-8"))


@cache
def catalog() -> dict[str, Manifest]:
    """All that have a name, variants included."""
    plain = [Manifest(name=name, **fields) for name, fields in _data()["environments"].items()]
    more = [
        variant(each, kind)
        for each in plain
        for kind, fields in _data()["variants"].items()
        if each.name in fields["of"]
    ]
    return {each.name: each for each in (*plain, *more)}


def bases() -> tuple[str, ...]:
    """Names of those that others are made of, sorted: each is there with git, too."""
    return tuple(sorted(_data()["variants"]["git"]["of"]))


def with_compilers(manifests: Iterable[Manifest]) -> tuple[Manifest, ...]:
    """Those of them that have GCC: it is said of what they provide, or one of their packages is."""
    return tuple(each for each in manifests if "gcc" in each.provides or any(map(_COMPILER.fullmatch, each.packages)))


def usual() -> tuple[str, ...]:
    """Names of those that are made ahead: all but those with a compiler, which few artifacts need."""
    later = {each.name for each in with_compilers(catalog().values())}
    return tuple(name for name, each in catalog().items() if name not in later and not each.configured)


def variant(base: Manifest, kind: str) -> Manifest:
    """The same environment with what a variant has besides.

    Raises:
        KeyError: it is not there of that environment.
    """
    variants = _data()["variants"]
    fields = {**variants.get(variants[kind].get("like"), {}), **variants[kind]}
    fields |= {"of": {}} | {name: _joined(fields.get(name), own) for name, own in fields["of"][base.name].items()}
    kept = set(base.packages) - set(fields.get("without", ()))
    return base.replace(
        name=f"{base.name}-{kind}",
        suite=fields.get("suite", base.suite),
        also=tuple(fields.get("also", ())),
        packages=tuple(sorted({*kept, *fields["packages"]})),
        provides={**base.provides, **fields.get("provides", {})},
        links={**base.links, **fields.get("links", {})},
        prune=(*base.prune, *fields["prune"]),
    )


def _joined(shared: Any, own: Any) -> Any:
    """What all of a variant have, and what one of them has besides."""
    if shared is None:
        return own
    return {**shared, **own} if isinstance(own, dict) else [*shared, *own]


def find(name: str) -> Manifest:
    """The manifest of that name.

    Raises:
        BuildEnvironmentError: there is none.
    """
    try:
        return catalog()[name]
    except KeyError:
        known = ", ".join(sorted(catalog()))
        raise BuildEnvironmentError(
            f"There is no build environment named {name!r}.", hint=f"Use one of: {known}."
        ) from None
