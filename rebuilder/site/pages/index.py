"""The pages that lead to the artifacts: front page, lists by verdict, projects by initial."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from rebuilder.model.alarm import Alarm
from rebuilder.model.report import Summary
from rebuilder.model.verdict import Verdict
from rebuilder.site.counts import CountRow, count_rows, percent, reproduced_ways
from rebuilder.site.display import SHORT, Moment, count, moment, page_href, visible
from rebuilder.site.marks import Mark, mark
from rebuilder.site.pages.artifact import AlarmNote, alarm_note
from rebuilder.site.rows import Row, by_version, row

LATEST = 50
"""Verifications on the front page."""
MOST_LISTED = 500
"""Rows of a list by verdict; the pages of projects have all."""
FRONT_ALARMS = 3
"""Alarms the front page names, each in a line; the page of alarms has all, with what they say."""
_INITIALS = frozenset(string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class InitialLink:
    """A page of projects with the same first letter."""

    label: str
    href: str
    projects: str


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


@dataclass(frozen=True, slots=True)
class ListPage:
    """The files with one verdict, newest first."""

    root: str
    made_from: str
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
    """All projects with one initial."""

    root: str
    made_from: str
    initial: str
    label: str
    projects: tuple[ProjectRow, ...]
    initials: tuple[InitialLink, ...]


def index_page(files: Sequence[Summary], alarms: Sequence[Alarm], *, untested: int, now: datetime) -> IndexPage:
    """The front page; ``files`` has the newest verification of each file, newest first."""
    total = len(files) + untested
    notes = _alarm_notes(files, alarms)
    return IndexPage(
        root="",
        headline=_headline(Counter(each.verdict for each in files), untested),
        reproduced=reproduced_ways(
            Counter(each.verdict for each in files)[Verdict.REPRODUCED], sum(each.written for each in files)
        ),
        counts=count_rows(Counter(each.verdict for each in files), untested, linked=True),
        total=count(total, "file", "files"),
        known=f"{total:,}",
        alarms=notes[:FRONT_ALARMS],
        more_alarms=f"{len(notes) - FRONT_ALARMS:,} more" if len(notes) > FRONT_ALARMS else None,
        latest=tuple(row(each, "") for each in files[:LATEST]),
        initials=initials(files, ""),
        when=moment(now),
    )


_NOT_BUILT = (Verdict.BUILD_FAILED, Verdict.INPUTS_MISSING, Verdict.TIMED_OUT)


def _headline(found: Mapping[Verdict, int], untested: int) -> str:
    """What was confirmed, of how many; and what became of all the others."""
    total = sum(found.values()) + untested
    if not total:
        return "Nothing has been verified yet."
    good = sum(number for verdict, number in found.items() if verdict.confirms)
    verb, differs = "was" if good == 1 else "were", found.get(Verdict.DIFFERS, 0)
    others = (
        (differs, "differs" if differs == 1 else "differ"),
        (sum(found.get(each, 0) for each in _NOT_BUILT), "could not be built"),
        (found.get(Verdict.UNSUPPORTED, 0), "cannot be rebuilt yet"),
        (untested, "not yet tested"),
    )
    rest = ", ".join(f"{number:,} {words}" for number, words in others if number)
    share = f"{good:,} of {count(total, 'known file', 'known files')} ({percent(good, total)})"
    return f"{share} {verb} confirmed by a rebuild{'; ' if rest else ''}{rest}."


def list_page(verdict: Verdict, files: Sequence[Summary], made_from: str) -> ListPage:
    """The list of ``files``, all of which have this verdict, newest first."""
    hidden = f"The newest {MOST_LISTED:,} are listed here; the pages of the projects have all."
    return ListPage(
        root="../",
        made_from=made_from,
        mark=mark(verdict),
        total=count(len(files), "file", "files"),
        rows=tuple(row(each, "../") for each in files[:MOST_LISTED]),
        hidden=hidden if len(files) > MOST_LISTED else None,
    )


def by_initial(files: Sequence[Summary]) -> dict[str, list[Summary]]:
    """Files by the first letter of their project's name, ``0`` for what is no letter; each list by name."""
    found: dict[str, list[Summary]] = {}
    for each in sorted(files, key=lambda each: (each.name.casefold(), each.name, each.ecosystem)):
        found.setdefault(_initial(each.name), []).append(each)
    return dict(sorted(found.items()))


def projects_page(
    initial: str, files: Sequence[Summary], initials: tuple[InitialLink, ...], made_from: str
) -> ProjectsPage:
    """The projects with one initial; ``files`` as :func:`by_initial` gave them."""
    projects: dict[tuple[str, str], list[Summary]] = {}
    for each in files:
        projects.setdefault((each.ecosystem, each.name), []).append(each)
    return ProjectsPage(
        root="../",
        made_from=made_from,
        initial=initial,
        label=_label(initial),
        projects=tuple(_project(key, chosen) for key, chosen in projects.items()),
        initials=initials,
    )


def project_path(ecosystem: str, name: str) -> str:
    """Address of a project in the page of its initial, below the site's root."""
    return f"{initial_path(_initial(name))}#{quote(_anchor(ecosystem, name), safe='')}"


def _project(key: tuple[str, str], files: Sequence[Summary]) -> ProjectRow:
    return ProjectRow(
        anchor=_anchor(*key),
        ecosystem=visible(key[0], SHORT),
        name=visible(key[1], SHORT),
        rows=tuple(row(each, "../") for each in by_version(files)),
    )


def _anchor(ecosystem: str, name: str) -> str:
    return f"{quote(ecosystem, safe='')}:{quote(name, safe='')}"


def _initial(name: str) -> str:
    first = name[:1].lower()
    return first if first in _INITIALS else "0"


def initial_path(initial: str) -> str:
    """Address of the page of an initial, below the site's root."""
    return f"projects/{initial}.html"


def _label(initial: str) -> str:
    return "0–9 and others" if initial == "0" else initial.upper()


def initials(files: Sequence[Summary], root: str) -> tuple[InitialLink, ...]:
    """A link to each page of projects."""
    projects = {(each.ecosystem, each.name) for each in files}
    found = Counter(_initial(name) for _, name in projects)
    return tuple(
        InitialLink(_label(each), root + initial_path(each), count(found[each], "project", "projects"))
        for each in sorted(found)
    )


def _alarm_notes(files: Sequence[Summary], alarms: Sequence[Alarm]) -> tuple[AlarmNote, ...]:
    pages = {(each.purl, each.filename): each for each in reversed(files)}
    # What is about our own operation is on the pages of alarms and of the service; here are readers of verdicts.
    concerning = (each for each in alarms if not each.kind.about_us)
    ordered = sorted(concerning, key=lambda each: each.raised, reverse=True)
    found = ((each, pages.get((each.purl, each.filename))) for each in ordered)
    return tuple(alarm_note(each, page_href("", page) if page else None) for each, page in found)
