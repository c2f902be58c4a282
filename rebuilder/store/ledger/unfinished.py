"""Verifications that ended before their time: what they had done is there, and another process goes on from it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, or_, select, update

from rebuilder.model.artifact import Artifact
from rebuilder.model.attempt import Attempt, History, NotTried
from rebuilder.model.work import Order
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.liveness import process_of
from rebuilder.store.ledger.references import refer
from rebuilder.store.ledger.rows import insert_new, packed, same_name, unpacked

UNFINISHED = "unfinished"
"""Kind of a verification that ended without a result through no fault of the artifact: its process went away, or
something on our side failed."""


def resume(database: Database, artifact: Artifact, since: datetime, order: Order | None) -> tuple[int, datetime] | None:
    """Take up the newest verification of an artifact again; see :meth:`rebuilder.store.ledger.Ledger.resume`."""
    verification, liveness = tables.verification, database.liveness
    claimed: int | None = None
    try:
        with database.writing() as connection:
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
            dead = row["state"] == "running" and not liveness.alive(process_of(number))
            left = row["state"] == "abandoned" and row["kind"] == UNFINISHED
            asked = (order.check.value, order.tier.value) if order is not None else (None, None)
            if not (dead or left) or (row["check"], row["tier"]) != asked:
                return None
            tried = or_(*(exists().where(table.c.verification_id == number) for table in _TRIED))
            if not connection.execute(select(tried)).scalar():
                return None
            ended = dict.fromkeys(("finished", "verdict", "kind", "sentence"))
            connection.execute(update(verification).where(verification.c.id == number).values(state="running", **ended))
            claimed = number
            liveness.claim(process_of(number))
    except BaseException:
        if claimed is not None:
            liveness.release(process_of(claimed))
        raise
    return claimed, row["started"]


_TRIED = (tables.attempt, tables.not_tried)


def add_not_tried(database: Database, number: int, ordinal: int, missing: NotTried) -> None:
    """Keep that a hypothesis could not be tried."""
    row = {"verification_id": number, "ordinal": ordinal, "document": packed(missing)}
    with database.writing() as connection:
        if insert_new(connection, tables.not_tried, row):
            refer(connection, number, packed(missing))


def recorded(database: Database, number: int) -> History:
    """What was tried in a verification, finished or not, in order."""
    with database.reading() as connection:
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
