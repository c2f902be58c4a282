"""What the ledger says about operations as a whole, in few queries that stay quick with many verifications."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, RowMapping, String, and_, exists, func, select

from rebuilder.model.alarm import AlarmKind, Severity
from rebuilder.model.figures import EcosystemFigures, Figures, SampleFigures, together
from rebuilder.model.operations import Bucket, Cost, Days, Operations, QueueState, Spread, days_of, spread
from rebuilder.model.report import Stage
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Tier
from rebuilder.store.ledger import current_results, tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.queue.state import by_reason, counted
from rebuilder.store.ledger.runners import fleet_figures
from rebuilder.store.ledger.watches import replayed_by_age, watch_states

_Answer = TypeVar("_Answer")

_HOUR, _HOURS = timedelta(hours=1), 48
_DAY, _DAYS = timedelta(days=1), 30
_TEXT = {_HOUR: (13, "%Y-%m-%d %H"), _DAY: (10, "%Y-%m-%d")}
"""Length of a bucket to how much of a time in ISO 8601 names it, and how that is read."""
_WINDOW = timedelta(days=7)
"""How far effort and lead time look back."""
_MOST = 1000
"""Verifications that are looked at for that: figures cost the same however much was done."""
_MANY = 20_000
"""With more finished verifications than this, changes may take ``_WHILE`` to show."""
_WHILE = timedelta(seconds=5)
_ABOUT_SIGNERS = (
    AlarmKind.ATTESTATION_INVALID,
    AlarmKind.ATTESTATION_VANISHED,
    AlarmKind.PUBLISHER_CHANGED,
    AlarmKind.EXPECTATION_BROKEN,
)


class Statistics:
    """Figures as of now; every method raises :class:`StoreError` when the database cannot be used.

    What follows from the results that stand costs the most: it is kept until they change, and with many files for a
    few seconds at least.

    Args:
        database: Of the ledger.
        queue_state: Gives the queue at a moment.
    """

    def __init__(self, database: Database, queue_state: Callable[[datetime], QueueState]) -> None:
        self._database = database
        self._queue_state = queue_state
        self._kept: dict[Callable[[Connection], Any], tuple[datetime, Any, Any]] = {}

    def answers(self) -> None:
        """Ask the database for next to nothing: it raises when it does not answer."""
        self._database.rows(select(tables.watch.c.name).limit(1))

    def standing(self, now: datetime) -> EcosystemFigures:
        """All known files by what stands of them: what every count and every percentage is made from."""
        with self._database.reading() as connection:
            return together(self._standing(connection, now)[0].values())

    def untested(self) -> dict[str, int]:
        """Of :meth:`standing`, the files without a verdict by ecosystem; it takes no time to count the others."""
        artifact, verification = tables.artifact.c, tables.verification.c
        tested = exists().where(verification.artifact_id == artifact.id, verification.state == "done")
        query = select(artifact.ecosystem, func.count()).where(~tested).group_by(artifact.ecosystem)
        with self._database.reading() as connection:
            found = Counter(counted(connection, "unseen"))
            for ecosystem, number in connection.execute(query):
                found[ecosystem] += number
        return dict(sorted(found.items()))

    def by_day(self) -> Days:
        """What stood at the end of each day on which a verification ended, oldest first."""
        artifact, verification = tables.artifact.c, tables.verification.c
        query = (
            select(artifact.ecosystem, artifact.name, artifact.id, verification.finished, verification.verdict)
            .join(tables.verification, verification.artifact_id == artifact.id)
            .where(verification.state == "done")
            .order_by(verification.id)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query)
            return days_of(((where, name), file, at, Verdict(what)) for where, name, file, at, what in rows)

    def operations(self, now: datetime) -> Operations:
        """What the Operate page shows."""
        queue = self._queue_state(now)
        with self._database.reading() as connection:
            ecosystems, oldest = self._standing(connection, now)
            known = together(ecosystems.values())
            return Operations(
                now=now,
                queue=queue,
                watches=watch_states(connection),
                hours=_buckets(connection, now, _HOUR, _HOURS),
                days=_buckets(connection, now, _DAY, _DAYS),
                current={verdict: known.verdicts.get(verdict, 0) for verdict in Verdict if verdict.publishable},
                written=known.written,
                untested=known.untested,
                oldest=current_results.reached_at(connection, oldest) if oldest is not None else None,
                failures=self._kept_for_a_while(connection, now, current_results.failures),
                open_alarms=sum(_alarms(connection, _open()).values()),
                fleet=fleet_figures(connection, now),
                replays=replayed_by_age(connection),
                costs=_costs(connection, _newest(now)),
            )

    def figures(self, now: datetime) -> Figures:
        """What metrics are made from."""
        with self._database.reading() as connection:
            ecosystems, oldest = self._standing(connection, now)
            finished, newest = connection.execute(_ended("done")).one()
            failed, _ = connection.execute(
                _ended("abandoned").where(tables.verification.c.verdict == Verdict.INFRA_ERROR.value)
            ).one()
            tally = tables.tally.c
            counted = connection.execute(select(tally.name, tally.label, tally.value))
            return Figures(
                now=now,
                ecosystems=ecosystems,
                finished=finished,
                failed=failed,
                newest=newest,
                oldest=oldest,
                lead=_lead(connection, now),
                sample=_sample(connection, now),
                queue=by_reason(connection, now),
                watches=watch_states(connection),
                alarms=_by_kind(_alarms(connection)),
                open_alarms=_alarms(connection, _open()),
                blocked=_blocked(connection),
                fleet=fleet_figures(connection, now),
                replays=replayed_by_age(connection),
                tallies={(name, label): value for name, label, value in counted},
            )

    def _standing(self, connection: Connection, now: datetime) -> tuple[dict[str, EcosystemFigures], datetime | None]:
        """By ecosystem; and when the oldest result that stands was reached."""
        seen, oldest = self._kept_for_a_while(connection, now, current_results.by_ecosystem)
        return _with_queued(seen, counted(connection, "unseen")), oldest

    def _kept_for_a_while(self, connection: Connection, now: datetime, ask: Callable[[Connection], _Answer]) -> _Answer:
        version = current_results.version(connection)
        then, before, answer = self._kept.get(ask, (now, None, None))
        many = version[0] > _MANY and abs(now - then) < _WHILE
        if before is None or (before != version and not many):
            answer = ask(connection)
            self._kept[ask] = now, version, answer
        return cast("_Answer", answer)


def _with_queued(ecosystems: dict[str, EcosystemFigures], queued: dict[str, int]) -> dict[str, EcosystemFigures]:
    names = sorted({*ecosystems, *queued})
    figures = {name: ecosystems.get(name, EcosystemFigures()) for name in names}
    return {name: each.replace(untested=each.untested + queued.get(name, 0)) for name, each in figures.items()}


def _ended(state: str) -> Any:
    verification = tables.verification.c
    return select(func.count(), func.max(verification.finished)).where(verification.state == state)


def _open() -> Any:
    return and_(tables.alarm.c.acknowledged.is_(None), tables.alarm.c.cleared.is_(None))


def _alarms(connection: Connection, *which: Any) -> dict[tuple[AlarmKind, Severity], int]:
    alarm = tables.alarm.c
    query = select(alarm.kind, alarm.severity, func.count()).where(*which).group_by(alarm.kind, alarm.severity)
    return {(AlarmKind(kind), Severity(severity)): count for kind, severity, count in connection.execute(query)}


def _by_kind(alarms: dict[tuple[AlarmKind, Severity], int]) -> dict[AlarmKind, int]:
    counted: Counter[AlarmKind] = Counter()
    for (kind, _), count in alarms.items():
        counted[kind] += count
    return dict(counted)


def _blocked(connection: Connection) -> dict[AlarmKind, int]:
    alarm = tables.alarm.c
    files = (
        select(alarm.kind, alarm.purl, alarm.filename)
        .where(alarm.kind.in_([each.value for each in _ABOUT_SIGNERS]), _open())
        .distinct()
        .subquery()
    )
    query = select(files.c.kind, func.count()).group_by(files.c.kind)
    return {AlarmKind(kind): count for kind, count in connection.execute(query)}


def _buckets(connection: Connection, now: datetime, length: timedelta, number: int) -> tuple[Bucket, ...]:
    """What ended in each of the last hours or days (UTC), oldest first; the last one is not over."""
    begun = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    start = (begun.replace(hour=0) if length == _DAY else begun) - (number - 1) * length
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


def _newest(now: datetime) -> Any:
    """The newest verifications within the window, by id."""
    verification = tables.verification.c
    return (
        select(
            verification.id,
            verification.tier,
            verification.fetched_bytes.label("fetched"),
            verification.written_bytes.label("written"),
        )
        .where(verification.state == "done", verification.finished >= now - _WINDOW, verification.finished <= now)
        .order_by(verification.finished.desc())
        .limit(_MOST)
        .subquery()
    )


def _sample(connection: Connection, now: datetime) -> SampleFigures:
    """Effort of the newest verifications within the window."""
    stage, attempt = tables.stage.c, tables.attempt.c
    newest = _newest(now)
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
        costs=_costs(connection, newest),
        memory=spread(row.peak_memory_bytes for row in used),
        attempts=spread(made[number] for number in numbers),
        repeated=repeated,
        flaky=flaky,
    )


def _costs(connection: Connection, newest: Any) -> dict[Tier, Cost]:
    """What a file cost in each tier that occurs among the newest verifications."""
    attempt = tables.attempt.c
    cpu = (
        select(attempt.verification_id, func.sum(attempt.cpu_seconds).label("cpu"))
        .join(newest, newest.c.id == attempt.verification_id)
        .group_by(attempt.verification_id)
        .subquery()
    )
    query = select(newest, cpu.c.cpu).outerjoin(cpu, cpu.c.verification_id == newest.c.id)
    by_tier: dict[Tier, list[RowMapping]] = defaultdict(list)
    for row in connection.execute(query).mappings():
        by_tier[Tier(row["tier"] or Tier.FULL)].append(row)

    def spread_of(rows: Sequence[RowMapping], name: str) -> Spread | None:
        return spread(row[name] for row in rows if row[name] is not None)

    return {
        tier: Cost(files=len(rows), **{name: spread_of(rows, name) for name in ("cpu", "fetched", "written")})
        for tier in Tier
        if (rows := by_tier[tier])
    }


def _stability(connection: Connection, definitions: set[str]) -> tuple[int, int]:
    """How many definitions were run more than once, and how many of those did not always give the same."""
    attempt = tables.attempt.c
    ends: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    query = select(attempt.definition_sha256, attempt.outcome, attempt.rebuilt_sha256)
    for row in connection.execute(query.where(attempt.definition_sha256.in_(definitions))):
        ends[row.definition_sha256].append((row.outcome, row.rebuilt_sha256))
    repeated = [each for each in ends.values() if len(each) > 1]
    return len(repeated), sum(len(set(each)) > 1 for each in repeated)


def _lead(connection: Connection, now: datetime) -> Spread | None:
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
            verification.finished >= now - _WINDOW,
            verification.finished <= now,
            ~earlier,
            known,
        )
        .order_by(verification.finished.desc())
        .limit(_MOST)
    )
    rows = connection.execute(query)
    return spread((finished - uploaded).total_seconds() for finished, uploaded in rows)
