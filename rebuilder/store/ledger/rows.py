"""Rows and queries: what the ledger's methods are made of."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, and_, exists, func, select, tuple_, update

from rebuilder.errors import StoreError
from rebuilder.model.artifact import Artifact
from rebuilder.model.attempt import Attempt
from rebuilder.model.diagnosis import Diagnosis
from rebuilder.model.report import Identity, Report, SignedReport, Summary
from rebuilder.model.value import Value
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import insert

UNFINISHED = "unfinished"
"""Kind of a verification that ended without a result through no fault of the artifact: its process went away, or
something on our side failed."""
UNEXPLAINED = "unexplained"
"""In place of a cause where a diagnosis found none."""
_Kind = TypeVar("_Kind", bound=Value)
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


SUMMARY = tuple(name for name in Summary.model_fields if name not in {"doubt", "cause", "environment", "publisher"})
"""The fields of a summary that are columns."""


def finished_verifications() -> Select[Any]:
    """The columns of a summary, one row per finished verification, newest first."""
    artifact, verification = tables.artifact.c, tables.verification.c
    return (
        select(
            artifact.ecosystem,
            artifact.name,
            artifact.version,
            artifact.purl,
            artifact.filename,
            artifact.sha256,
            verification.verdict,
            verification.kind,
            verification.sentence,
            verification.finished,
            verification.written,
        )
        .join(tables.verification, verification.artifact_id == artifact.id)
        .where(verification.state == "done")
        .order_by(verification.finished.desc(), verification.id.desc())
    )


def stands() -> ColumnElement[bool]:
    """Condition: the newest finished verification of its file."""
    verification, later = tables.verification.c, tables.verification.alias().c
    superseded = exists().where(
        later.artifact_id == verification.artifact_id, later.state == "done", later.id > verification.id
    )
    return and_(verification.state == "done", ~superseded)


def of_files(wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    """Condition: of files for which a condition holds. A database finds these first then, whatever else is asked."""
    return tables.verification.c.artifact_id.in_(select(tables.artifact.c.id).where(wanted))


def newest_verifications() -> Select[Any]:
    """Number of the newest finished verification of each artifact."""
    verification = tables.verification.c
    return select(func.max(verification.id)).where(verification.state == "done").group_by(verification.artifact_id)


def same_name(artifact: Artifact) -> tuple[Any, ...]:
    """Condition for all bytes that were ever published under the name of an artifact."""
    column = tables.artifact.c
    return (
        column.ecosystem == artifact.ecosystem,
        column.purl == artifact.purl,
        column.filename == artifact.filename,
    )


def artifact_row(connection: Connection, artifact: Artifact, now: datetime) -> tuple[int, bool]:
    """Row number of an artifact, and whether the row is new."""
    row = {
        "ecosystem": artifact.ecosystem,
        "purl": artifact.purl,
        "name": artifact.name,
        "version": artifact.version,
        "filename": artifact.filename,
        "sha256": artifact.sha256,
        "url": artifact.file.url,
        "size": artifact.file.size,
        "uploaded": artifact.file.uploaded,
        "first_seen": now,
    }
    known = select(tables.artifact.c.id).where(*same_name(artifact), tables.artifact.c.sha256 == artifact.sha256)
    number = connection.execute(known).scalar()
    if number is not None:
        return number, False
    seen = connection.execute(select(tables.artifact.c.id).where(*same_name(artifact)).limit(1)).scalar()
    inserted = connection.execute(tables.artifact.insert().values(row)).inserted_primary_key
    assert inserted is not None  # noqa: S101 - one row
    task = tables.task.c
    queued = select(task.id).where(task.purl == artifact.purl, task.filename == artifact.filename)
    if seen is None and connection.execute(queued.where(task.ecosystem == artifact.ecosystem)).scalar() is not None:
        row = {"kind": "unseen", "name": artifact.ecosystem, "number": -1}
        add_to(connection, tables.task_count, "number", [row])
    return int(inserted[0]), True


def insert_new(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert unless a unique constraint says that it is there; whether it was new."""
    statement = insert(connection.dialect.name, table).values(row).on_conflict_do_nothing()
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount > 0


def put(connection: Connection, table: Table, row: dict[str, Any]) -> None:
    """Insert a row, or change the one that has its primary key."""
    key = [column.name for column in table.primary_key]
    statement = insert(connection.dialect.name, table).values(row)
    others = {name: value for name, value in row.items() if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=others))


def add_to(connection: Connection, table: Table, column: str, rows: Sequence[dict[str, Any]]) -> None:
    """Add to a number of each row that is there, by primary key, and insert the others; zeroes change nothing."""
    if some := [row for row in rows if row[column]]:
        statement = insert(connection.dialect.name, table)
        total = {column: table.c[column] + statement.excluded[column]}
        key = [each.name for each in table.primary_key]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=total), some)


def is_kept(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Whether this very row is there: then a call is repeated whose answer was lost with the connection."""
    same = (column == row[column.name] for column in table.primary_key)
    kept = connection.execute(select(table).where(*same)).mappings().first()
    return kept is not None and all(kept[name] == value for name, value in row.items())


class EndedError(StoreError):
    """A verification has ended: what it was to be ended with is not kept."""


def end_verification(connection: Connection, number: int, **columns: Any) -> None:
    """Set the last columns of a verification that has not ended yet.

    Raises:
        EndedError: there is none, or it has ended.
    """
    verification = tables.verification
    going = verification.c.state.in_(("running", "examined"))
    statement = update(verification).where(verification.c.id == number, going).values(columns)
    if connection.execute(statement).rowcount != 1:
        raise EndedError(
            f"The ledger has no verification {number} that is still going on.", hint="Run the same command again."
        )


def decision_columns(report: Report) -> dict[str, Any]:
    """What a verification came to, as columns."""
    decision, moved = report.decision, report.transferred
    return {
        "finished": report.finished,
        "verdict": decision.verdict.value,
        "kind": decision.kind.value if decision.kind else None,
        "sentence": decision.sentence,
        "provenance": report.provenance.status.value if report.provenance else None,
        "cause": _cause(report.diagnosis),
        "written": report.written,
        "fetched_bytes": moved and moved.fetched,
        "written_bytes": moved and moved.written,
    }


def _cause(diagnosis: Diagnosis | None) -> str | None:
    """The cause that explains most."""
    if diagnosis is None:
        return None
    return diagnosis.findings[0].cause.value if diagnosis.findings else UNEXPLAINED


def keep_examined(connection: Connection, number: int, report: Report) -> None:
    """Store the unsigned report of a verification that is running, and how long its stages took.

    Raises:
        StoreError: it is not running any more.
    """
    verification = tables.verification
    columns = {"state": "examined", "report": packed(report), **decision_columns(report)}
    running = (verification.c.id == number, verification.c.state == "running")
    if connection.execute(update(verification).where(*running).values(columns)).rowcount != 1:
        if is_kept(connection, verification, {"id": number, **columns}):
            return
        raise StoreError(f"The verification {number} is not running any more.", hint="Run the same command again.")
    refer(connection, number, packed(report))
    spent = report.seconds.items()
    rows = [{"verification_id": number, "name": each.value, "seconds": seconds} for each, seconds in spent]
    if rows:
        connection.execute(tables.stage.insert(), rows)


def attempt_row(number: int, ordinal: int, attempt: Attempt) -> dict[str, Any]:
    """An attempt as columns to search by, with the whole of it beside them."""
    run, comparison = attempt.run, attempt.comparison
    return {
        "verification_id": number,
        "ordinal": ordinal,
        "hypothesis": attempt.hypothesis.name,
        "definition_sha256": attempt.hypothesis.definition.digest,
        "repeat": attempt.repeat,
        "outcome": run.outcome.value,
        "limit_reached": run.limit.value if run.limit else None,
        "exit_code": run.exit_code,
        "level": comparison.level.value if comparison else None,
        "rebuilt_sha256": attempt.rebuilt.sha256 if attempt.rebuilt else None,
        "log_sha256": run.log_sha256,
        "wall_seconds": run.wall_seconds,
        "cpu_seconds": run.cpu_seconds,
        "peak_memory_bytes": run.peak_memory_bytes,
        "started": run.started,
        "document": packed(attempt),
    }


def signed_rows(
    connection: Connection, wanted: Sequence[Identity], *columns: ColumnElement[Any]
) -> dict[Identity, RowMapping]:
    """Columns of ``signed`` for some hundred verifications, with the file name; of two alike, the newest."""
    artifact, verification = tables.artifact.c, tables.verification.c
    identity = (artifact.sha256, artifact.purl, artifact.filename, verification.finished)
    query = (
        select(*columns, *identity)
        .select_from(tables.signed)
        .join(tables.verification, verification.id == tables.signed.c.verification_id)
        .join(tables.artifact, artifact.id == verification.artifact_id)
        .where(verification.state == "done", of_files(tables.artifact.c.sha256.in_([each[0] for each in wanted])))
        .where(tuple_(*identity).in_(wanted))
        .order_by(verification.id)
    )
    rows = connection.execute(query).mappings().all()
    return {(row["sha256"], row["purl"], row["filename"], row["finished"]): row for row in rows}


def select_signed() -> Select[Any]:
    """Rows for :class:`KeptReport` of all verifications that are done, the newest first."""
    artifact, verification, signed = tables.artifact, tables.verification, tables.signed
    return (
        select(signed, artifact.c.filename)
        .select_from(signed)
        .join(verification, verification.c.id == signed.c.verification_id)
        .join(artifact, artifact.c.id == verification.c.artifact_id)
        .where(verification.c.state == "done")
        .order_by(verification.c.id.desc())
    )


@dataclass(frozen=True, slots=True)
class KeptReport:
    """A signed report as it was stored, not read yet; what reads it raises :class:`StoreError` where it is damaged."""

    row: RowMapping
    """Of the table ``signed``, with the file name it is about."""

    @property
    def parts(self) -> tuple[str | bytes | None, ...]:
        """All that is kept of it."""
        row = self.row
        return zlib.decompress(row["report"]), row["vsa"], row["provenance"], row["key_id"]

    def read(self) -> SignedReport:
        """The report.

        Raises:
            StoreError: it is damaged.
        """
        row = self.row
        return SignedReport(
            report=unpacked(Report, row["report"], f"The report on {row['filename']}"),
            vsa=row["vsa"],
            provenance=row["provenance"],
            key_id=row["key_id"],
            stored=zlib.decompress(row["report"]),
        )


def packed(value: Value) -> bytes:
    """A value as compressed JSON: listings of archives repeat themselves."""
    return zlib.compress(value.model_dump_json(exclude_none=True).encode(), 3)


def unpacked(kind: type[_Kind], data: bytes, what: str) -> _Kind:
    """Read back what :func:`packed` wrote; ``what`` names it in the message when that fails."""
    try:
        return kind.model_validate_json(zlib.decompress(data))
    except (zlib.error, ValidationError) as error:
        raise unreadable(what, hint="Verify the artifact again.") from error


def unreadable(what: str, *, hint: str = "Use that version, or restore a copy of the ledger.") -> StoreError:
    """The error about a row that a model refuses."""
    sentence = f"{what} in the ledger cannot be read: it is damaged, or another version of rebuilder wrote it."
    return StoreError(sentence, hint=hint)


def refer(connection: Connection, number: int, document: bytes) -> None:
    """Keep what a report or an attempt of a verification refers to, in the transaction that keeps the document.

    Args:
        connection: In a transaction that writes.
        number: Of the verification.
        document: JSON, zlib.
    """
    found = sorted(digests(zlib.decompress(document).decode()))
    if found:
        row = [{"sha256": digest, "verification_id": number} for digest in found]
        connection.execute(insert(connection.dialect.name, tables.blob_reference).on_conflict_do_nothing(), row)


def digests(text: str) -> set[bytes]:
    """Every SHA-256 digest (32 bytes) in a document; those of anything but blobs, too: keeping too much is harmless."""
    return set(map(bytes.fromhex, _DIGEST.findall(text)))
