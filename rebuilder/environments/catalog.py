"""The build environments there are, as data."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Manifest

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
    """Names of those that every variant is there of, sorted."""
    return tuple(sorted(set.intersection(*(set(fields["of"]) for fields in _data()["variants"].values()))))


def variants() -> tuple[str, ...]:
    """Names of the variants, such as ``git``."""
    return tuple(_data()["variants"])


def variant(base: Manifest, kind: str) -> Manifest:
    """The same environment with what a variant has besides."""
    fields = _data()["variants"][kind]
    packages = tuple(sorted({*base.packages, *fields["packages"]}))
    return base.replace(name=f"{base.name}-{kind}", packages=packages, prune=(*base.prune, *fields["prune"]))


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
