"""The pages that lead to the artifacts: front page, lists by verdict, projects by initial."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from rebuilder.model.alarm import Alarm
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.site.counts import CountRow, FileCounts, count_rows, percent, reproduced_ways
from rebuilder.site.display import SHORT, Moment, count, moment, page_href, visible
from rebuilder.site.marks import REVOKED, Mark, standing_mark
from rebuilder.site.pages.artifact import AlarmNote, alarm_note
from rebuilder.site.rows import Row, by_version, row

LATEST = 50
"""Verifications on the front page."""
MOST_LISTED = 500
"""Rows of a list by verdict; the pages of projects have all."""
FRONT_ALARMS = 3
"""Alarms the front page names, each in a line; the page of alarms has all, with what they say."""
_LETTERS = frozenset(string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class InitialLink:
    """A page of projects whose names begin alike."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class IndexPage:
    """The front page."""

    root: str
    headline: str
    reproduced: str | None
    """How many files are reproduced in which way; None when none is."""
    counts: tuple[CountRow, ...]
    total: str
    known: str
    alarms: tuple[AlarmNote, ...]
    """The newest, at most ``FRONT_ALARMS``."""
    more_alarms: str | None
    """How many there are besides, such as ``2 more``."""
    latest: tuple[Row, ...]
    initials: tuple[InitialLink, ...]
    when: Moment
    made_from: str
    """Names what all pages depend on besides their rows."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """The files with one verdict, newest first."""

    root: str
    mark: Mark
    total: str
    rows: tuple[Row, ...]
    hidden: str | None
    """A sentence when there are more than the page lists."""


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project with the newest verification of each of its files."""

    anchor: str
    ecosystem: str
    name: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ProjectsPage:
    """All projects whose names begin alike, or the pages that have them."""

    root: str
    initial: str
    label: str
    projects: tuple[ProjectRow, ...]
    initials: tuple[InitialLink, ...]
    parts: tuple[InitialLink, ...] = ()
    """Where there are too many for one page."""


def index_page(
    latest: Sequence[Summary],
    alarms: Sequence[Alarm],
    alarmed: Sequence[Summary],
    *,
    counts: FileCounts,
    initials: tuple[InitialLink, ...],
    now: datetime,
    made_from: str,
) -> IndexPage:
    """The front page.

    Args:
        latest: The newest verifications, newest first.
        alarms: The open ones.
        alarmed: The newest verification of each file that alarms are about, newest first.
        counts: Of all files.
        initials: Links to the pages of projects.
        now: The time that the page gives as its own.
        made_from: Names what all pages depend on besides their rows.
    """
    notes = _alarm_notes(alarmed, alarms)
    return IndexPage(
        root="",
        headline=_headline(counts),
        reproduced=reproduced_ways(counts.number(Verdict.REPRODUCED.value), counts.written),
        counts=count_rows(counts, linked=True),
        total=count(counts.total, "file", "files"),
        known=f"{counts.total:,}",
        alarms=notes[:FRONT_ALARMS],
        more_alarms=f"{len(notes) - FRONT_ALARMS:,} more" if len(notes) > FRONT_ALARMS else None,
        latest=tuple(row(each, "") for each in latest),
        initials=initials,
        when=moment(now),
        made_from=made_from,
    )


_NOT_BUILT = (Verdict.BUILD_FAILED, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT)


def _headline(counts: FileCounts) -> str:
    """What was confirmed, of how many; and what became of all the others."""
    if not counts.total:
        return "Nothing has been verified yet."
    good = sum(counts.number(each.value) for each in Verdict if each.confirms)
    verb, differs = "was" if good == 1 else "were", counts.number(Verdict.DIFFERS.value)
    others = (
        (differs, "differs" if differs == 1 else "differ"),
        (sum(counts.number(each.value) for each in _NOT_BUILT), "could not be built"),
        (counts.number(Verdict.UNAUTHENTICATED.value), "identical with what nobody signed"),
        (counts.number(Verdict.ACCOUNTED.value), "accounted for and not rebuilt"),
        (counts.number(Verdict.UNSUPPORTED.value), "cannot be rebuilt yet"),
        (counts.number(REVOKED.name), "signed by a key that was revoked"),
        (counts.untested, "not yet tested"),
    )
    rest = ", ".join(f"{number:,} {words}" for number, words in others if number)
    known = count(counts.total, "known file", "known files")
    share = f"{good:,} of {known} ({percent(good, counts.total)})"
    return f"{share} {verb} confirmed by a rebuild{'; ' if rest else ''}{rest}."


def list_page(standing: str, rows: Sequence[Summary], total: int) -> ListPage:
    """The newest files with one standing, newest first, of so many in all."""
    hidden = f"The newest {len(rows):,} are listed here; the pages of the projects have all."
    return ListPage(
        root="../",
        mark=standing_mark(standing),
        total=count(total, "file", "files"),
        rows=tuple(row(each, "../") for each in rows),
        hidden=hidden if total > len(rows) else None,
    )


def projects_page(prefix: str, files: Sequence[Summary], initials: tuple[InitialLink, ...]) -> ProjectsPage:
    """The projects whose names begin alike; ``files`` are in the order of names."""
    projects: dict[tuple[str, str], list[Summary]] = {}
    for each in files:
        projects.setdefault((each.ecosystem, each.name), []).append(each)
    return ProjectsPage(
        root="../",
        initial=prefix,
        label=_label(prefix),
        projects=tuple(_project(key, chosen) for key, chosen in projects.items()),
        initials=initials,
    )


def part_page(prefix: str, parts: Sequence[str], initials: tuple[InitialLink, ...]) -> ProjectsPage:
    """The page that leads to those of projects whose names begin alike, where one has no room for them."""
    links = tuple(InitialLink(_label(each), f"../{projects_path(each)}") for each in parts)
    return ProjectsPage(root="../", initial=prefix, label=_label(prefix), projects=(), initials=initials, parts=links)


def project_path(ecosystem: str, name: str) -> str:
    """Address of a project in the page of its initial, below the site's root.

    Where there are too many for one page, that page leads to the one that has it.
    """
    return f"{projects_path(prefix_of(name, 1))}#{quote(_anchor(ecosystem, name), safe='')}"


def _project(key: tuple[str, str], files: Sequence[Summary]) -> ProjectRow:
    return ProjectRow(
        anchor=_anchor(*key),
        ecosystem=visible(key[0], SHORT),
        name=visible(key[1], SHORT),
        rows=tuple(row(each, "../") for each in by_version(files)),
    )


def _anchor(ecosystem: str, name: str) -> str:
    return f"{quote(ecosystem, safe='')}:{quote(name, safe='')}"


def prefix_of(name: str, length: int) -> str:
    """How a project's name begins, for the names of pages: letters, and ``0`` for all that is none."""
    padded = name[:length].lower().ljust(length)
    return "".join(each if each in _LETTERS else "0" for each in padded[:length])


def projects_path(prefix: str, kind: str = "html") -> str:
    """Address of the page, or the document, of projects whose names begin alike, below the site's root."""
    return f"projects/{prefix}.{kind}"


def _label(prefix: str) -> str:
    return "0–9 and others" if prefix == "0" else prefix.upper().replace("0", "·")


def initial_links(initials: Sequence[str], root: str) -> tuple[InitialLink, ...]:
    """A link to each page of projects with one initial."""
    return tuple(InitialLink(_label(each), root + projects_path(each)) for each in initials)


def _alarm_notes(files: Sequence[Summary], alarms: Sequence[Alarm]) -> tuple[AlarmNote, ...]:
    pages = {(each.purl, each.filename): each for each in reversed(files)}
    # What is about our own operation is on the pages of alarms and of the service; here are readers of verdicts.
    concerning = (each for each in alarms if not each.kind.about_us)
    ordered = sorted(concerning, key=lambda each: each.raised, reverse=True)
    found = ((each, pages.get((each.purl, each.filename))) for each in ordered)
    return tuple(alarm_note(each, page_href("", page) if page else None) for each, page in found)
