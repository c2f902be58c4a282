"""The build environments there are, as data; and whether a specification that a stranger wrote may be made here.

Making a tree runs mmdebstrap and changes files of the tree from outside, where absolute links of it lead into this
machine. So names must be names, and what is linked or removed must be what environments of this program's own catalog
link and remove. What else a tree may be is imported, not made.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.environment import Manifest, Specification

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


_SUITE = re.compile(r"[a-z][a-z0-9]{0,39}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,99}")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]{0,99}")
_PROVIDED = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")


def why_not_made(wanted: Specification) -> str | None:
    """What in it is not made, as the end of a sentence; None when all of it may be."""
    return next(_problems(wanted), None)


def _problems(wanted: Specification) -> Iterator[str]:
    if wanted.method == "image":
        given = "is not said" if wanted.image is None else f"has the digest {wanted.image.sha256}"
        yield f"it is of an image that was given, which {given}: import that image, or an export of the environment"
    if wanted.base is not None:
        if (wanted.method, wanted.base.base) != ("configured", None):
            yield "it lies over another one as none of this program does"
        yield from _problems(wanted.base)
    known = catalog().values()
    links = {each for manifest in known for each in manifest.links.items()}
    prune = {each for manifest in known for each in manifest.prune}
    if not all(map(_SUITE.fullmatch, (wanted.suite, *wanted.also))):
        yield "its suite is no name of a release of Debian"
    parts = ((each.name, each.version, each.architecture) for each in wanted.packages)
    if not all(_NAME.fullmatch(a) and _VERSION.fullmatch(b) and _NAME.fullmatch(c) for a, b, c in parts):
        yield "a package in it has no name and version as Debian's have"
    if not set(wanted.links.items()) <= links:
        yield "it has links that no environment of this program has"
    if not set(wanted.prune) <= prune:
        yield "it leaves out what no environment of this program leaves out"
    if not all(map(_PROVIDED.fullmatch, wanted.provides.values())):
        yield "it provides something without a version"
