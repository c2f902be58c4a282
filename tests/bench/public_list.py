"""The lists of published wheels that a measurement works through, as orders for the queue."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path

from packageurl import PackageURL

from rebuilder.model.artifact import Listing
from rebuilder.model.work import Order, Reason, Tier

ASSETS = Path(__file__).parents[1] / "assets" / "bench"
ECOSYSTEM = "pypi"


class PublicList(StrEnum):
    """A list and the file it is in."""

    TOP250 = "top250"
    """Wheels of much-installed projects, by package URL and file name."""
    TOP1250 = "top1250"
    """Wheels of lesser known projects, by package URL and file name."""
    CURRENT = "current"
    """Releases; the index says which wheels they have."""
    LOCK_WEB = "lock-web"
    """The locked requirements of a usual web application, in the same form."""


def orders(which: PublicList, listing: Callable[[str], Listing | None]) -> list[Order]:
    """All wheels of a list in its order, to be rebuilt anew from their source archives.

    Args:
        which: The list.
        listing: Gives what a project has published; asked only where the list names no files.
    """
    stem = f"pypi-{which}" if which is PublicList.LOCK_WEB else f"pypi-{which}-public"
    if (named := ASSETS / f"{stem}.json").exists():
        return named_files(named.read_text("utf-8"))
    return released_files((ASSETS / f"{stem}.txt").read_text("utf-8").splitlines(), listing)


def named_files(text: str) -> list[Order]:
    """Orders of a JSON list of objects with a package URL (``subject``) and a ``filename``, each file once."""
    found = {}
    for each in json.loads(text):
        purl = PackageURL.from_string(each["subject"])
        found[each["filename"]] = order(each["subject"], purl.name, purl.version or "", each["filename"])
    return list(found.values())


def released_files(lines: Iterable[str], listing: Callable[[str], Listing | None]) -> list[Order]:
    """Orders of all wheels of the releases ``pypi:NAME==VERSION``, one a line.

    Raises:
        ValueError: a release is not on the index; a list with holes would be another list.
    """
    found: list[Order] = []
    for line in filter(None, map(str.strip, lines)):
        name, _, version = line.removeprefix(f"{ECOSYSTEM}:").partition("==")
        published = listing(name)
        files = [each for each in (published.files if published else ()) if each.version == version]
        if not files:
            raise ValueError(f"The index has no files of {line}.")
        found += [order(each.purl, name, version, each.filename) for each in files]
    return found


def spread(files: Sequence[Order], limit: int | None) -> list[Order]:
    """``limit`` of them, evenly spread over the list, so that a short measurement has old and new ones alike."""
    if limit is None or limit >= len(files):
        return list(files)
    return [files[index * len(files) // limit] for index in range(limit)]


def order(purl: str, name: str, version: str, filename: str) -> Order:
    """To rebuild one file by itself, as if asked for by hand: never taken from an earlier verification."""
    return Order(
        ecosystem=ECOSYSTEM,
        purl=purl,
        name=name,
        version=version,
        filename=filename,
        reason=Reason.ASKED,
        tier=Tier.SOURCE,
    )
