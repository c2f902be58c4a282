"""What was seen and done: artifacts with their pinned digests, verifications, attempts, alarms, and a cache."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from sqlalchemy import Connection, RowMapping, Select, and_, delete, exists, or_, select, tuple_, update

from rebuilder import __version__
from rebuilder.model.alarm import Alarm
from rebuilder.model.artifact import Artifact, PinResult
from rebuilder.model.attempt import Attempt, History, NotTried, Outcome, Run
from rebuilder.model.fleet import RunnerState
from rebuilder.model.provenance import RememberedPublisher
from rebuilder.model.report import Identity, Report, SignedReport, Summary
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Order
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.alarm_book import AlarmBook
from rebuilder.store.ledger.component_book import ComponentBook
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.liveness import process_of
from rebuilder.store.ledger.log_book import LogBook
from rebuilder.store.ledger.lookup import Lookup
from rebuilder.store.ledger.package_book import PackageBook
from rebuilder.store.ledger.queue.queue import Queue
from rebuilder.store.ledger.queue.rows import GIVEN_UP, order_columns
from rebuilder.store.ledger.rows import (
    UNFINISHED,
    KeptReport,
    artifact_row,
    attempt_row,
    decision_columns,
    digests,
    end_verification,
    finished_verifications,
    insert_new,
    is_kept,
    keep_examined,
    newest_verifications,
    of_files,
    packed,
    put,
    refer,
    same_name,
    select_signed,
    signed_rows,
    stands,
    unpacked,
    unreadable,
)
from rebuilder.store.ledger.runners import Runners, RunOrders
from rebuilder.store.ledger.statistics import Statistics
from rebuilder.store.ledger.watches import Replays, Watches

_TERM = timedelta(seconds=60)
"""How long somebody leads without asking again."""
_AT_ONCE = 200
"""Rows that one query asks for by their values."""
_TRIED = (tables.attempt, tables.not_tried)


class Ledger:
    """Plain values in, plain values out; every method is one transaction.

    All methods raise :class:`StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.lookup = Lookup(database)
        self.log_book = LogBook(database)
        self.queue = Queue(database)
        self.watches = Watches(database)
        self.package_book = PackageBook(database)
        self.alarm_book = AlarmBook(database)
        self.replays = Replays(database)
        self.component_book = ComponentBook(database)
        self.runners = Runners(database)
        self.run_orders = RunOrders(database)
        self.statistics = Statistics(database, self.queue.state)

    @classmethod
    def open(cls, where: str | Path, *, busy_seconds: float = 20) -> Self:
        """Open a ledger, making or migrating its tables when that is needed.

        Args:
            where: A file, or a database URL: ``sqlite:////var/lib/ledger``, ``postgresql://user@host/database``.
            busy_seconds: How long to wait for another process that is writing.

        Raises:
            StoreError: it cannot be opened, is damaged, or was made by a newer version of this program.
        """
        return cls(Database(where, busy_seconds=busy_seconds))

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pin(self, artifact: Artifact, now: datetime) -> PinResult:
        """Remember the digest a published file has now; nothing that was pinned before is ever changed."""
        with self._database.writing() as connection:
            number, first_seen = artifact_row(connection, artifact, now)
            rows = connection.execute(
                select(tables.artifact.c.sha256)
                .where(*same_name(artifact), tables.artifact.c.id < number)
                .order_by(tables.artifact.c.id)
            )
            return PinResult(first_seen=first_seen, earlier=tuple(rows.scalars()))

    def raise_alarm(self, alarm: Alarm) -> bool:
        """Keep an alarm, as :meth:`AlarmBook.raise_alarm` does; True when it is new or open again."""
        return self.alarm_book.raise_alarm(alarm)

    def alarms(self, purl: str | None = None) -> list[Alarm]:
        """Alarms that are open, or those of one release; newest first."""
        return [each.alarm for each in self.alarm_book.open(purl)]

    def remembered_publisher(self, ecosystem: str, name: str) -> RememberedPublisher | None:
        """The first verified publisher of a project (by its normalised name); None when none was seen yet."""
        with self._database.reading() as connection:
            return _publisher(connection, ecosystem, name)

    def remember_publisher(self, publisher: RememberedPublisher) -> RememberedPublisher:
        """Remember a publisher unless the project has one already; give the one that counts from now on."""
        with self._database.writing() as connection:
            insert_new(connection, tables.publisher, publisher.model_dump() | {"forge": publisher.forge.value})
            kept = _publisher(connection, publisher.ecosystem, publisher.name)
        assert kept is not None  # noqa: S101 - one transaction
        return kept

    def begin(self, artifact: Artifact, now: datetime, order: Order | None = None) -> int:
        """Start a verification, for a queued order or (None) without the queue, and give its number.

        Earlier ones of the same artifact that were running when their process went away become ``abandoned``;
        what they had done stays.
        """
        verification = tables.verification
        with self._claiming() as (connection, claim):
            artifact_id, _ = artifact_row(connection, artifact, now)
            running = select(verification.c.id).where(
                verification.c.artifact_id == artifact_id, verification.c.state == "running"
            )
            for each in connection.execute(running).scalars().all():
                if not self._database.liveness.alive(process_of(each)):
                    gone = {"state": "abandoned", "kind": UNFINISHED, "sentence": "Its process went away."}
                    end_verification(connection, each, finished=now, **gone)
            row = {"artifact_id": artifact_id, "state": "running", "started": now, "program_version": __version__}
            row |= order_columns(order) if order else {}
            inserted = connection.execute(verification.insert().values(row)).inserted_primary_key
            return claim(int(inserted[0]) if inserted else 0)

    def add_attempt(self, number: int, ordinal: int, attempt: Attempt) -> None:
        """Keep an attempt as soon as it has ended, so that nothing done is lost when the process is.

        Args:
            number: Of the verification, from :meth:`begin`.
            ordinal: Position among the attempts of this verification, from 0.
            attempt: What was done.
        """
        with self._database.writing() as connection:
            row = attempt_row(number, ordinal, attempt)
            if not is_kept(connection, tables.attempt, row):
                connection.execute(tables.attempt.insert().values(row))
                refer(connection, number, row["document"])

    def resume(self, artifact: Artifact, since: datetime, order: Order | None = None) -> tuple[int, datetime] | None:
        """Go on with a verification that ended before its time, instead of beginning another.

        Args:
            artifact: Whose newest verification it must be.
            since: It must have begun after this moment.
            order: It must have been begun for one that asks for the same check and tier.

        Returns:
            Its number and when it was begun; None when there is none that anything was tried in. What another version
            of this program began is not gone on with: its comparisons would be signed as ours.
        """
        verification = tables.verification
        with self._claiming() as (connection, claim):
            newest = (
                select(verification)
                .join(tables.artifact, verification.c.artifact_id == tables.artifact.c.id)
                .where(*same_name(artifact), tables.artifact.c.sha256 == artifact.sha256)
                .order_by(verification.c.id.desc())
                .limit(1)
                .with_for_update(of=verification)
            )
            row = connection.execute(newest).mappings().first()
            if row is None or row["started"] < since:
                return None
            number = int(row["id"])
            dead = row["state"] == "running" and not self._database.liveness.alive(process_of(number))
            left = row["state"] == "abandoned" and row["kind"] == UNFINISHED
            asked = (order.check.value, order.tier.value) if order is not None else (None, None)
            if not (dead or left) or (row["check"], row["tier"]) != asked or row["program_version"] != __version__:
                return None
            tried = or_(*(exists().where(table.c.verification_id == number) for table in _TRIED))
            if not connection.execute(select(tried)).scalar():
                return None
            ended = dict.fromkeys(("finished", "verdict", "kind", "sentence"))
            connection.execute(update(verification).where(verification.c.id == number).values(state="running", **ended))
            return claim(number), row["started"]

    def add_not_tried(self, number: int, ordinal: int, missing: NotTried) -> None:
        """Keep that a hypothesis could not be tried; as :meth:`add_attempt`."""
        document = packed(missing)
        row = {"verification_id": number, "ordinal": ordinal, "document": document}
        with self._database.writing() as connection:
            if insert_new(connection, tables.not_tried, row):
                refer(connection, number, document)

    def recorded(self, number: int) -> History:
        """What was tried in a verification, finished or not, in order."""
        with self._database.reading() as connection:
            attempts, missing = (
                connection.execute(
                    select(table.c.document).where(table.c.verification_id == number).order_by(table.c.ordinal)
                )
                .scalars()
                .all()
                for table in _TRIED
            )
        what = f"An attempt of verification {number}"
        return History(
            tuple(unpacked(Attempt, each, what) for each in attempts),
            tuple(unpacked(NotTried, each, what) for each in missing),
        )

    def earlier_run(self, definition_sha256: str, since: datetime) -> Run | None:
        """The newest run of a definition that completed after ``since``; None when there is none.

        One of a runner that is quarantined or revoked by now stands for no other.
        """
        attempt, order, runner = tables.attempt.c, tables.run_order.c, tables.runner.c
        doubtful = exists().where(
            order.definition_sha256 == attempt.definition_sha256,
            order.log_sha256 == attempt.log_sha256,
            order.runner_id == runner.id,
            runner.state != RunnerState.ACTIVE.value,
        )
        query = select(attempt.document).where(
            attempt.definition_sha256 == definition_sha256,
            attempt.outcome == Outcome.COMPLETED.value,
            attempt.started >= since,
            ~doubtful,
        )
        document = self._database.value(query.order_by(attempt.started.desc()).limit(1))
        return unpacked(Attempt, document, "An attempt").run if document is not None else None

    def examined(self, number: int, report: Report) -> None:
        """Keep the unsigned report of a verification: examining it is done, and whoever has a key goes on.

        Raises:
            StoreError: the verification is not running any more.
        """
        with self._database.writing() as connection:
            keep_examined(connection, number, report)
        self._database.liveness.release(process_of(number))

    def unsigned(self, limit: int = 1) -> list[tuple[int, Report]]:
        """Verifications that are examined and not signed yet, oldest first."""
        verification = tables.verification.c
        query = select(verification.id, verification.report).where(verification.state == "examined")
        rows = self._database.rows(query.order_by(verification.id).limit(limit))
        return [(number, unpacked(Report, data, f"The report of verification {number}")) for number, data in rows]

    def finish(self, number: int, signed: SignedReport) -> None:
        """End a verification with its signed report: both are stored, or neither.

        Raises:
            ValueError: the verdict is not one that is published.
            StoreError: somebody else has ended it.
        """
        report = signed.report
        if not report.decision.verdict.publishable:
            raise ValueError(f"{report.decision.verdict} is never stored as a verdict")
        row: dict[str, Any] = {
            "verification_id": number,
            "report": zlib.compress(signed.report_bytes, 3),
            "vsa": signed.vsa,
            "provenance": signed.provenance,
            "key_id": signed.key_id,
        }
        with self._database.writing() as connection:
            if not is_kept(connection, tables.signed, row):
                end_verification(connection, number, state="done", report=None, **decision_columns(report))
                connection.execute(tables.signed.insert().values(row))
                refer(connection, number, row["report"])
        self._database.liveness.release(process_of(number))

    def unpublished(self, limit: int = 1) -> list[tuple[int, SignedReport]]:
        """Signed reports whose pages are not written yet, oldest first."""
        verification = tables.verification
        query = select_signed().where(verification.c.published.is_(None)).order_by(None).order_by(verification.c.id)
        rows = self._database.mappings(query.limit(limit))
        return [(row["verification_id"], KeptReport(row).read()) for row in rows]

    def published(self, number: int, now: datetime) -> None:
        """The page of a verification is written."""
        verification = tables.verification
        self._database.run(update(verification).where(verification.c.id == number).values(published=now))

    def fail(self, number: int, sentence: str, now: datetime) -> None:
        """End a verification that failed on our side: it counts nowhere, its attempts and the reason are kept."""
        with self._database.writing() as connection:
            end_verification(
                connection,
                number,
                state="abandoned",
                finished=now,
                verdict=Verdict.INFRA_ERROR.value,
                kind=UNFINISHED,
                sentence=sentence,
            )
        self._database.liveness.release(process_of(number))

    def latest(self, *, purl: str | None = None) -> list[Summary]:
        """The newest finished verification of each artifact, newest first."""
        query = finished_verifications().where(tables.verification.c.id.in_(newest_verifications()))
        if purl is not None:
            query = query.where(tables.artifact.c.purl == purl)
        return self._summaries(query)

    def standing(
        self, *, purls: Sequence[str] = (), verdict: Verdict | None = None, limit: int | None = None
    ) -> list[Summary]:
        """As :meth:`latest`, of some releases, or the newest with one verdict: quick where there are few of them."""
        query = finished_verifications().where(stands()).limit(limit)
        if verdict is not None:
            return self._summaries(query.where(tables.verification.c.verdict == verdict.value))
        found: list[Summary] = []
        for start in range(0, len(purls), _AT_ONCE):
            found += self._summaries(query.where(of_files(tables.artifact.c.purl.in_(purls[start : start + _AT_ONCE]))))
        return found

    def stale(self, before: datetime, *, ecosystem: str | None = None, limit: int | None = None) -> list[Summary]:
        """The newest finished verification of each artifact, as far as it ended before a moment; the oldest first.

        What was given up after that moment, such as a release that is gone, is not among them.
        """
        verification, ended = tables.verification.c, tables.verification.alias().c
        query = finished_verifications().where(
            verification.id.in_(newest_verifications()),
            verification.finished < before,
            verification.artifact_id.not_in(
                select(ended.artifact_id).where(ended.kind == GIVEN_UP, ended.finished >= before)
            ),
        )
        if ecosystem is not None:
            query = query.where(tables.artifact.c.ecosystem == ecosystem)
        return self._summaries(query.order_by(None).order_by(verification.finished, verification.id).limit(limit))

    def history(self, ecosystem: str, name: str) -> list[Summary]:
        """Every finished verification of every release of a project, newest first."""
        return self.histories([(ecosystem, name)])

    def histories(self, projects: Collection[tuple[str, str]]) -> list[Summary]:
        """The same of some hundred projects, by ecosystem and name."""
        artifact = tables.artifact.c
        ecosystems, names = {each[0] for each in projects}, {each[1] for each in projects}
        # SQLite looks into no index for pairs.
        found = (artifact.ecosystem.in_(ecosystems), artifact.name.in_(names))
        wanted = and_(*found, tuple_(artifact.ecosystem, artifact.name).in_(projects))
        return self._summaries(finished_verifications().where(of_files(wanted)))

    def signed_reports(self, rows: Collection[Summary]) -> dict[Identity, KeptReport]:
        """The signed reports behind some hundred rows of :meth:`latest` or :meth:`history`, by identity."""
        with self._database.reading() as connection:
            found = signed_rows(connection, [each.identity for each in rows], *tables.signed.c)
        return {identity: KeptReport(row) for identity, row in found.items()}

    def signed_report(self, which: Summary | str, filename: str | None = None) -> SignedReport | None:
        """A signed report in full; None when there is none.

        Args:
            which: A row of :meth:`latest` or :meth:`history`, or the SHA-256 of an artifact for its newest report.
            filename: With a SHA-256, the file name too, where several published files have the same bytes.
        """
        if isinstance(which, Summary):
            kept = self.signed_reports([which]).get(which.identity)
            return kept.read() if kept is not None else None
        query = select_signed().where(tables.artifact.c.sha256 == which).limit(1)
        if filename is not None:
            query = query.where(tables.artifact.c.filename == filename)
        row = self._database.first(query)
        return KeptReport(row).read() if row is not None else None

    def envelopes(self, rows: Iterable[Summary]) -> dict[Identity, tuple[str, str]]:
        """The signed statements behind rows of :meth:`latest` or :meth:`history`, and their keys, by identity."""
        wanted, found = [each.identity for each in rows], dict[Identity, tuple[str, str]]()
        columns = (tables.signed.c.vsa, tables.signed.c.key_id)
        for start in range(0, len(wanted), _AT_ONCE):
            with self._database.reading() as connection:
                some = signed_rows(connection, wanted[start : start + _AT_ONCE], *columns)
            found |= {identity: (row["vsa"], row["key_id"]) for identity, row in some.items()}
        return found

    def cache_get(self, kind: str, inputs: Any) -> Any | None:
        """What was kept for these inputs (plain JSON types); None when nothing was."""
        query = select(tables.cache.c.value).where(
            tables.cache.c.kind == kind, tables.cache.c.key == _cache_key(inputs)
        )
        value = self._database.value(query)
        try:
            return None if value is None else json.loads(value)
        except ValueError:
            return None  # a cache may forget

    def cache_put(self, kind: str, inputs: Any, value: Any, now: datetime) -> None:
        """Keep what was worked out from these inputs; both are plain JSON types."""
        row = {"kind": kind, "key": _cache_key(inputs), "value": json.dumps(value), "created": now}
        with self._database.writing() as connection:
            put(connection, tables.cache, row)

    def lead(self, role: str, owner: str, now: datetime) -> bool:
        """Whether ``owner`` has the role from now on: for a minute, and again each time it asks before that is over.

        The term of a leader whose process has ended is not waited for. Nothing is written while more than half of the
        term is left, nor while another one leads.

        Args:
            role: What only one does.
            owner: Who asks; alive as long as this ledger is open.
            now: The time.
        """
        leader = tables.leader
        query = select(leader).where(leader.c.role == role)

        def led_by_another(row: RowMapping | None) -> bool:
            # An end that lies too far ahead is what a clock that was set back leaves: it binds nobody.
            lasts = row is not None and row["owner"] != owner and now < row["until"] <= now + 2 * _TERM
            return row is not None and lasts and self._database.liveness.alive(row["owner"])

        row = self._database.first(query)
        if row is not None and row["owner"] == owner and now + _TERM / 2 < row["until"] <= now + _TERM:
            return True
        if led_by_another(row):
            return False
        with self._database.writing() as connection:
            if led_by_another(connection.execute(query).mappings().first()):
                return False
            self._database.liveness.claim(owner)
            put(connection, leader, {"role": role, "owner": owner, "until": now + _TERM})
        return True

    def occupy(self, store: str, now: datetime) -> str | None:
        """Work on this ledger with a store, as long as this ledger is open, unless somebody does with another one.

        Args:
            store: Its name; several may work with the same.
            now: The time.

        Returns:
            The other one's name, and nothing was done; None: it is ours to work on.
        """
        role, leader, name = "store/", tables.leader, f"store/{store}"
        with self._database.writing() as connection:
            names = connection.execute(select(leader.c.owner).where(leader.c.role.startswith(role))).scalars().all()
            others = [each for each in names if each != name and self._database.liveness.alive(each)]
            if others:
                return str(others[0]).removeprefix(role)
            connection.execute(delete(leader).where(leader.c.role.startswith(role)))
            self._database.liveness.claim(name)
            connection.execute(leader.insert().values(role=name[:64], owner=name, until=now))
        return None

    def resign(self, role: str, owner: str) -> None:
        """Give the role up, if ``owner`` has it: who asks next has it at once."""
        leader = tables.leader.c
        self._database.run(delete(tables.leader).where(leader.role == role, leader.owner == owner))

    def references(self) -> set[bytes]:
        """Every SHA-256 digest (32 bytes) that reports, attempts of running verifications, and the cache refer to."""
        with self._database.reading() as connection:
            found = set(connection.execute(select(tables.blob_reference.c.sha256).distinct()).scalars())
            for value in connection.execution_options(yield_per=1000).execute(select(tables.cache.c.value)).scalars():
                found |= digests(value)
        return found

    def forget(self, before: datetime) -> int:
        """Forget what was cached before a moment, and what is referred to by what was abandoned before it.

        Until then another process may take up again what was abandoned. Gives how many cached values there were.
        """
        verification, reference, cache = tables.verification.c, tables.blob_reference, tables.cache
        old = select(verification.id).where(verification.state == "abandoned", verification.finished < before)
        with self._database.writing() as connection:
            connection.execute(delete(reference).where(reference.c.verification_id.in_(old)))
            return connection.execute(delete(cache).where(cache.c.created < before)).rowcount

    @contextmanager
    def _claiming(self) -> Iterator[tuple[Connection, Callable[[int], int]]]:
        """A transaction in which this process claims a verification; where nothing comes of it, the claim ends too."""
        claimed: list[int] = []

        def claim(number: int) -> int:
            claimed.append(number)
            self._database.liveness.claim(process_of(number))
            return number

        try:
            with self._database.writing() as connection:
                yield connection, claim
        except BaseException:
            for number in claimed:
                self._database.liveness.release(process_of(number))
            raise

    def _summaries(self, query: Select[Any]) -> list[Summary]:
        return [Summary.model_validate(dict(row)) for row in self._database.mappings(query)]


def _publisher(connection: Connection, ecosystem: str, name: str) -> RememberedPublisher | None:
    column = tables.publisher.c
    query = select(tables.publisher).where(column.ecosystem == ecosystem, column.name == name)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    try:
        return RememberedPublisher.model_validate(dict(row))
    except ValidationError:
        raise unreadable(f"The publisher of {ecosystem}:{name}") from None


def _cache_key(inputs: Any) -> Sha256:
    return sha256_hex(canonical_json(inputs))
