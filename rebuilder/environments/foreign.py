"""Whether a specification that a stranger wrote may be made here.

Making a tree runs mmdebstrap and changes files of the tree from outside, where absolute links of it lead into this
machine. So names must be names, and what is linked or removed must be what environments of this program's own catalog
link and remove. What else a tree may be is imported, not made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from rebuilder.environments.catalog import catalog
from rebuilder.model.environment import Specification

_SUITE = re.compile(r"[a-z][a-z0-9]{0,39}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.+-]{0,99}")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]{0,99}")
_PROVIDED = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,2}")


def problem(wanted: Specification) -> str | None:
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
