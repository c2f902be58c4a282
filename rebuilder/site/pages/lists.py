"""Pages that list files or lists: one model for a project, a release, a cause, an environment and all other groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePosixPath

from rebuilder.model.alarm import RecordedAlarm
from rebuilder.model.operations import Bucket
from rebuilder.model.report import Summary, page_path, path_part
from rebuilder.model.verdict import Verdict
from rebuilder.site.charts import Chart, chart
from rebuilder.site.counts import Bar, FileCounts, bar
from rebuilder.site.display import SHORT, count, secure_link, visible
from rebuilder.site.kinds import CAUSES, ECOSYSTEMS, PUBLISHERS, VERDICTS, Kind, address, data_path, mark_of
from rebuilder.site.marks import STANDINGS, Mark, ecosystem_words, standing, standing_mark
from rebuilder.site.pages.artifact import AlarmNote
from rebuilder.site.rows import Row, by_version, row

MOST_LISTED = 500
"""Files in the document of a list; those of projects have all."""
MOST_SHOWN = 20
"""Rows of its page; of a project, those that are not folded away."""
MOST_CELLS = 120
"""Versions in a strip."""
MOST_DAYS = 30
"""Days in a chart."""
_DAYS = "What stood at the end of each day on which a verification ended"


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead somewhere."""

    label: str
    href: str


@dataclass(frozen=True, slots=True)
class Cell:
    """One version in the strip of a project."""

    label: str
    href: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class ListPage:
    """Files that have something in common."""

    root: str
    crumbs: tuple[Link, ...]
    title: str
    note: str
    """What the title is of, such as the ecosystem."""
    mark: Mark | None
    description: str
    """For those who find the page elsewhere."""
    warning: str | None
    lead: str
    advice: str
    link: Link | None
    """To what the list is about."""
    bar: Bar
    strip: tuple[Cell, ...]
    rows: tuple[Row, ...]
    hidden: str | None
    """A sentence when there are more than the page lists."""
    json: str
    alarms: tuple[AlarmNote, ...] = ()
    """The open ones about what a project published, newest first."""
    chart: Chart | None = None
    feed: str | None = None
    badge: str | None = None


@dataclass(frozen=True, slots=True)
class ForwardPage:
    """An address above that of the only file there is: it leads to that."""

    root: str
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A list, in a page that leads to several."""

    label: str
    href: str
    note: str
    number: str
    bar: Bar


@dataclass(frozen=True, slots=True)
class OverviewPage:
    """Lists that have something in common: all causes, or projects whose names begin alike."""

    root: str
    crumbs: tuple[Link, ...]
    title: str
    lead: str
    entries: tuple[Entry, ...]
    parts: tuple[Link, ...]
    """Where there are too many for one page."""
    initials: tuple[Link, ...]
    hidden: str | None
    json: str
    scaled: bool = False
    """Whether bars are as long as their lists are, beside the longest."""
    prefix: str | None = None
    """How the names of the projects begin; None: this is no page of projects."""


def project_path(ecosystem: str, name: str) -> str:
    """Address of the page of a project below the site's root, as it is on disk."""
    return f"{path_part(ecosystem, name)}/index.html"


def release_path(row: Summary) -> str:
    """The same of a release."""
    return f"{path_part(row.ecosystem, row.name, row.version)}/index.html"


def file_path(row: Summary) -> str:
    """The same of a file name, whatever bytes it had."""
    return f"{path_part(row.ecosystem, row.name, row.version, row.filename)}/index.html"


def kind_page(kind: Kind, key: str, rows: Sequence[Summary], counts: FileCounts) -> ListPage:
    """The newest files of a list, newest first."""
    path = kind.path(key)
    root, label = _root(path), kind.label(key)
    lead, advice = kind.about(key)
    above = () if kind is ECOSYSTEMS else (Link(kind.title, f"{root}{kind.overview()}"),)
    shown = rows[:MOST_SHOWN]
    more = f"The newest {len(shown):,} are listed here; the pages of the projects have all."
    secure = secure_link(key) if kind is PUBLISHERS else None
    return ListPage(
        root=root,
        crumbs=(_home(root), *above),
        title=label,
        note=count(counts.total, "file", "files"),
        mark=mark_of(kind, key),
        description=f"{label}: {bar(counts).spoken}",
        warning=None,
        lead=lead,
        advice=advice,
        link=Link(label, secure) if secure else None,
        bar=bar(counts, root),
        strip=(),
        rows=tuple(row(each, root, listed=kind is not CAUSES) for each in shown),
        hidden=more if counts.total > len(shown) else None,
        json=f"{root}{address(data_path(path))}",
    )


def project_page(
    rows: Sequence[Summary], days: Sequence[Bucket] = (), alarms: Sequence[RecordedAlarm] = ()
) -> ListPage:
    """All files of one project, with its versions, what stood on which days, and what is open about it."""
    one, ordered = rows[0], by_version(rows)
    path = project_path(one.ecosystem, one.name)
    versions = [list(group) for _, group in groupby(ordered, key=lambda each: each.version)]
    page = _of_project(path, rows, visible(one.name, SHORT), ordered[:MOST_LISTED], "")
    return replace(
        page,
        note=ecosystem_words(one.ecosystem),
        crumbs=page.crumbs[:2],
        lead=_tried(versions),
        strip=tuple(_cell(each) for each in reversed(versions[:MOST_CELLS])),
        alarms=_alarms(path, rows, alarms),
        chart=chart("days", _DAYS, days[-MOST_DAYS:], standing=True) if len(days) > 1 else None,
        feed="feed.atom",
        badge="badge.svg",
    )


def release_page(rows: Sequence[Summary]) -> ListPage:
    """All files of one release."""
    one = rows[0]
    title = f"{visible(one.name, SHORT)} {visible(one.version, SHORT)}"
    return _of_project(release_path(one), rows, title, by_version(rows), "../")


def file_page(rows: Sequence[Summary]) -> ListPage:
    """One file name with everything that it was."""
    page = _of_project(file_path(rows[0]), rows, visible(rows[0].filename, SHORT), rows, "../../")
    release = Link(visible(rows[0].version, SHORT), "../index.html")
    return replace(page, crumbs=(*page.crumbs, release))


def forward_page(path: str, one: Summary) -> ForwardPage:
    """Leads from an address above it to a file."""
    return ForwardPage(_root(path), f"{visible(one.name, SHORT)} {visible(one.version, SHORT)}", _within(path, one))


def _of_project(path: str, rows: Sequence[Summary], title: str, shown: Sequence[Summary], up: str) -> ListPage:
    """``up`` leads to the page of the project."""
    one, root = rows[0], _root(path)
    found = bar(FileCounts.of(rows, 0))
    project = project_path(one.ecosystem, one.name)
    return ListPage(
        root=root,
        crumbs=(
            _home(root),
            Link(ecosystem_words(one.ecosystem), f"{root}{address(ECOSYSTEMS.path(one.ecosystem))}"),
            Link(visible(one.name, SHORT), f"{up}index.html"),
        ),
        title=title,
        note=count(len(rows), "file", "files"),
        mark=None,
        description=f"{title} ({ecosystem_words(one.ecosystem)}), built again from source. {found.spoken}",
        warning=_replaced(rows),
        lead="",
        advice="",
        link=None,
        bar=found,
        strip=(),
        rows=tuple(replace(row(each, root, listed=True), href=_within(path, each)) for each in shown),
        hidden=f"The first {len(shown):,} of {len(rows):,} files are listed." if len(shown) < len(rows) else None,
        json=f"{root}{address(data_path(project))}",
    )


def _alarms(path: str, rows: Sequence[Summary], alarms: Sequence[RecordedAlarm]) -> tuple[AlarmNote, ...]:
    pages = {(each.purl, each.filename): _within(path, each) for each in reversed(rows)}
    public = [each for each in alarms if not each.alarm.kind.for_operators]
    newest = sorted(public, key=lambda each: (each.alarm.raised, each.number), reverse=True)
    return tuple(AlarmNote(each.alarm, pages.get((each.alarm.purl, each.alarm.filename))) for each in newest)


def _within(path: str, each: Summary) -> str:
    """From a page above it to the page of a file."""
    page = page_path(each.ecosystem, each.name, each.version, each.filename, each.sha256)
    return address(f"{PurePosixPath(page).relative_to(PurePosixPath(path).parent)}/index.html")


def _replaced(rows: Sequence[Summary]) -> str | None:
    digests: dict[tuple[str, str], set[str]] = {}
    for each in rows:
        digests.setdefault((each.version, each.filename), set()).add(each.sha256)
    changed = [name for (_, name), found in digests.items() if len(found) > 1]
    if not changed:
        return None
    return f"Published bytes changed: {visible(changed[0], SHORT)} was published with more than one content. " + (
        "Both are listed." if len(changed) == 1 else f"So were {len(changed) - 1:,} more files. All are listed."
    )


def _tried(versions: Sequence[Sequence[Summary]]) -> str:
    confirmed = sum(all(each.verdict.confirms and each.doubt is None for each in files) for files in versions)
    newest = visible(versions[0][0].version, SHORT)
    return (
        f"Confirmed in all their files: {confirmed:,} of {count(len(versions), 'version', 'versions')}. "
        f"The newest that we looked at is {newest}."
    )


def worst(rows: Sequence[Summary]) -> Mark:
    """What a release comes to: its files agree, or the worst of them says it."""
    order = [Verdict.DIFFERS.value, "revoked", *(each for each in reversed(STANDINGS))]
    return standing_mark(min((standing(each) for each in rows), key=order.index))


def _cell(files: Sequence[Summary]) -> Cell:
    return Cell(
        label=visible(files[0].version, 40),
        href=f"{address(path_part(files[0].version))}/index.html",
        mark=worst(files),
    )


def overview_page(kind: Kind, lists: Mapping[str, FileCounts]) -> OverviewPage:
    """The page that leads to all lists of a kind, those with most files first."""
    ordered = sorted(lists.items(), key=lambda pair: (-pair[1].total, pair[0]))
    if kind is VERDICTS:
        ordered = sorted(lists.items(), key=lambda pair: STANDINGS.index(pair[0]))
    shown = ordered[:MOST_LISTED]
    return OverviewPage(
        root="../",
        crumbs=(_home("../"),),
        title=kind.title,
        lead=kind.lead,
        entries=tuple(
            Entry(
                label=kind.label(key),
                href=f"../{address(kind.path(key))}",
                note="",
                number=count(counts.total, "file", "files"),
                bar=bar(counts),
            )
            for key, counts in shown
        ),
        parts=(),
        initials=(),
        hidden=f"The {len(shown):,} with most files are listed; the JSON has all."
        if len(shown) < len(ordered)
        else None,
        json=f"../{data_path(kind.overview())}",
        scaled=kind in {VERDICTS, CAUSES},
    )


def projects_page(prefix: str, files: Sequence[Summary], initials: tuple[Link, ...]) -> OverviewPage:
    """The projects whose names begin alike; ``files`` are in the order of names."""
    entries = []
    for (ecosystem, name), group in groupby(files, key=lambda each: (each.ecosystem, each.name)):
        rows = list(group)
        versions = len({each.version for each in rows})
        entries.append(
            Entry(
                label=visible(name, SHORT),
                href=f"../{address(project_path(ecosystem, name))}",
                note=ecosystem_words(ecosystem),
                number=count(versions, "version", "versions"),
                bar=bar(FileCounts.of(rows, 0)),
            )
        )
    return _prefixed(prefix, tuple(entries), (), initials)


def part_page(prefix: str, parts: Sequence[str], initials: tuple[Link, ...]) -> OverviewPage:
    """The page that leads to those of projects whose names begin alike, where one has no room for them."""
    return _prefixed(prefix, (), tuple(Link(_label(each), f"../{projects_path(each)}") for each in parts), initials)


def all_projects_page(initials: tuple[Link, ...]) -> OverviewPage:
    """The page that leads to projects by their first letter."""
    page = _prefixed("", (), (), initials)
    return replace(page, title="Projects", crumbs=page.crumbs[:1], json=f"../{data_path('index.html')}")


def _prefixed(
    prefix: str, entries: tuple[Entry, ...], parts: tuple[Link, ...], initials: tuple[Link, ...]
) -> OverviewPage:
    lead = "They are divided by the next letter of their names; · stands for all that is no letter." if parts else ""
    return OverviewPage(
        root="../",
        crumbs=(_home("../"), Link("Projects", "index.html")),
        title=f"Projects: {_label(prefix)}",
        lead=lead,
        entries=entries,
        parts=parts,
        initials=initials,
        hidden=None,
        json=f"../{data_path(projects_path(prefix))}",
        prefix=prefix,
    )


def projects_path(prefix: str) -> str:
    """Address of the page of projects whose names begin alike, below the site's root."""
    return f"projects/{prefix}.html"


def _label(prefix: str) -> str:
    return "0–9 and others" if prefix == "0" else prefix.upper().replace("0", "·")


def initial_links(initials: Sequence[str], root: str) -> tuple[Link, ...]:
    """A link to each page of projects with one initial."""
    return tuple(Link(_label(each), root + projects_path(each)) for each in initials)


def _home(root: str) -> Link:
    return Link("Verifications", f"{root}index.html")


def _root(path: str) -> str:
    return "../" * path.count("/")
