"""Which tags of a repository may be that of a version of a package (pure)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LONGEST = 200
_MOST = 500
"""Tags that end with a version, and are looked at."""
_SEPARATORS = "-_/@. "
_WORDS = re.compile(r"(?:(?:^|(?<=[-_/@. ]))(?:releases?|rel|versions?|ver|v|r)[-_/@. ]*)+$")
"""What tags have in front of a version, whatever the package."""


@dataclass(frozen=True)
class ReleaseTag:
    """A tag that ends with the version."""

    name: str
    commit: str
    own: bool
    """Whether it names the package, as in a repository with several."""


def release_tags(tags: Mapping[str, str], package: str, version: str, versions: Sequence[str]) -> list[ReleaseTag]:
    """Tags of a version, the clearest first.

    First those that name the package (``@scope/name@1.2.3``, ``name-v1.2.3``, ``packages/name/1.2.3``), then those with
    nothing but the version (``v1.2.3``, ``1.2.3``, ``release-1.2.3``), then those with any other beginning that other
    versions of the package have, too.

    Args:
        tags: Tag to commit.
        package: Name of the package.
        version: As published.
        versions: All versions of the package that the registry has.
    """
    found: list[tuple[int, int, str]] = []
    known = set(versions) - {version}
    ending = (name for name in tags if name.endswith(version) and len(name) <= _LONGEST)
    for name in sorted(ending, key=lambda name: (len(name), name))[:_MOST]:
        beginning = name[: -len(version)]
        if beginning and (beginning[-1].isdigit() or beginning[-1] in ".+"):
            continue
        rank = _rank(beginning, package)
        if rank < 2 or _is_habit(beginning, tags, known):
            found.append((rank, len(name), name))
    return [ReleaseTag(name, tags[name], own=rank == 0) for rank, _, name in sorted(found)]


def _rank(beginning: str, package: str) -> int:
    """0: it names the package; 1: nothing but words for "version"; 2: anything else."""
    scope, _, plain = package.lstrip("@").lower().rpartition("/")
    stem = _WORDS.sub("", beginning.lower()).rstrip(_SEPARATORS)
    if not stem:
        return 1
    names = {package.lower(), plain, f"{scope}/{plain}", f"{scope}-{plain}"}
    return 0 if stem in names or stem.rpartition("/")[2] == plain else 2


def _is_habit(beginning: str, tags: Mapping[str, str], versions: set[str]) -> bool:
    """Whether two other versions of the package have a tag with this beginning."""
    return sum(f"{beginning}{each}" in tags for each in versions) >= 2
