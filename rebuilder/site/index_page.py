"""The pages that lead to the artifacts: front page, lists by verdict, projects by initial, alarms."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from rebuilder.model.report import Alarm, Summary
from rebuilder.site.artifact_page import AlarmNote, alarm_note
from rebuilder.site.display import SHORT, Moment, count, moment, page_href, visible
from rebuilder.site.marks import SHOWN, UNTESTED, Mark, mark
from rebuilder.site.rows import Row, by_version, row

LATEST = 50
"""Verifications on the front page."""
PER_PAGE = 500
"""Rows of one page of a list."""
_INITIALS = frozenset(string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class CountRow:
    """How many files have one verdict, of how many."""

    mark: Mark
    number: int
    percent: str
    width: float
    """Percent, for a bar."""
    href: str | None


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
    counts: tuple[CountRow, ...]
    total: str
    alarms: tuple[AlarmNote, ...]
    latest: tuple[Row, ...]
    initials: tuple[InitialLink, ...]
    when: Moment


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of all files with one verdict, newest first."""

    root: str
    path: str
    mark: Mark
    total: str
    rows: tuple[Row, ...]
    page: str
    earlier: str | None
    later: str | None


@dataclass(frozen=True, slots=True)
class Project:
    """A project with the newest verification of each of its files."""

    anchor: str
    ecosystem: str
    name: str
    tally: tuple[tuple[Mark, int], ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ProjectsPage:
    """All projects with one initial."""

    root: str
    path: str
    label: str
    projects: tuple[Project, ...]
    initials: tuple[InitialLink, ...]


@dataclass(frozen=True, slots=True)
class AlarmsPage:
    """All alarms, newest first."""

    root: str
    alarms: tuple[AlarmNote, ...]


def index_page(files: Sequence[Summary], alarms: Sequence[Alarm], *, untested: int, now: datetime) -> IndexPage:
    """The front page; ``files`` has the newest verification of each file, newest first."""
    total = len(files) + untested
    good = sum(each.verdict.confirms for each in files)
    return IndexPage(
        root="",
        headline=_headline(good, total),
        counts=_counts(files, untested, total),
        total=count(total, "file", "files"),
        alarms=_alarm_notes(files, alarms),
        latest=tuple(row(each, "") for each in files[:LATEST]),
        initials=_initials(files, ""),
        when=moment(now),
    )


def _headline(good: int, total: int) -> str:
    if not total:
        return "Nothing has been verified yet."
    share = _percent(good, total)
    verb = "was" if good == 1 else "were"
    return f"{good:,} of {count(total, 'known file', 'known files')} ({share}) {verb} confirmed by a rebuild."


def _percent(part: int, total: int) -> str:
    if not total:
        return "–"
    share = 100 * part / total
    # Never "100 %" or "0 %" for anything but all and nothing.
    return f"{share:.0f} %" if part in {0, total} else f"{min(max(share, 0.1), 99.9):.1f} %"


def _counts(files: Sequence[Summary], untested: int, total: int) -> tuple[CountRow, ...]:
    found = Counter(each.verdict for each in files)
    pairs: list[tuple[Mark, int]] = [(mark(verdict), found[verdict]) for verdict in SHOWN]
    return tuple(
        CountRow(
            mark=each,
            number=number,
            percent=_percent(number, total),
            width=round(100 * number / total, 2) if total else 0.0,
            href=list_path(each.name, 1) if number and each is not UNTESTED else None,
        )
        for each, number in (*pairs, (UNTESTED, untested))
    )


def list_path(verdict: str, page: int) -> str:
    """Address of a page of a list by verdict, below the site's root."""
    return f"verdicts/{verdict}.html" if page == 1 else f"verdicts/{verdict}-{page}.html"


def list_pages(files: Sequence[Summary]) -> list[ListPage]:
    """Pages of every verdict that occurs."""
    pages = []
    for verdict in SHOWN:
        chosen = [each for each in files if each.verdict is verdict]
        last = -(-len(chosen) // PER_PAGE)
        for number in range(1, last + 1):
            part = chosen[(number - 1) * PER_PAGE : number * PER_PAGE]
            pages.append(
                ListPage(
                    root="../",
                    path=list_path(verdict.value, number),
                    mark=mark(verdict),
                    total=count(len(chosen), "file", "files"),
                    rows=tuple(row(each, "../") for each in part),
                    page="" if last == 1 else f"Page {number} of {last}",
                    earlier=f"../{list_path(verdict.value, number + 1)}" if number < last else None,
                    later=f"../{list_path(verdict.value, number - 1)}" if number > 1 else None,
                )
            )
    return pages


def projects_pages(files: Sequence[Summary]) -> list[ProjectsPage]:
    """A page for each first letter that a project has."""
    pages: dict[str, dict[tuple[str, str], list[Summary]]] = {}
    for each in sorted(files, key=lambda each: (each.name.casefold(), each.name, each.ecosystem)):
        pages.setdefault(_initial(each.name), {}).setdefault((each.ecosystem, each.name), []).append(each)
    initials = _initials(files, "../")
    return [
        ProjectsPage(
            root="../",
            path=_initial_path(initial),
            label=_label(initial),
            projects=tuple(_project(key, chosen) for key, chosen in projects.items()),
            initials=initials,
        )
        for initial, projects in sorted(pages.items())
    ]


def project_path(ecosystem: str, name: str) -> str:
    """Address of a project in the page of its initial, below the site's root."""
    return f"{_initial_path(_initial(name))}#{quote(_anchor(ecosystem, name), safe='')}"


def alarms_page(files: Sequence[Summary], alarms: Sequence[Alarm]) -> AlarmsPage:
    """The page of all alarms."""
    return AlarmsPage(root="", alarms=_alarm_notes(files, alarms))


def _project(key: tuple[str, str], files: Sequence[Summary]) -> Project:
    found = Counter(each.verdict for each in files)
    return Project(
        anchor=_anchor(*key),
        ecosystem=visible(key[0], SHORT),
        name=visible(key[1], SHORT),
        tally=tuple((mark(verdict), found[verdict]) for verdict in SHOWN if found[verdict]),
        rows=tuple(row(each, "../") for each in by_version(files)),
    )


def _anchor(ecosystem: str, name: str) -> str:
    return f"{quote(ecosystem, safe='')}:{quote(name, safe='')}"


def _initial(name: str) -> str:
    first = name[:1].lower()
    return first if first in _INITIALS else "0"


def _initial_path(initial: str) -> str:
    return f"projects/{initial}.html"


def _label(initial: str) -> str:
    return "0–9 and others" if initial == "0" else initial.upper()


def _initials(files: Sequence[Summary], root: str) -> tuple[InitialLink, ...]:
    projects = {(each.ecosystem, each.name) for each in files}
    found = Counter(_initial(name) for _, name in projects)
    return tuple(
        InitialLink(_label(each), root + _initial_path(each), count(found[each], "project", "projects"))
        for each in sorted(found)
    )


def _alarm_notes(files: Sequence[Summary], alarms: Sequence[Alarm]) -> tuple[AlarmNote, ...]:
    pages = {(each.purl, each.filename): each for each in reversed(files)}
    ordered = sorted(alarms, key=lambda each: each.raised, reverse=True)
    found = ((each, pages.get((each.purl, each.filename))) for each in ordered)
    return tuple(alarm_note(each, page_href("", page) if page else None) for each, page in found)
