"""Queries over what was done lately: throughput by hour and day, effort, lead time, builds that are not stable."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, String, exists, func, select

from rebuilder.model.figures import SampleFigures, Spread, spread
from rebuilder.model.operations import Bucket
from rebuilder.model.report import Stage
from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger import tables

WINDOW = timedelta(days=7)
"""How far effort and lead time look back."""
MOST = 1000
"""Verifications that are looked at for that: figures cost the same however much was done."""

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_TEXT = {_HOUR: (13, "%Y-%m-%d %H"), _DAY: (10, "%Y-%m-%d")}
"""Length of a bucket to how much of a time in ISO 8601 names it, and how that is read."""


def hours(connection: Connection, now: datetime, number: int) -> tuple[Bucket, ...]:
    """What ended in each of the last hours (UTC), oldest first; the last one is not over."""
    start = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - (number - 1) * _HOUR
    return _buckets(connection, start, _HOUR, number)


def days(connection: Connection, now: datetime, number: int) -> tuple[Bucket, ...]:
    """What ended on each of the last days (UTC), oldest first; the last one is not over."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - (number - 1) * _DAY
    return _buckets(connection, start, _DAY, number)


def _buckets(connection: Connection, start: datetime, length: timedelta, number: int) -> tuple[Bucket, ...]:
    verification = tables.verification.c
    characters, form = _TEXT[length]
    finished: Any = verification.finished
    if connection.dialect.name == "postgresql":
        finished = func.to_char(func.timezone("UTC", finished), "YYYY-MM-DD HH24")
    name = func.substr(finished, 1, characters, type_=String)
    query = (
        select(name, verification.verdict, func.count())
        .where(
            verification.state.in_(("done", "abandoned")),
            verification.verdict.is_not(None),
            verification.finished >= start,
            verification.finished < start + number * length,
        )
        .group_by(name, verification.verdict)
    )
    found: dict[datetime, dict[Verdict, int]] = defaultdict(dict)
    for text, verdict, count in connection.execute(query):
        found[datetime.strptime(text, form).replace(tzinfo=UTC)][Verdict(verdict)] = count
    moments = [start + index * length for index in range(number)]
    return tuple(Bucket(start=moment, verdicts=found.get(moment, {})) for moment in moments)


def sample(connection: Connection, now: datetime) -> SampleFigures:
    """Effort of the newest verifications within the window."""
    verification, stage, attempt = tables.verification.c, tables.stage.c, tables.attempt.c
    newest = (
        select(verification.id)
        .where(verification.state == "done", verification.finished >= now - WINDOW, verification.finished <= now)
        .order_by(verification.finished.desc())
        .limit(MOST)
        .subquery()
    )
    numbers = connection.execute(select(newest.c.id)).scalars().all()
    spent: dict[str, list[float]] = defaultdict(list)
    rows = connection.execute(select(stage.name, stage.seconds).join(newest, newest.c.id == stage.verification_id))
    for name, seconds in rows:
        spent[name].append(seconds)
    used = connection.execute(
        select(
            attempt.verification_id,
            attempt.wall_seconds,
            attempt.cpu_seconds,
            attempt.peak_memory_bytes,
            attempt.definition_sha256,
        ).join(newest, newest.c.id == attempt.verification_id)
    ).all()
    made = Counter(row.verification_id for row in used)
    repeated, flaky = _stability(connection, {row.definition_sha256 for row in used})
    return SampleFigures(
        verifications=len(numbers),
        stages={Stage(name): found for name in Stage if (found := spread(spent.get(name, ()))) is not None},
        wall=spread(row.wall_seconds for row in used),
        cpu=spread(row.cpu_seconds for row in used),
        memory=spread(row.peak_memory_bytes for row in used),
        attempts=spread(made[number] for number in numbers),
        repeated=repeated,
        flaky=flaky,
    )


def _stability(connection: Connection, definitions: set[str]) -> tuple[int, int]:
    """How many definitions were run more than once, and how many of those did not always give the same."""
    attempt = tables.attempt.c
    ends: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    query = select(attempt.definition_sha256, attempt.outcome, attempt.rebuilt_sha256)
    for row in connection.execute(query.where(attempt.definition_sha256.in_(definitions))):
        ends[row.definition_sha256].append((row.outcome, row.rebuilt_sha256))
    repeated = [each for each in ends.values() if len(each) > 1]
    return len(repeated), sum(len(set(each)) > 1 for each in repeated)


def lead(connection: Connection, now: datetime) -> Spread | None:
    """Seconds from publication to first verdict; see :attr:`rebuilder.model.figures.Figures.lead`."""
    artifact, verification = tables.artifact.c, tables.verification.c
    before, other = tables.verification.alias().c, tables.artifact.alias().c
    earlier = exists().where(
        before.artifact_id == verification.artifact_id, before.state == "done", before.id < verification.id
    )
    known = exists().where(
        other.ecosystem == artifact.ecosystem, other.name == artifact.name, other.first_seen <= artifact.uploaded
    )
    query = (
        select(verification.finished, artifact.uploaded)
        .join(tables.artifact, artifact.id == verification.artifact_id)
        .where(
            verification.state == "done",
            verification.finished >= now - WINDOW,
            verification.finished <= now,
            ~earlier,
            known,
        )
        .order_by(verification.finished.desc())
        .limit(MOST)
    )
    rows = connection.execute(query)
    return spread((finished - uploaded).total_seconds() for finished, uploaded in rows)
