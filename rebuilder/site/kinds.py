"""The kinds of lists that a site has of its files: by verdict, ecosystem, cause, build environment and publisher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from rebuilder.model.diagnosis import Cause
from rebuilder.model.report import Summary, path_part
from rebuilder.model.verdict import Verdict
from rebuilder.site.display import SHORT, visible
from rebuilder.site.marks import Mark, ecosystem_words, standing, standing_mark

DATA = "v1"
"""Folder of all that is published as JSON about lists: another form of it gets another."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: which list a file is in, and what such a list says of itself."""

    folder: str
    title: str
    lead: str
    key: Callable[[Summary], str | None]
    """The list of a file; None: it is in none."""
    label: Callable[[str], str]
    """What a list is called, fit to be shown."""
    about: Callable[[str], tuple[str, str]] = lambda _: ("", "")
    """What it means to be in a list, and what to do about it; either may be empty."""

    def path(self, key: str) -> str:
        """Address of the page of a list, below the site's root, as it is on disk."""
        return f"{path_part(key)}/index.html" if self.folder == "ecosystems" else f"{self.folder}/{path_part(key)}.html"

    def overview(self) -> str:
        """Address of the page that leads to all lists of this kind."""
        return f"{self.folder}/index.html"


def data_path(page: str) -> str:
    """Address of the JSON of a page."""
    return f"{DATA}/{page.removesuffix('.html')}.json"


def address(path: str) -> str:
    """A path on disk as a relative address: names are percent-encoded on disk already, so that is encoded once more."""
    return quote(path, safe="/+!~@")


def mark_of(kind: Kind, key: str) -> Mark | None:
    """Icon and word of a list by verdict."""
    return standing_mark(key) if kind.folder == "verdicts" else None


def _believed(name: str) -> Callable[[Summary], str | None]:
    return lambda row: getattr(row, name) if row.doubt is None else None


def _cause(row: Summary) -> str | None:
    told = row.doubt is None and row.verdict is not Verdict.REPRODUCED
    return row.cause if told and row.cause in _CAUSES else None


_CAUSES = frozenset(each.value for each in Cause)


def _environment(key: str) -> str:
    name, _, digest = key.partition("@")
    return f"{visible(name, 60)}, tree {visible(digest, 64)[:16]}…"


VERDICTS = Kind(
    "verdicts",
    "Verdicts",
    "What the newest verification of each file came to.",
    standing,
    lambda key: standing_mark(key).word,
    lambda key: (standing_mark(key).spoken, ""),
)
ECOSYSTEMS = Kind(
    "ecosystems",
    "Ecosystems",
    "Where files come from.",
    lambda row: row.ecosystem,
    ecosystem_words,
)
CAUSES = Kind(
    "causes",
    "Causes",
    "Why files do not come out as they were published. A file is in the list of the cause that explains most of its "
    "difference, as far as one was diagnosed.",
    _cause,
    lambda key: Cause(key).spoken,
    lambda key: ("Files that differ, or were not built, for this reason more than for any other.", Cause(key).advice),
)
ENVIRONMENTS = Kind(
    "environments",
    "Build environments",
    "The read-only systems that builds ran in. An environment is named by the digest over its whole tree: whoever has "
    "the same tree runs the same build.",
    _believed("environment"),
    _environment,
    lambda _: ("The files whose verdict rests on a build in this environment.", ""),
)
PUBLISHERS = Kind(
    "publishers",
    "Publishers",
    "Repositories that a verified attestation names as the place where a file was built. A name that nobody signed is "
    "not listed.",
    _believed("publisher"),
    lambda key: visible(key, SHORT),
    lambda _: ("The files whose attestation holds and names this repository.", ""),
)
KINDS = (VERDICTS, ECOSYSTEMS, CAUSES, ENVIRONMENTS, PUBLISHERS)


def lists_of(row: Summary) -> list[tuple[Kind, str]]:
    """The lists that a file is in."""
    return [(kind, key) for kind in KINDS if (key := kind.key(row))]
