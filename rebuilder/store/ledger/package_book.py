"""Published files as a list of packages: what is known of each, what was built, and the links about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import starmap
from typing import Any, Literal, NamedTuple

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, exists, func, literal, or_, select, tuple_

from rebuilder.model.report import SignedReport, Summary
from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.queue.rows import free
from rebuilder.store.ledger.rows import SUMMARY, KeptReport, put, select_signed

Accept = Callable[[str, str], bool]
"""Whether a file is wanted, by its ecosystem and its name."""
_AT_ONCE = 1000
"""Rows that one query asks for by their numbers."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files; None: any."""

    ecosystem: str | None = None
    name: str | None = None
    version: str | None = None
    accept: Accept | None = None
    """What no column says."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a list: rows are in the order of a column, and of their numbers where that is the same."""

    limit: int
    before: int | None = None
    """Only those that come before the row with this number."""
    after: int | None = None
    sort: Literal["id", "name", "version", "distribution"] = "id"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class PackageRow:
    """One published file, and one verification of it."""

    artifact: int
    ecosystem: str
    name: str
    version: str
    filename: str
    sha256: str
    url: str
    first_seen: datetime
    number: int | None
    """Of the verification; None: there is none yet."""
    started: datetime | None
    linked: bool
    """Whether there is a link about it."""
    summary: Summary | None
    """What the verification came to, as the ledger says; None: there is none yet."""

    @property
    def unverified(self) -> PackageRow:
        """The same file, as if it had no verification."""
        return replace(self, number=None, started=None, linked=False, summary=None)


class ListedRow(NamedTuple):
    """One published file and its newest verification, as columns; the last three are None where there is none."""

    ecosystem: str
    name: str
    version: str
    filename: str
    url: str
    sha256: str
    purl: str
    number: int | None
    finished: datetime | None
    linked: int | None
    """The number of the verification again, where there is a link about it."""

    @property
    def identity(self) -> tuple[str, str, str, datetime | None]:
        """That of its summary."""
        return self.sha256, self.purl, self.filename, self.finished


@dataclass(frozen=True, slots=True)
class Jobs:
    """Tasks of the queue: worked on, ready to be, and those whose time has not come."""

    running: int
    available: int
    pending: int


class PackageBook:
    """Plain values in, plain values out; all methods raise :class:`StoreError` when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def packages(self, wanted: Wanted, part: Part) -> tuple[int, list[PackageRow]]:
        """How many files there are, and a part of them, each with its newest finished verification.

        A file name that came back with other bytes counts with the newest ones only.
        """
        return self._page(_packages(), tables.artifact.c.id, wanted, part)

    def builds(self, wanted: Wanted, part: Part) -> tuple[int, list[PackageRow]]:
        """How many finished verifications there are, and a part of them."""
        return self._page(_builds(), tables.verification.c.id, wanted, part)

    def package(self, number: int) -> PackageRow | None:
        """One file by its number; None where there is none, or where other bytes have its name by now."""
        return self._one(_packages().where(tables.artifact.c.id == number))

    def build(self, number: int) -> PackageRow | None:
        """One finished verification by its number."""
        return self._one(_builds().where(tables.verification.c.id == number))

    def listed(self, changed: Sequence[Summary] | None = None, *, seen: datetime | None = None) -> Iterator[ListedRow]:
        """Files in the order in which they were seen, with little more than a list says of each.

        Args:
            changed: Only those, and what was seen after ``seen``; None: every one.
            seen: A moment.
        """
        artifact = tables.artifact.c
        query = _packages().with_only_columns(*_listed()).order_by(artifact.id)
        if changed is not None:
            named = (artifact.ecosystem, artifact.purl, artifact.filename, artifact.sha256)
            wanted = [tuple(getattr(each, column.name) for column in named) for each in changed]
            query = query.where(or_(tuple_(*named).in_(wanted), artifact.first_seen > seen))
        with self._database.reading() as connection:
            yield from starmap(ListedRow, connection.execution_options(yield_per=1000).execute(query))

    def replaced(self, seen: datetime) -> list[ListedRow]:
        """Files whose names other bytes have that were seen after a moment."""
        older, newer = tables.artifact.alias().c, tables.artifact.alias().c
        found = select(older.id).where(_same_name(older, newer), newer.id > older.id, newer.first_seen > seen)
        query = _files().with_only_columns(*_listed()).where(tables.artifact.c.id.in_(found))
        return [ListedRow(*row) for row in self._database.rows(query)]

    def newest(self) -> int:
        """The number of the newest verification; 0 where there is none."""
        return int(self._database.value(select(func.max(tables.verification.c.id))) or 0)

    def report(self, number: int) -> SignedReport | None:
        """The signed report of a finished verification."""
        row = self._database.first(select_signed().where(tables.signed.c.verification_id == number))
        return KeptReport(row).read() if row is not None else None

    def link(self, number: int) -> str | None:
        """The link about what a verification reproduced, as it was signed."""
        link = tables.rebuild_link.c
        document: str | None = self._database.value(select(link.document).where(link.verification_id == number))
        return document

    def unlinked(self, key_id: str, after: int, limit: int) -> list[int]:
        """Numbers of verifications that reproduced a file and have no link signed by a key, in their order."""
        verification, link = tables.verification.c, tables.rebuild_link.c
        signed = exists().where(link.verification_id == verification.id, link.key_id == key_id)
        query = select(verification.id).where(
            verification.state == "done", verification.verdict == Verdict.REPRODUCED.value, verification.id > after
        )
        return list(self._database.values(query.where(~signed).order_by(verification.id).limit(limit)))

    def keep_links(self, key_id: str, links: Mapping[int, str]) -> None:
        """Keep what one key signed, by the number of the verification."""
        with self._database.writing() as connection:
            for number, document in links.items():
                put(
                    connection,
                    tables.rebuild_link,
                    {"verification_id": number, "key_id": key_id, "document": document},
                )

    def files(self, ecosystem: str | None = None) -> dict[str, set[str]]:
        """The names of all files by ecosystem."""
        artifact = tables.artifact.c
        query = select(artifact.ecosystem, artifact.filename).distinct()
        found: dict[str, set[str]] = {}
        with self._database.reading() as connection:
            for row in connection.execute(query if ecosystem is None else query.where(artifact.ecosystem == ecosystem)):
                found.setdefault(row.ecosystem, set()).add(row.filename)
        return found

    def counts(self, wanted: Wanted, only: Sequence[int] | None = None) -> Counter[Verdict | None]:
        """How many files have each verdict; None: those without one.

        Args:
            wanted: Which files.
            only: Those whose newest verification has one of these numbers; None: all.
        """
        named = _packages().with_only_columns(*_light(wanted), tables.verification.c.verdict).where(*_named(wanted))
        found: Counter[Verdict | None] = Counter()
        with self._database.reading() as connection:
            for some in [None] if only is None else [only[at : at + _AT_ONCE] for at in range(0, len(only), _AT_ONCE)]:
                counted = (named if some is None else named.where(tables.verification.c.id.in_(some))).subquery()
                query = select(*counted.c, func.count().label("files")).group_by(*counted.c)
                for row in connection.execute(query):
                    if wanted.accept is None or wanted.accept(row.ecosystem, row.filename):
                        found[Verdict(row.verdict) if row.verdict is not None else None] += row.files
        return found

    def jobs(self, wanted: Wanted, now: datetime) -> Jobs:
        """The state of the queue."""
        task = tables.task.c
        query = select(task.ecosystem, task.filename, ~free(now), task.not_before <= now).where(
            *(
                column == value
                for column, value in (
                    (task.ecosystem, wanted.ecosystem),
                    (task.name, wanted.name),
                    (task.version, wanted.version),
                )
                if value is not None
            )
        )
        states: Counter[str] = Counter()
        with self._database.reading() as connection:
            for ecosystem, filename, held, due in connection.execute(query):
                if wanted.accept is None or wanted.accept(ecosystem, filename):
                    states["running" if held else "available" if due else "pending"] += 1
        return Jobs(states["running"], states["available"], states["pending"])

    def _one(self, query: Select[Any]) -> PackageRow | None:
        row = self._database.first(query)
        return _row(row) if row is not None else None

    def _page(
        self, base: Select[Any], number: ColumnElement[int], wanted: Wanted, part: Part
    ) -> tuple[int, list[PackageRow]]:
        light = base.with_only_columns(number, *_light(wanted)).where(*_named(wanted))
        column = {"name": "name", "version": "version", "distribution": "ecosystem"}.get(part.sort)
        order = [tables.artifact.c[column], number] if column else [number]
        query = light.order_by(*(each.desc() if part.descending else each.asc() for each in order))
        with self._database.reading() as connection:
            for cursor, later in ((part.after, True), (part.before, False)):
                if cursor is not None:
                    at = connection.execute(base.with_only_columns(*order).where(number == cursor)).first()
                    query = query.where(_beyond(order, at or (cursor,), later=later))
            numbers = _first(connection, query, wanted.accept, part.limit)
            rows = connection.execute(base.add_columns(number.label("place")).where(number.in_(numbers))).mappings()
            found = {row["place"]: _row(row) for row in rows}
            return _total(connection, light, wanted.accept), [found[each] for each in numbers]


def _packages() -> Select[Any]:
    """Every file, unless other bytes have its name by now, with its newest finished verification."""
    artifact, newer = tables.artifact.c, tables.artifact.alias().c
    return _files().where(~exists().where(_same_name(artifact, newer), newer.id > artifact.id))


def _same_name(one: Any, other: Any) -> ColumnElement[bool]:
    return and_(*(one[each] == other[each] for each in ("ecosystem", "purl", "filename")))


def _listed() -> list[ColumnElement[Any]]:
    names = ("ecosystem", "name", "version", "filename", "url", "sha256", "purl")
    verification = tables.verification.c
    more = (verification.id, verification.finished, tables.rebuild_link.c.verification_id)
    return [*(tables.artifact.c[each] for each in names), *more]


def _files() -> Select[Any]:
    artifact, verification, link = tables.artifact, tables.verification, tables.rebuild_link
    later = tables.verification.alias().c
    newest = (
        select(func.max(later.id)).where(later.artifact_id == artifact.c.id, later.state == "done").scalar_subquery()
    )
    joined = artifact.outerjoin(verification, verification.c.id == newest)
    return _selected(joined.outerjoin(link, link.c.verification_id == verification.c.id))


def _builds() -> Select[Any]:
    artifact, verification, link = tables.artifact, tables.verification, tables.rebuild_link
    joined = artifact.join(verification, verification.c.artifact_id == artifact.c.id)
    joined = joined.outerjoin(link, link.c.verification_id == verification.c.id)
    return _selected(joined).where(verification.c.state == "done")


def _selected(source: Any) -> Select[Any]:
    artifact, verification = tables.artifact.c, tables.verification.c
    known = {"ecosystem", "name", "version", "purl", "filename", "sha256"}
    return select(
        *(artifact[each] for each in sorted(known)),
        *(verification[each] for each in sorted(set(SUMMARY) - known)),
        artifact.id.label("artifact"),
        artifact.url,
        artifact.first_seen,
        verification.id.label("number"),
        verification.started,
        tables.rebuild_link.c.verification_id.is_not(None).label("linked"),
    ).select_from(source)


def _row(row: RowMapping) -> PackageRow:
    about = {name: row[name] for name in PackageRow.__dataclass_fields__ if name != "summary"}
    done = row["number"] is not None
    summary = Summary.model_validate({name: row[name] for name in SUMMARY}) if done else None
    return PackageRow(**about, summary=summary)


def _named(wanted: Wanted) -> list[ColumnElement[bool]]:
    artifact = tables.artifact.c
    pairs = ((artifact.ecosystem, wanted.ecosystem), (artifact.name, wanted.name), (artifact.version, wanted.version))
    return [column == value for column, value in pairs if value is not None]


def _light(wanted: Wanted) -> list[ColumnElement[Any]]:
    """The columns that :attr:`Wanted.accept` asks for; nothing of them where it asks for none."""
    artifact = tables.artifact.c
    if wanted.accept is None:
        return [literal("").label("ecosystem"), literal("").label("filename")]
    return [artifact.ecosystem, artifact.filename]


def _beyond(order: Sequence[ColumnElement[Any]], at: Sequence[Any], *, later: bool) -> ColumnElement[bool]:
    """Condition: after a row, or before it, in ascending order; by its number alone where there is no such row."""
    *columns, number = order
    beyond: ColumnElement[bool] = number > at[-1] if later else number < at[-1]
    if not columns or len(at) == 1:
        return beyond
    (column,) = columns
    return or_(column > at[0] if later else column < at[0], and_(column == at[0], beyond))


def _first(connection: Connection, query: Select[Any], accept: Accept | None, limit: int) -> list[int]:
    if accept is None:
        return list(connection.execute(query.limit(limit)).scalars())
    found: list[int] = []
    for number, ecosystem, filename in connection.execute(query):
        if len(found) == limit:
            break
        if accept(ecosystem, filename):
            found.append(number)
    return found


def _total(connection: Connection, query: Select[Any], accept: Accept | None) -> int:
    if accept is None:
        return int(connection.execute(select(func.count()).select_from(query.subquery())).scalar() or 0)
    return sum(accept(ecosystem, filename) for _, ecosystem, filename in connection.execute(query))
