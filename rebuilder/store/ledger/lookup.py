"""Finding what was said about published files: by release, by digest, by time; and where they wait in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from rebuilder.model.operations import QueueEntry
from rebuilder.model.report import Summary
from rebuilder.model.value import Value
from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.queue.state import next_in_line
from rebuilder.store.ledger.rows import SUMMARY, finished_verifications

MOST_FILES = 500
"""A release with more files is cut off here: npm and PyPI have releases with hundreds."""
MOST_HISTORY = 50
MOST_PLACES = 1000
"""Further back in the queue, a place is not told."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class QueuedFile(Value):
    """A queued file."""

    entry: QueueEntry
    sha256: str | None = None
    """As the index lists it."""
    position: int | None = None
    """1 is next; None while a worker has it, while it waits for its time, or behind :data:`MOST_PLACES` others."""


class Known(Value):
    """One published file."""

    purl: str
    filename: str
    sha256: str | None = None
    """None for a file that is only queued, where a registry lists another digest."""
    verifications: tuple[Summary, ...] = ()
    """Finished ones, newest first; no more than :data:`MOST_HISTORY`."""
    place: QueuedFile | None = None


class Recent(Value):
    """One page of finished verifications, newest first."""

    rows: tuple[Summary, ...]
    next: str | None = None
    """Cursor of the page after this one; None: this is the last one."""


class Lookup:
    """Plain values in, plain values out; every method is one transaction that only reads.

    All methods raise :class:`StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def release(self, purls: Sequence[str], now: datetime, *, filename: str | None = None) -> list[Known]:
        """The files of a release, by name; ``purls`` are spellings of its package URL."""
        found: ColumnElement[bool] = tables.artifact.c.purl.in_(purls)
        queued: ColumnElement[bool] = tables.task.c.purl.in_(purls)
        if filename is not None:
            found = and_(found, tables.artifact.c.filename == filename)
            queued = and_(queued, tables.task.c.filename == filename)
        return self._known(found, queued, now)

    def digest(self, sha256: str, now: datetime) -> list[Known]:
        """The files with these bytes: most often one."""
        return self._known(tables.artifact.c.sha256 == sha256, tables.task.c.sha256 == sha256, now)

    def recent(
        self,
        limit: int,
        *,
        ecosystem: str | None = None,
        verdict: Verdict | None = None,
        before: str | None = None,
    ) -> Recent:
        """Finished verifications, newest first.

        Args:
            limit: Most on this page.
            ecosystem: Only of this one.
            verdict: Only with this one.
            before: ``next`` of the page before.

        Raises:
            ValueError: ``before`` is no cursor.
        """
        verification = tables.verification.c
        query = finished_verifications().add_columns(verification.id.label("number")).limit(limit + 1)
        if ecosystem is not None:
            query = query.where(tables.artifact.c.ecosystem == ecosystem)
        if verdict is not None:
            query = query.where(verification.verdict == verdict.value)
        if before is not None:
            finished, number = _read_cursor(before)
            earlier = and_(verification.finished == finished, verification.id < number)
            query = query.where(or_(verification.finished < finished, earlier))
        rows = [dict(row) for row in self._database.mappings(query)]
        page = rows[:limit]
        following = _cursor(page[-1]["finished"], page[-1]["number"]) if len(rows) > limit else None
        return Recent(rows=tuple(_summary(row) for row in page), next=following)

    def _known(self, found: ColumnElement[bool], queued: ColumnElement[bool], now: datetime) -> list[Known]:
        artifact = tables.artifact.c
        names = select(artifact.id, artifact.purl, artifact.filename, artifact.sha256).where(found)
        names = names.order_by(artifact.filename, artifact.purl, artifact.id.desc()).limit(MOST_FILES)
        with self._database.reading() as connection:
            places = _places(connection, queued, now)
            rows = connection.execute(names).all()
            history = _history(connection, [row.id for row in rows])
        known = [
            Known(
                purl=row.purl,
                filename=row.filename,
                sha256=row.sha256,
                verifications=tuple(history.get(row.id, ())),
                place=places.pop((row.purl, row.filename), None),  # the newest bytes under a name are worked on
            )
            for row in rows
        ]
        unseen = (Known(purl=purl, filename=name, sha256=at.sha256, place=at) for (purl, name), at in places.items())
        return known + list(unseen)


def _history(connection: Connection, artifacts: Sequence[int]) -> dict[int, list[Summary]]:
    """The newest finished verifications by row number of the artifact, newest first."""
    verification = tables.verification.c
    rank = func.row_number().over(partition_by=verification.artifact_id, order_by=verification.id.desc())
    ranked = (
        finished_verifications()
        .add_columns(verification.artifact_id, verification.id.label("number"), rank.label("rank"))
        .where(verification.artifact_id.in_(artifacts))
        .subquery()
    )
    order = (ranked.c.finished.desc(), ranked.c.number.desc())
    history: dict[int, list[Summary]] = {}
    for row in connection.execute(select(ranked).where(ranked.c.rank <= MOST_HISTORY).order_by(*order)).mappings():
        history.setdefault(row["artifact_id"], []).append(_summary(dict(row)))
    return history


def _places(connection: Connection, queued: ColumnElement[bool], now: datetime) -> dict[tuple[str, str], QueuedFile]:
    task = tables.task.c
    rows = connection.execute(select(tables.task).where(queued).order_by(task.filename).limit(MOST_FILES))
    found = rows.mappings().all()
    positions = _positions(connection, [row["id"] for row in found], now)
    places: dict[tuple[str, str], QueuedFile] = {}
    for row in found:
        held = row["lease_until"] is not None and row["lease_until"] > now
        fields = {name: row[name] for name in QueueEntry.model_fields if name in row}
        holder = {"owner": row["lease_owner"], "until": row["lease_until"]} if held else {}
        entry = QueueEntry.model_validate({**fields, **holder, "task": row["id"]})
        places[row["purl"], row["filename"]] = QueuedFile(
            entry=entry, sha256=row["sha256"], position=positions.get(row["id"])
        )
    return places


def _positions(connection: Connection, numbers: Sequence[int], now: datetime) -> dict[int, int]:
    """Places, from 1, of those of these tasks that are among the first that could be worked on now."""
    if not numbers:
        return {}
    line = next_in_line(connection, now, MOST_PLACES)
    return {row["id"]: place for place, row in enumerate(line, 1) if row["id"] in numbers}


def _summary(row: dict[str, Any]) -> Summary:
    return Summary.model_validate({name: row[name] for name in SUMMARY})


def _cursor(finished: datetime, number: int) -> str:
    return f"{(finished - _EPOCH) // _MICROSECOND}.{number}"


def _read_cursor(cursor: str) -> tuple[datetime, int]:
    moment, _, number = cursor.partition(".")
    if not (cursor.isascii() and moment.isdigit() and number.isdigit() and len(moment) <= 17 and len(number) <= 18):
        raise ValueError(f"{cursor!r} is not a cursor")
    return _EPOCH + int(moment) * _MICROSECOND, int(number)
