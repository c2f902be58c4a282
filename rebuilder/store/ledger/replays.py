"""Published reports that the service ran again: which are next, what came of them, and how that goes with their age."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, or_, select

from rebuilder.model.replay import AGES, ReplayedByAge, ReplayOutcome
from rebuilder.model.report import SignedReport, Summary
from rebuilder.model.verdict import Kind, Verdict
from rebuilder.model.work import Order
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.rows import KeptReport, finished_verifications, newest_verifications, select_signed

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
