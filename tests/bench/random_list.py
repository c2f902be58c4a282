"""Wheels drawn by chance from all that an index has: a list that nobody can have worked towards."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from packaging.version import Version

from rebuilder.ecosystems.pypi.simple_index import IndexProject, ReleaseFile
from rebuilder.ecosystems.pypi.subject import release_purl
from rebuilder.errors import UnavailableError
from rebuilder.model.work import Order
from tests.bench.public_list import order

NAME = "random"
"""Of the list."""


def drawn(names: Iterable[str], seed: int, count: int, project: Callable[[str], IndexProject | None]) -> list[Order]:
    """One pure wheel each of ``count`` projects, from a release that has a source archive too.

    Each project is as likely as any other, so nearly all are little known; in it each year in which it published is, so
    that old releases are there beside new ones. The same seed gives the same list as long as the index has the same.

    Args:
        names: Of the projects to draw from.
        seed: Of the draw.
        count: How many wheels; fewer when the projects do not have so many.
        project: Gives the page of a project; None when there is none.
    """
    shuffled = sorted(set(names))
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - to be drawn again, not to be secret
    found: list[Order] = []
    for name in shuffled:
        if len(found) >= count:
            break
        try:
            page = project(name)
        except UnavailableError:
            continue
        found += [] if page is None else _one(page, random.Random(f"{seed} {name}"))  # noqa: S311 - the same
    return found


def _one(page: IndexProject, chance: random.Random) -> list[Order]:
    years: defaultdict[int, dict[Version, list[str]]] = defaultdict(dict)
    for version in page.versions:
        files = page.of(version)
        wheels = sorted(each.filename for each in files if each.filename.endswith("-none-any.whl") and each.published)
        if wheels and not all(each.is_wheel for each in files):
            years[min(_years(files), default=0)][version] = wheels
    if not years:
        return []
    releases = years[chance.choice(sorted(years))]
    version = chance.choice(sorted(releases))
    purl = release_purl(page.name, str(version))
    return [order(purl, page.name, str(version), chance.choice(releases[version]))]


def _years(files: list[ReleaseFile]) -> Iterator[int]:
    yield from (each.published.uploaded.year for each in files if each.published and each.published.uploaded)
