"""The pages and documents that lead to artifacts: written whole, or brought up to date by the rows that changed.

Front page, lists by verdict, projects. What is published is also what is known: an update reads the documents that the
site has, puts the rows in that changed, and writes those pages again that show them. So its cost does not grow with
the site, and what was checked once before it was published is not checked again. Documents and pages are the same as
when all of it is written at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from rebuilder.model.alarm import Alarm
from rebuilder.model.report import Summary
from rebuilder.model.value import Value
from rebuilder.site import documents
from rebuilder.site.counts import FileCounts, list_path
from rebuilder.site.marks import STANDINGS, standing
from rebuilder.site.pages.index import (
    LATEST,
    MOST_LISTED,
    index_page,
    initial_links,
    list_page,
    part_page,
    prefix_of,
    projects_page,
    projects_path,
)
from rebuilder.site.rows import artifact_key, newest_first
from rebuilder.site.writing import Writer, carries

MOST_TOGETHER = 500
"""Files on one page of projects; more are divided by the next letter of their projects, unless it is one project."""
_DEEPEST = 40
"""Letters by which projects are told apart."""
_INDEX, _PROJECTS = "index.json", "projects"
_Document = TypeVar("_Document", bound=Value)


@dataclass(frozen=True)
class Front:
    """What the front page shows besides the rows."""

    alarms: Sequence[Alarm]
    """The open ones."""
    alarmed: Sequence[Summary]
    """The newest verification of files that alarms are about; others may be among them."""
    now: datetime
    """The time that it gives as its own."""
    untested: int
    """Files that are known and have no verdict yet."""


@dataclass
class _Known:
    """What the site lists."""

    counts: FileCounts
    latest: list[Summary]
    """The newest of all."""
    projects: set[str] = field(default_factory=set)
    """Documents of projects, those that only lead to others excepted."""


@dataclass(frozen=True)
class Listing:
    """Writes them below one directory.

    Args:
        root: Of the site.
        writer: Writes below it.
        page: Renders a page with a template from its model, and writes it.
        about: Further fields of ``index.json``: who verifies, and with which key.
    """

    root: Path
    writer: Writer
    page: Callable[[str, str, object], None]
    about: Mapping[str, str]

    def write(self, files: Sequence[Summary], front: Front, made_from: str) -> None:
        """Write all of it.

        Args:
            files: The newest verification of each file, newest first.
            front: What the front page shows besides.
            made_from: Names what the pages depend on besides their rows.

        Raises:
            StoreError: a file cannot be written.
        """
        known = _Known(FileCounts.of(files, front.untested), list(files[:LATEST]))
        by_standing: dict[str, list[Summary]] = {}
        for each in files:
            by_standing.setdefault(standing(each), []).append(each)
        for name, chosen in by_standing.items():
            self._list(name, chosen[:MOST_LISTED], len(chosen))
        by_initial: dict[str, list[Summary]] = {}
        for each in files:
            by_initial.setdefault(prefix_of(each.name, 1), []).append(each)
        names: set[str] = set()
        for initial, chosen in sorted(by_initial.items()):
            known.projects |= self._divided(initial, chosen, sorted(by_initial), names)
        self._front(known, front, made_from)
        # Only now, when the front page links to none of them.
        self.writer.remove_others("verdicts", {f"{each}.{kind}" for each in by_standing for kind in ("html", "json")})
        self.writer.remove_others(_PROJECTS, {f"{each}.{kind}" for each in names for kind in ("html", "json")})

    def update(
        self, rows: Sequence[Summary], front: Front, made_from: str, newest: Callable[[str, int], Sequence[Summary]]
    ) -> bool:
        """Put rows in that changed, and write what shows them.

        Args:
            rows: Verifications in the order in which they were published; the last one of a file counts.
            front: What the front page shows besides.
            made_from: As :meth:`write` was given.
            newest: The newest files with a standing, at most so many; asked for where a full list lost a row.

        Returns:
            False where there is nothing to go on from, and nothing was written: it is to be written whole.

        Raises:
            StoreError: a file cannot be written.
        """
        known = self._known(made_from)
        if known is None or not known.latest:
            return False
        initials = sorted({Path(each).name[0] for each in known.projects})
        pages: dict[str, list[Summary]] = {}
        changed: list[tuple[Summary | None, Summary]] = []
        for row in {artifact_key(each): each for each in rows}.values():
            found = self._page_of(row.name)
            if found is None:
                return False  # an initial that no page links to yet, or a document that is damaged
            prefix, listed = found
            listed = pages.setdefault(prefix, listed)
            before = next((each for each in listed if artifact_key(each) == artifact_key(row)), None)
            if before is not None and before.finished > row.finished:
                return False  # another process was quicker, or the clock went back: the ledger knows which one counts
            pages[prefix] = [row, *(each for each in listed if each is not before)]
            changed.append((before, row))
        counts = known.counts
        for before, row in changed:
            counts = counts.without(before).with_one(row) if before is not None else counts.with_one(row)
        known.counts = replace(counts, untested=front.untested)
        fresh = [row for _, row in changed]
        replaced = {artifact_key(each) for each in fresh}
        kept = [each for each in known.latest if artifact_key(each) not in replaced]
        known.latest = newest_first([*fresh, *kept])[:LATEST]
        for prefix, listed in pages.items():
            known.projects.discard(projects_path(prefix, "json"))
            known.projects |= self._divided(prefix, newest_first(listed), initials, set())
            self._lead_to(prefix, initials)
        for name in dict.fromkeys(standing(each) for pair in changed for each in pair if each is not None):
            self._relist(name, fresh, replaced, known.counts.number(name), newest)
        self._front(known, replace(front, now=max(front.now, known.latest[0].finished)), made_from)
        empty = {name for name in STANDINGS if not known.counts.number(name)}
        for name in empty:
            self.writer.remove(list_path(name), list_path(name, "json"))
        return True

    def _known(self, made_from: str) -> _Known | None:
        if not carries(self.root / "index.html", made_from):
            return None
        index = self._read(_INDEX, documents.Index)
        if index is None:
            return None
        counts = FileCounts.read(index.counts, index.reproduced)
        return _Known(counts, list(index.latest), set(index.projects)) if counts is not None else None

    def _page_of(self, project: str) -> tuple[str, list[Summary]] | None:
        """The prefix whose page has a project, or would have it, and its rows; None: there is no telling."""
        parts: Sequence[str] | None = None
        for length in range(1, _DEEPEST + 1):
            prefix = prefix_of(project, length)
            path = projects_path(prefix, "json")
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
        if len(files) <= MOST_TOGETHER or len({prefix_of(each.name, _DEEPEST) for each in files}) == 1:
            ordered = sorted(files, key=lambda each: (each.name.casefold(), each.name, each.ecosystem))
            self.writer.write(projects_path(prefix, "json"), documents.projects_document(prefix, ordered))
            page = projects_page(prefix, ordered, initial_links(initials, "../"))
            self.page(projects_path(prefix), "projects.html", page)
            return {projects_path(prefix, "json")}
        parts: dict[str, list[Summary]] = {}
        for each in files:
            parts.setdefault(prefix_of(each.name, len(prefix) + 1), []).append(each)
        found: set[str] = set()
        for part, chosen in parts.items():
            found |= self._divided(part, chosen, initials, names)
        self._parts(prefix, sorted(parts), initials)
        return found

    def _parts(self, prefix: str, parts: Sequence[str], initials: Sequence[str]) -> None:
        self.writer.write(projects_path(prefix, "json"), documents.parts_document(prefix, parts))
        self.page(projects_path(prefix), "projects.html", part_page(prefix, parts, initial_links(initials, "../")))

    def _lead_to(self, prefix: str, initials: Sequence[str]) -> None:
        """Have the page above link to this one."""
        above = prefix[:-1]
        found = self._read(projects_path(above, "json"), documents.Projects) if above else None
        if found is not None and projects_path(prefix, "json") not in found.parts:
            prefixes = {Path(each).stem for each in found.parts}
            self._parts(above, sorted({*prefixes, prefix}), initials)

    def _relist(
        self,
        name: str,
        fresh: Sequence[Summary],
        replaced: set[tuple[str, ...]],
        total: int,
        newest: Callable[[str, int], Sequence[Summary]],
    ) -> None:
        if not total:
            return
        before = self._read(list_path(name, "json"), documents.VerdictList)
        kept = [each for each in (before.files if before is not None else ()) if artifact_key(each) not in replaced]
        rows = newest_first([*(each for each in fresh if standing(each) == name), *kept])[:MOST_LISTED]
        if len(rows) != min(total, MOST_LISTED):
            rows = newest_first(newest(name, MOST_LISTED))
        self._list(name, rows, total)

    def _list(self, name: str, rows: Sequence[Summary], total: int) -> None:
        self.writer.write(list_path(name, "json"), documents.verdict_document(name, rows, total))
        self.page(list_path(name), "list.html", list_page(name, rows, total))

    def _front(self, known: _Known, front: Front, made_from: str) -> None:
        counts = known.counts
        document = documents.index_document(
            known.latest,
            front.alarms,
            counts.by_name(),
            **self.about,
            reproduced=counts.ways(),
            written=front.now,
            projects=tuple(sorted(known.projects)),
        )
        self.writer.write(_INDEX, document)
        initials = sorted({Path(each).name[0] for each in known.projects})
        page = index_page(
            known.latest,
            front.alarms,
            front.alarmed,
            counts=counts,
            initials=initial_links(initials, ""),
            now=front.now,
            made_from=made_from,
        )
        self.page("index.html", "index.html", page)

    def _read(self, path: str, kind: type[_Document]) -> _Document | None:
        try:
            return kind.model_validate_json((self.root / path).read_bytes())
        except (OSError, ValidationError):
            return None
