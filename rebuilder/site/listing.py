"""The pages and documents that lead to artifacts: written whole, or brought up to date by the rows that changed.

Front page, lists by verdict, cause and the like, projects, releases. What is published is also what is known: an
update reads the documents that the site has, puts the rows in that changed, and writes those pages again that show
them. So its cost does not grow with the site, and what was checked once before it was published is not checked again.
Documents and pages are the same as when all of it is written at once.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from xml.sax.saxutils import escape

from pydantic import ValidationError

from rebuilder.model.alarm import Alarm, RecordedAlarm
from rebuilder.model.operations import Bucket, Days, Project, day_of, moved
from rebuilder.model.report import Summary
from rebuilder.model.value import Value
from rebuilder.site import documents
from rebuilder.site.counts import NOTHING, FileCounts
from rebuilder.site.display import visible
from rebuilder.site.feeds import Feeds, sitemap, sitemap_index
from rebuilder.site.kinds import DATA, ECOSYSTEMS, KINDS, Kind, data_path, lists_of
from rebuilder.site.marks import Mark
from rebuilder.site.pages.index import FrontFacts, index_page
from rebuilder.site.pages.lists import (
    MOST_LISTED,
    all_projects_page,
    file_page,
    file_path,
    forward_page,
    initial_links,
    kind_page,
    overview_page,
    part_page,
    project_page,
    project_path,
    projects_page,
    projects_path,
    release_page,
    release_path,
    worst,
)
from rebuilder.site.rows import artifact_key, by_version, newest_first, prefix_of
from rebuilder.site.writing import Writer, Written, by_processes, carries, digest

LABEL = "rebuilt"
_COLOURS = {
    "good": "#12643a",
    "near": "#0b5a6e",
    "bad": "#9c1f1b",
    "warn": "#704700",
    "mute": "#4a525a",
    "doubt": "#5c5400",
    "apart": "#4a3f8c",
}
"""Of the text on a light page: white stands out from them by more than 7."""
_LONGEST = 24
"""Characters of a version."""


def _message(version: str, mark: Mark) -> str:
    return f"{visible(version, _LONGEST)} {mark.word.lower()}"


def _width(text: str) -> int:
    """About how wide a text is at 11 pixels: letters are set a little closer or wider to fill exactly that."""
    return round(sum(3.8 if each in "ijlrtf.,:;|! " else 10.5 if each in "mwMW@%" else 7 for each in text))


def badge_document(version: str, mark: Mark) -> bytes:
    """What shields.io makes a badge of (https://shields.io/badges/endpoint-badge)."""
    fields = {"label": LABEL, "message": _message(version, mark), "color": _COLOURS[mark.tone]}
    return json.dumps({"schemaVersion": 1, **fields, "cacheSeconds": 3600}, ensure_ascii=False).encode() + b"\n"


def badge(version: str, mark: Mark) -> bytes:
    """The picture; it loads nothing, and its text is text."""
    said = _message(version, mark)
    left, right = (_width(text) + 12 for text in (LABEL, said))
    name, message = escape(f"{LABEL}: {said}"), escape(said)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img">
<title>{name}</title>
<rect width="{left + right}" height="20" rx="4" fill="#33393f"/>
<path d="M{left} 0h{right - 4}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4h-{right - 4}z" fill="{_COLOURS[mark.tone]}"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">
<text x="{left / 2}" y="14" textLength="{left - 12}">{LABEL}</text>
<text x="{left + right / 2}" y="14" textLength="{right - 12}">{message}</text>
</g>
</svg>
""".encode("utf-8", "backslashreplace")


MOST_TOGETHER = 500
"""Files on one page of projects; more are divided by the next letter of their projects, unless it is one project."""
LATEST = 50
"""Verifications that are in the document of the front page, and in the feed of all."""
_DEEPEST = 40
"""Letters by which projects are told apart."""
_INDEX, _PROJECTS = data_path("index.html"), "projects"
_Document = TypeVar("_Document", bound=Value)
_Change = tuple[Summary | None, Summary]
"""What was listed of a file, and what is now."""
_Lists = dict[str, dict[str, FileCounts]]
"""Of each kind, by folder: how many files its lists have."""


@dataclass(frozen=True)
class Front:
    """What the front page and the feeds show besides the rows."""

    alarms: Sequence[RecordedAlarm]
    """The open ones."""
    alarmed: Sequence[Summary]
    """The newest verification of files that alarms are about; others may be among them."""
    now: datetime
    """The time that it gives as its own."""
    untested: Mapping[str, int]
    """Files that are known and have no verdict yet, by ecosystem."""
    incidents: Sequence[documents.IncidentEntry] = ()
    """All of them, the newest first."""


@dataclass
class _Known:
    """What the site lists."""

    counts: FileCounts
    latest: list[Summary]
    """The newest of all."""
    days: tuple[Bucket, ...]
    """What stood at the end of each day on which something changed."""
    alarms: tuple[Alarm, ...]
    """The open ones."""
    lists: _Lists
    projects: set[str] = field(default_factory=set)
    """Documents of projects, those that only lead to others excepted."""


@dataclass(frozen=True)
class Listing:
    """Writes them below one directory.

    Args:
        root: Of the site.
        writer: Writes below it.
        page: Renders a page with a template from its model, and writes it.
        about: Further fields of the document of the front page: who verifies, and with which key.
        address: Where the site is published; None: not known.
        written: What was written of what.
        circumstances: Names all that every page is made of.
    """

    root: Path
    writer: Writer
    page: Callable[[str, str, object], None]
    about: Mapping[str, str]
    address: str | None
    written: Written
    circumstances: str

    def write(self, files: Sequence[Summary], days: Days, front: Front, made_from: str) -> None:
        """Write all of it.

        Args:
            files: The newest verification of each file, newest first.
            days: What stood of them at the end of each day on which something changed.
            front: What the front page shows besides.
            made_from: Names what the pages depend on besides their rows.

        Raises:
            StoreError: a file cannot be written.
        """
        untested = sum(front.untested.values())
        counts, latest = FileCounts.of(files, untested), list(files[:LATEST])
        known = _Known(counts, latest, days.get(None, ()), (), {each.folder: {} for each in KINDS})
        lists: dict[tuple[str, str], list[Summary]] = defaultdict(list)
        for each in files:
            for kind, key in lists_of(each):
                lists[kind.folder, key].append(each)
        for kind in KINDS:
            for key in sorted(key for folder, key in lists if folder == kind.folder):
                rows = lists[kind.folder, key]
                known.lists[kind.folder][key] = FileCounts.of(rows, 0)
                self._list(kind, key, rows[:MOST_LISTED], known.lists[kind.folder][key])
            self._overview(kind, known)
        by_initial: dict[str, list[Summary]] = defaultdict(list)
        for each in files:
            by_initial[prefix_of(each.name, 1)].append(each)
        names: set[str] = set()
        for initial, chosen in sorted(by_initial.items()):
            known.projects |= self._divided(initial, chosen, sorted(by_initial), names)
        for notes in by_processes(partial(self._projects, days, front.alarms), _by_project(files)):
            self.written.keep(notes)
        self._front(known, front, made_from)
        # Only now, when nothing links to them.
        for kind in KINDS:
            kept = {Path(kind.path(key)).stem for key in known.lists[kind.folder]}
            self._remove_others(kind.folder, kept)
        self._remove_others(_PROJECTS, names)
        self.writer.remove_others("sitemaps", {f"{each}.xml" for each in names})

    def _remove_others(self, folder: str, names: set[str]) -> None:
        for directory, ending in ((folder, "html"), (f"{DATA}/{folder}", "json")):
            self.writer.remove_others(directory, {f"{each}.{ending}" for each in {*names, "index"}}, ending)

    def update(self, rows: Sequence[Summary], front: Front, made_from: str) -> bool:
        """Put rows in that changed, and write what shows them.

        Args:
            rows: Verifications in the order in which they were published; the last one of a file counts.
            front: What the front page shows besides.
            made_from: As :meth:`write` was given.

        Returns:
            False where there is nothing to go on from, and nothing was written: it is to be written whole.

        Raises:
            StoreError: a file cannot be written.
        """
        known = self._known(made_from)
        if known is None or not known.latest:
            return False
        initials = sorted({Path(each).name[0] for each in known.projects})
        placed = self._placed(rows, known)
        touched = self._count(known, placed[1]) if placed is not None else None
        if placed is None or touched is None:
            return False
        pages, changed = placed
        known.counts = replace(known.counts, untested=sum(front.untested.values()))
        fresh = [row for _, row in changed]
        replaced = {artifact_key(each) for each in fresh}
        kept = [each for each in known.latest if artifact_key(each) not in replaced]
        known.latest = newest_first([*fresh, *kept])[:LATEST]
        for prefix, listed in pages.items():
            known.projects.discard(data_path(projects_path(prefix)))
            known.projects |= self._divided(prefix, newest_first(listed), initials, set())
            self._lead_to(prefix, initials)
        self._update_projects(pages, changed, known.alarms, front)
        for kind, key in touched:
            self._relist(kind, key, known, fresh, replaced)
        for folder in dict.fromkeys(kind.folder for kind, _ in touched):
            self._overview(next(each for each in KINDS if each.folder == folder), known)
        self._front(known, replace(front, now=max(front.now, known.latest[0].finished)), made_from)
        for kind, key in touched:
            if key not in known.lists[kind.folder]:
                self.writer.remove(kind.path(key), data_path(kind.path(key)))
        return True

    def _update_projects(
        self, pages: Mapping[str, list[Summary]], changed: Sequence[_Change], before: Sequence[Alarm], front: Front
    ) -> None:
        """Write the pages of projects whose rows changed, or whose alarms."""
        about, old = _by_purl(front.alarms), {each.key: each.purl for each in before}
        fresh = {each.alarm.key: each.alarm.purl for each in front.alarms}
        purls = {(old | fresh)[key] for key in old.keys() ^ fresh.keys()}
        every = dict(_by_project(each for listed in pages.values() for each in newest_first(listed)))
        rows = [row for _, row in changed]
        for project in dict.fromkeys(
            (each.ecosystem, each.name) for each in (*rows, *front.alarmed) if each in rows or each.purl in purls
        ):
            found = self._read(data_path(project_path(*project)), documents.FileList)
            files = every.get(project) or newest_first(found.files if found is not None else ())
            if files:
                days = found.days if found is not None else ()
                mine = [(old, row) for old, row in changed if (row.ecosystem, row.name) == project]
                for old_row, row in sorted(mine, key=lambda pair: pair[1].finished):
                    days = moved(days, old_row.verdict if old_row else None, row.finished, row.verdict)
                alarms = [each for purl in {each.purl for each in files} for each in about.get(purl, ())]
                self._project(files, [row for _, row in mine], days, alarms)

    def _placed(self, rows: Sequence[Summary], known: _Known) -> tuple[dict[str, list[Summary]], list[_Change]] | None:
        """The rows of pages of projects by prefix, with those that changed, and what each replaces; None: unknown."""
        pages: dict[str, list[Summary]] = {}
        changed: list[_Change] = []
        for row in {artifact_key(each): each for each in rows}.values():
            found = self._page_of(row.name)
            if found is None:
                return None  # an initial that no page links to yet, or a document that is damaged
            if known.days and day_of(row.finished) < known.days[-1].start:
                return None  # the days after it would have to be told anew
            prefix, listed = found
            listed = pages.setdefault(prefix, listed)
            before = next((each for each in listed if artifact_key(each) == artifact_key(row)), None)
            if before is not None and before.finished > row.finished:
                return None  # another process was quicker, or the clock went back: the ledger knows which one counts
            pages[prefix] = [row, *(each for each in listed if each is not before)]
            changed.append((before, row))
        return pages, changed

    def _count(self, known: _Known, changed: Sequence[_Change]) -> dict[tuple[Kind, str], None] | None:
        """Bring all counts up to date; give the lists whose files changed, or None where counts do not fit the rows."""
        touched: dict[tuple[Kind, str], None] = {}
        for before, row in sorted(changed, key=lambda pair: pair[1].finished):
            known.days = moved(known.days, before.verdict if before else None, row.finished, row.verdict)
            known.counts = (known.counts.without(before) if before else known.counts).with_one(row)
            for old, number in ((before, -1), (row, 1)):
                if old is None:
                    continue
                for kind, key in lists_of(old):
                    lists = known.lists[kind.folder]
                    lists[key] = lists.get(key, NOTHING).with_one(old, number)
                    touched[kind, key] = None
        for kind, key in touched:
            total = known.lists[kind.folder][key].total
            if total < 0:
                return None
            if not total:
                del known.lists[kind.folder][key]
        return touched

    def _known(self, made_from: str) -> _Known | None:
        if not carries(self.root / "index.html", made_from):
            return None
        index = self._read(_INDEX, documents.Index)
        if index is None:
            return None
        lists: _Lists = {}
        for kind in KINDS:
            found = self._read(data_path(kind.overview()), documents.Overview)
            if found is None:
                return None
            lists[kind.folder] = {key: FileCounts.from_document(each) for key, each in found.lists.items()}
        counts = FileCounts.read(index.counts, index.reproduced)
        if counts is None:
            return None
        return _Known(counts, list(index.latest), index.days, index.alarms, lists, set(index.projects))

    def _page_of(self, project: str) -> tuple[str, list[Summary]] | None:
        """The prefix whose page has a project, or would have it, and its rows; None: there is no telling."""
        parts: Sequence[str] | None = None
        for length in range(1, _DEEPEST + 1):
            prefix = prefix_of(project, length)
            path = data_path(projects_path(prefix))
            if parts is not None and path not in parts:
                return prefix, []
            found = self._read(path, documents.Projects)
            if found is None:
                return None
            if not found.parts:
                return prefix, list(found.files)
            parts = found.parts
        return None

    def _divided(self, prefix: str, files: Sequence[Summary], initials: Sequence[str], names: set[str]) -> set[str]:
        """Write the pages of projects whose names begin alike.

        Args:
            prefix: How they begin.
            files: Newest first.
            initials: Of all projects.
            names: The names of pages that were written are put in.

        Returns:
            The documents that list files.
        """
        names.add(prefix)
        path = data_path(projects_path(prefix))
        if len(files) <= MOST_TOGETHER or len({prefix_of(each.name, _DEEPEST) for each in files}) == 1:
            ordered = sorted(files, key=lambda each: (each.name.casefold(), each.name, each.ecosystem))
            self.writer.write(path, documents.projects_document(prefix, ordered))
            self.page(
                projects_path(prefix), "overview.html", projects_page(prefix, ordered, initial_links(initials, "../"))
            )
            if self.address is not None:
                self.writer.write(f"sitemaps/{prefix}.xml", sitemap(self.address, ordered))
            return {path}
        parts: dict[str, list[Summary]] = {}
        for each in files:
            parts.setdefault(prefix_of(each.name, len(prefix) + 1), []).append(each)
        found: set[str] = set()
        for part, chosen in parts.items():
            found |= self._divided(part, chosen, initials, names)
        self._parts(prefix, sorted(parts), initials)
        self.writer.remove(f"sitemaps/{prefix}.xml")
        return found

    def _parts(self, prefix: str, parts: Sequence[str], initials: Sequence[str]) -> None:
        listed = [data_path(projects_path(each)) for each in parts]
        self.writer.write(data_path(projects_path(prefix)), documents.parts_document(prefix, listed))
        self.page(projects_path(prefix), "overview.html", part_page(prefix, parts, initial_links(initials, "../")))

    def _lead_to(self, prefix: str, initials: Sequence[str]) -> None:
        """Have the page above link to this one."""
        above = prefix[:-1]
        found = self._read(data_path(projects_path(above)), documents.Projects) if above else None
        if found is not None and data_path(projects_path(prefix)) not in found.parts:
            prefixes = {Path(each).stem for each in found.parts}
            self._parts(above, sorted({*prefixes, prefix}), initials)

    def _projects(
        self, days: Days, alarms: Sequence[RecordedAlarm], projects: Sequence[tuple[Project, Sequence[Summary]]]
    ) -> dict[str, str]:
        """Write what is about some projects, as far as it is not what it is to be; give notes on it."""
        about = _by_purl(alarms)
        for project, files in projects:
            page = project_path(*project).removesuffix("/index.html")
            mine = [each for purl in {each.purl for each in files} for each in about.get(purl, ())]
            shown = [*files, *days.get(project, ()), *mine]
            made_of = digest(self.circumstances, *(each.model_dump_json() for each in shown))
            if not self.written.has(page, made_of):
                with self.writer.noting() as paths:
                    self._project(files, files, days.get(project, ()), mine)
                self.written.wrote(page, made_of, [f"/{each}" for each in paths])
        return self.written.give()

    def _project(
        self,
        files: Sequence[Summary],
        changed: Sequence[Summary],
        days: Sequence[Bucket],
        alarms: Sequence[RecordedAlarm],
    ) -> None:
        """Write what is about one project.

        Args:
            files: All of its files, newest first.
            changed: Those of them whose releases are written, too.
            days: What stood of them at the end of each day on which something changed.
            alarms: The open ones about it.
        """
        one = files[0]
        path = project_path(one.ecosystem, one.name)
        directory = path.removesuffix("/index.html")
        document = documents.list_document("project", one.name, FileCounts.of(files, 0), files, days)
        self.writer.write(data_path(path), document)
        self.page(path, "list.html", project_page(files, days, alarms))
        latest = by_version(files)[0].version
        newest = [each for each in files if each.version == latest]
        self.writer.write(f"{directory}/badge.svg", badge(latest, worst(newest)))
        self.writer.write(f"{directory}/badge.json", badge_document(latest, worst(newest)))
        self.writer.write(f"{directory}/feed.atom", self._feeds.files(files[:LATEST], directory, one.name))
        for version in dict.fromkeys(each.version for each in changed):
            release = [each for each in files if each.version == version]
            self._group(release_path(release[0]), release, release_page)
            for name in dict.fromkeys(each.filename for each in release):
                same = [each for each in release if each.filename == name]
                self._group(file_path(same[0]), same, file_page)

    def _group(self, path: str, rows: Sequence[Summary], page: Callable[[Sequence[Summary]], object]) -> None:
        """Write the page of some files; of one, it leads to the page of that."""
        if len(rows) == 1:
            self.page(path, "forward.html", forward_page(path, rows[0]))
        else:
            self.page(path, "list.html", page(rows))

    def _relist(
        self, kind: Kind, key: str, known: _Known, fresh: Sequence[Summary], replaced: set[tuple[str, ...]]
    ) -> None:
        counts = known.lists[kind.folder].get(key)
        if counts is None:
            return
        before = self._read(data_path(kind.path(key)), documents.FileList)
        kept = [each for each in (before.files if before is not None else ()) if artifact_key(each) not in replaced]
        rows = newest_first([*(each for each in fresh if kind.key(each) == key), *kept])[:MOST_LISTED]
        if len(rows) != min(counts.total, MOST_LISTED):  # a full list lost one: which comes next, the others know
            listed = (self._read(path, documents.Projects) for path in sorted(known.projects))
            every = (each for found in listed if found is not None for each in found.files)
            rows = newest_first(each for each in every if kind.key(each) == key)[:MOST_LISTED]
        self._list(kind, key, rows, counts)

    def _list(self, kind: Kind, key: str, rows: Sequence[Summary], counts: FileCounts) -> None:
        path = kind.path(key)
        self.writer.write(data_path(path), documents.list_document(kind.folder, key, counts, rows))
        self.page(path, "list.html", kind_page(kind, key, rows, counts))

    def _overview(self, kind: Kind, known: _Known) -> None:
        lists = known.lists[kind.folder]
        found = {key: lists[key].document() for key in sorted(lists)}
        self.writer.write(data_path(kind.overview()), documents.overview_document(kind.folder, found))
        self.page(kind.overview(), "overview.html", overview_page(kind, lists))

    def _front(self, known: _Known, front: Front, made_from: str) -> None:
        document = documents.index_document(
            known.latest,
            [each.alarm for each in front.alarms],
            known.counts.by_name(),
            **self.about,
            reproduced=known.counts.ways(),
            days=known.days,
            written=front.now,
            projects=tuple(sorted(known.projects)),
        )
        self.writer.write(_INDEX, document)
        initials = sorted({Path(each).name[0] for each in known.projects})
        self.page(f"{_PROJECTS}/index.html", "overview.html", all_projects_page(initial_links(initials, "../")))
        self._feeds.write(self.writer, known.latest, front.alarms, front.alarmed)
        if self.address is not None:
            names = [Path(each).stem for each in sorted(known.projects)]
            self.writer.write("sitemap.xml", sitemap_index(self.address, names))
        facts = FrontFacts(
            counts=known.counts,
            ecosystems={
                key: replace(known.lists[ECOSYSTEMS.folder].get(key, NOTHING), untested=number)
                for key in sorted({*known.lists[ECOSYSTEMS.folder], *front.untested})
                for number in (front.untested.get(key, 0),)
            },
            days=known.days,
            causes=known.lists["causes"],
            initials=initial_links(initials, ""),
            incidents=front.incidents,
            now=front.now,
            made_from=made_from,
        )
        self.page("index.html", "index.html", index_page(known.latest, front.alarms, front.alarmed, facts))

    @property
    def _feeds(self) -> Feeds:
        return Feeds(self.address, self.about["verifier"], self.about["key_id"])

    def _read(self, path: str, kind: type[_Document]) -> _Document | None:
        try:
            return kind.model_validate_json((self.root / path).read_bytes())
        except (OSError, ValidationError):
            return None


def _by_purl(alarms: Iterable[RecordedAlarm]) -> dict[str, list[RecordedAlarm]]:
    found: dict[str, list[RecordedAlarm]] = {}
    for each in alarms:
        found.setdefault(each.alarm.purl, []).append(each)
    return found


def _by_project(rows: Iterable[Summary]) -> list[tuple[tuple[str, str], list[Summary]]]:
    """The rows of each project, in the order they have."""
    found: dict[tuple[str, str], list[Summary]] = {}
    for each in rows:
        found.setdefault((each.ecosystem, each.name), []).append(each)
    return sorted(found.items())
