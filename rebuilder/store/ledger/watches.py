"""What each watch found when it last looked, which files are known, and which published reports were run again."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, exists, func, or_, select, union_all, update

from rebuilder.model.operations import WatchState
from rebuilder.model.replay import AGES, ReplayedByAge, ReplayOutcome
from rebuilder.model.report import SignedReport, Summary
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.model.work import Order
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.queue.rows import GIVEN_UP
from rebuilder.store.ledger.rows import KeptReport, finished_verifications, newest_verifications, put, select_signed

_REPLAY, _VERIFICATION = tables.replay.c, tables.verification.c
_IDENTICAL = [each.value for each in Verdict if each.identical]
_LASTS = or_(_VERIFICATION.verdict.in_(_IDENTICAL), _VERIFICATION.kind == Kind.STABLE.value)
"""Reports of builds that gave the same twice: the published file, or content that differs from it each time alike."""


class Replays:
    """Every method is one transaction; all raise :class:`StoreError` when the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def due(self, before: datetime, *, ecosystem: str | None = None, limit: int | None = None) -> list[Summary]:
        """The newest reports that ended before a moment: those that were never run again, then the longest not.

        Among equals chance decides, so that a few each night are a sample of all. Reports of builds that give other
        content each time are not among them.
        """
        last = _last().subquery()
        query = (
            finished_verifications()
            .outerjoin(last, last.c.verification_id == _VERIFICATION.id)
            .where(_VERIFICATION.id.in_(newest_verifications()), _VERIFICATION.finished < before, _LASTS)
            .order_by(None)
            .order_by(last.c.replayed.is_not(None), last.c.replayed, func.random())
            .limit(limit)
        )
        if ecosystem is not None:
            query = query.where(tables.artifact.c.ecosystem == ecosystem)
        return [Summary.model_validate(dict(row)) for row in self._database.mappings(query)]

    def report(self, order: Order) -> tuple[int, SignedReport] | None:
        """The newest report on the file of an order, with the number of its verification; None: there is none."""
        artifact = tables.artifact.c
        query = select_signed().where(artifact.purl == order.purl, artifact.filename == order.filename).limit(1)
        if order.sha256 is not None:
            query = query.where(artifact.sha256 == order.sha256)
        row = self._database.first(query)
        return None if row is None else (row["verification_id"], KeptReport(row).read())

    def add(self, number: int, outcome: ReplayOutcome, sentence: str, now: datetime) -> ReplayOutcome | None:
        """Keep what running the report of a verification again came to; give what it came to the time before."""
        before = select(_REPLAY.outcome).where(_REPLAY.verification_id == number).order_by(_REPLAY.id.desc()).limit(1)
        row = {"verification_id": number, "replayed": now, "outcome": outcome.value, "sentence": sentence}
        with self._database.writing() as connection:
            found = connection.execute(before).scalar()
            connection.execute(tables.replay.insert().values(row))
        return None if found is None else ReplayOutcome(found)


def _last() -> Any:
    """The last replay of each report."""
    newest = select(func.max(_REPLAY.id)).group_by(_REPLAY.verification_id)
    return select(_REPLAY.verification_id, _REPLAY.replayed, _REPLAY.outcome).where(_REPLAY.id.in_(newest))


def replayed_by_age(connection: Connection) -> tuple[ReplayedByAge, ...]:
    """What the last replay of each report came to, by the age it had then; ages that nothing had are left out."""
    last = _last().subquery()
    query = select(last.c.outcome, last.c.replayed, _VERIFICATION.finished).join(
        tables.verification, _VERIFICATION.id == last.c.verification_id
    )
    found: dict[int | None, Counter[ReplayOutcome]] = {each: Counter() for each in AGES}
    for outcome, replayed, finished in connection.execute(query):
        days = (replayed - finished).days
        age = next(each for each in AGES if each is None or days < each)
        found[age][ReplayOutcome(outcome)] += 1
    return tuple(ReplayedByAge(days=age, outcomes=dict(each)) for age, each in found.items() if each)


class Watches:
    """Plain values in, plain values out; every method is one transaction.

    All methods raise :class:`StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, name: str) -> dict[str, str]:
        """What a watch saw last: project to the mark of its listing; empty when it never looked.

        It only saves requests, so what cannot be read is forgotten: the watch looks at everything once more.
        """
        query = select(tables.watch.c.seen).where(tables.watch.c.name == name)
        data = self._database.value(query)
        try:
            seen = {} if data is None else json.loads(zlib.decompress(data))
        except (zlib.error, ValueError):
            return {}
        return seen if isinstance(seen, dict) else {}

    def looked(self, state: WatchState, seen: dict[str, str]) -> None:
        """Keep what a watch found, whatever the number of its projects, with one write; when it looks next stays."""
        row = state.model_dump(exclude={"planned"}) | {"seen": zlib.compress(json.dumps(seen).encode(), 3)}
        with self._database.writing() as connection:
            put(connection, tables.watch, row)

    def plan(self, planned: Mapping[str, datetime]) -> None:
        """Keep when each watch looks next; what is not among them is in no schedule."""
        watch = tables.watch
        with self._database.writing() as connection:
            for name, before in connection.execute(select(watch.c.name, watch.c.planned)).all():
                if (moment := planned.get(name)) != before:
                    connection.execute(update(watch).where(watch.c.name == name).values(planned=moment))

    def failed(self, name: str, trouble: str) -> None:
        """Keep why a watch could not look at all; of one that never did, the log knows it."""
        with self._database.writing() as connection:
            connection.execute(update(tables.watch).where(tables.watch.c.name == name).values(trouble=trouble))

    def all(self) -> list[WatchState]:
        """What every watch found last, by name; also those that are in no schedule any more."""
        with self._database.reading() as connection:
            return list(watch_states(connection))

    def known(self, ecosystem: str, name: str) -> dict[str, set[str]]:
        """The files of a project that were seen or are queued: file name to the SHA-256 digests it had.

        A file that is only queued, from a registry that lists another digest, has an empty set.

        Args:
            ecosystem: Of the project.
            name: Of the project, normalised.
        """
        parts = [
            select(each.c.filename, each.c.sha256).where(each.c.ecosystem == ecosystem, each.c.name == name)
            for each in (tables.artifact, tables.task)
        ]
        known: dict[str, set[str]] = {}
        for filename, sha256 in self._database.rows(union_all(*parts)):
            known.setdefault(filename, set()).update({sha256} - {None})
        return known

    def unfinished(self, ecosystem: str, name: str) -> set[str]:
        """Files of a project that were begun only, and are neither queued nor given up: nobody is going to finish them.

        Args:
            ecosystem: Of the project.
            name: Of the project, normalised.
        """
        artifact, verification, task = tables.artifact.c, tables.verification.c, tables.task.c
        settled = exists().where(
            verification.artifact_id == artifact.id,
            or_(verification.state.in_(("examined", "done")), verification.kind == GIVEN_UP),
        )
        queued = exists().where(task.purl == artifact.purl, task.filename == artifact.filename)
        query = select(artifact.filename, or_(settled, queued)).where(
            artifact.ecosystem == ecosystem, artifact.name == name
        )
        rows = self._database.rows(query)
        return {filename for filename, _ in rows} - {filename for filename, taken in rows if taken}


def watch_states(connection: Connection) -> tuple[WatchState, ...]:
    """What every watch found last, by name."""
    columns = [tables.watch.c[each] for each in WatchState.model_fields]
    rows = connection.execute(select(*columns).order_by(tables.watch.c.name))
    return tuple(WatchState.model_validate(dict(row)) for row in rows.mappings())
