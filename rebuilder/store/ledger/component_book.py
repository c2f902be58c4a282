"""What published files have in common: bytes that their builds read, environments, runners, keys, publishers.

Which verification names which digest is kept with its report (``blob_reference``). What has a name besides, and what is
inside of a build environment, is in ``component``: package URL, digest, and the digest that reports name for it, which
is the file's own, or that of the environment that it is a part of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Select, func, select

from rebuilder.model.provenance import RememberedPublisher
from rebuilder.model.report import Summary
from rebuilder.model.work import Order, Reason
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database, insert
from rebuilder.store.ledger.rows import SUMMARY, finished_verifications, stands

_AT_ONCE = 500
_ARTIFACT, _VERIFICATION, _COMPONENT = tables.artifact.c, tables.verification.c, tables.component.c
_REFERENCE, _SIGNED = tables.blob_reference.c, tables.signed.c
Files = Select[tuple[int]]
"""A query for the row numbers of published files."""


class Component(NamedTuple):
    """Something that builds were made with."""

    purl: str
    """Without qualifiers; empty: it is an environment below another one."""
    sha256: str
    reached: str
    """What reports name: the same digest, or that of the environment it is in."""


class ComponentBook:
    """Plain values in, plain values out; every method is one transaction that only reads, but :meth:`note`.

    All methods raise :class:`StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, components: Iterable[Component]) -> None:
        """Keep what builds were made with; what is kept already stays."""
        rows = [each._asdict() for each in components]
        with self._database.writing() as connection:
            for start in range(0, len(rows), _AT_ONCE):
                statement = insert(connection.dialect.name, tables.component).on_conflict_do_nothing()
                connection.execute(statement, rows[start : start + _AT_ONCE])

    def components(self, *, purls: Collection[str] = (), sha256: str | None = None) -> list[Component]:
        """Those with one of some package URLs, or with a digest, by name."""
        wanted = _COMPONENT.sha256 == sha256 if sha256 is not None else _COMPONENT.purl.in_(purls)
        query = select(tables.component).where(wanted).order_by(_COMPONENT.purl, _COMPONENT.sha256, _COMPONENT.reached)
        return [Component(**row) for row in self._database.mappings(query.limit(10 * _AT_ONCE))]

    def is_environment(self, sha256: str) -> bool:
        """Whether it is the digest of a build environment that something is known to be in."""
        query = select(_COMPONENT.purl).where(_COMPONENT.reached == sha256, _COMPONENT.sha256 != sha256).limit(1)
        return bool(self._database.rows(query))

    def known(self, sha256: str) -> bool:
        """Whether any finished verification names this digest."""
        return bool(self._database.rows(naming([sha256]).limit(1)))

    def count(self, files: Files) -> int:
        """How many files that is."""
        return int(self._database.value(select(func.count()).select_from(files.distinct().subquery())))

    def counts(self, digests: Sequence[str]) -> dict[str, int]:
        """How many files have a verification that names a digest, for each of some."""
        found: dict[str, int] = {}
        with self._database.reading() as connection:
            for start in range(0, len(digests), _AT_ONCE):
                some = [bytes.fromhex(each) for each in digests[start : start + _AT_ONCE]]
                query = (
                    select(_REFERENCE.sha256, func.count(_VERIFICATION.artifact_id.distinct()))
                    .join(tables.verification, _VERIFICATION.id == _REFERENCE.verification_id)
                    .where(_REFERENCE.sha256.in_(some), _VERIFICATION.state == "done")
                    .group_by(_REFERENCE.sha256)
                )
                found |= {bytes(row[0]).hex(): row[1] for row in connection.execute(query)}
        return found

    def newest(self, files: Files, limit: int) -> list[Summary]:
        """The newest verification of each of these files, those that ended last first."""
        query = finished_verifications().where(stands(), _VERIFICATION.artifact_id.in_(files)).limit(limit)
        rows = self._database.mappings(query)
        return [Summary.model_validate({name: row[name] for name in SUMMARY}) for row in rows]

    def orders(self, files: Files) -> list[Order]:
        """Orders to verify all of these files again."""
        names = ("ecosystem", "purl", "name", "version", "filename")
        query = select(*(_ARTIFACT[name] for name in names)).where(_ARTIFACT.id.in_(files)).distinct()
        rows = self._database.mappings(query.order_by(_ARTIFACT.purl, _ARTIFACT.filename))
        return [Order(**row, reason=Reason.RECHECK) for row in rows]

    def signed_by(self, key_id: str) -> datetime | None:
        """When the first verification that a key signed had ended; None: it signed none."""
        query = select(func.min(_VERIFICATION.finished)).join(
            tables.signed, _SIGNED.verification_id == _VERIFICATION.id
        )
        since: datetime | None = self._database.value(query.where(_SIGNED.key_id == key_id))
        return since

    def runners_of(self, sha256: str) -> dict[str, str]:
        """Name by identifier of the runners whose runs count in verifications of a file."""
        order, attempt, runner = tables.run_order.c, tables.attempt.c, tables.runner.c
        query = (
            select(runner.id, runner.name)
            .join(tables.run_order, order.runner_id == runner.id)
            .join(
                tables.attempt,
                (attempt.definition_sha256 == order.definition_sha256) & (attempt.log_sha256 == order.log_sha256),
            )
            .join(tables.verification, _VERIFICATION.id == attempt.verification_id)
            .join(tables.artifact, _ARTIFACT.id == _VERIFICATION.artifact_id)
            .where(_ARTIFACT.sha256 == sha256)
            .distinct()
        )
        return dict(sorted(row.tuple() for row in self._database.rows(query)))


def with_bytes(sha256: str) -> Files:
    """The files with a digest."""
    return select(_ARTIFACT.id).where(_ARTIFACT.sha256 == sha256)


def of_releases(purls: Collection[str]) -> Files:
    """The files of a release, by the spellings of its package URL."""
    return select(_ARTIFACT.id).where(_ARTIFACT.purl.in_(purls))


def naming(digests: Collection[str]) -> Files:
    """The files whose verifications name one of some digests."""
    wanted = [bytes.fromhex(each) for each in digests]
    return (
        _verified()
        .join(tables.blob_reference, _REFERENCE.verification_id == _VERIFICATION.id)
        .where(_REFERENCE.sha256.in_(wanted))
    )


def signed_with(key_id: str, since: datetime | None = None) -> Files:
    """The files whose verifications a key signed; since a moment, those that ended after it."""
    query = _verified().join(tables.signed, _SIGNED.verification_id == _VERIFICATION.id)
    query = query.where(_SIGNED.key_id == key_id)
    return query if since is None else query.where(_VERIFICATION.finished >= since)


def run_by(runner_id: str, since: datetime | None = None) -> Files:
    """The files in whose verifications a run of a runner counts, also those that are not finished."""
    order, attempt = tables.run_order.c, tables.attempt.c
    query = (
        select(_VERIFICATION.artifact_id)
        .join(tables.attempt, attempt.verification_id == _VERIFICATION.id)
        .join(
            tables.run_order,
            (order.definition_sha256 == attempt.definition_sha256) & (order.log_sha256 == attempt.log_sha256),
        )
        .where(order.runner_id == runner_id)
    )
    return query if since is None else query.where(order.answered >= since)


def published_by(publisher: RememberedPublisher) -> Files:
    """The files of projects that the same repository published first; of the same account, where none is known."""
    column = tables.publisher.c
    same = "repository" if publisher.repository is not None else "account"
    return (
        select(_ARTIFACT.id)
        .join(tables.publisher, (column.ecosystem == _ARTIFACT.ecosystem) & (column.name == _ARTIFACT.name))
        .where(column.issuer == publisher.issuer, column[same] == getattr(publisher, same))
    )


def _verified() -> Files:
    return select(_VERIFICATION.artifact_id).where(_VERIFICATION.state == "done")
