"""The append-only log in the ledger: entries, the tiles of their tree, and what is signed and not in it yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select, update

from rebuilder.errors import CorruptStoreError
from rebuilder.log.tiles import Nodes, TileReader, grown
from rebuilder.model.report import Identity
from rebuilder.model.value import sha256_hex
from rebuilder.model.verdict import Verdict
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.rows import put, stands


class SignedRow(NamedTuple):
    """A verification that a key signed."""

    number: int
    identity: Identity
    entry: bytes | None
    """Its first entry of the log, if it has one."""
    verdict: Verdict
    written: bool
    stands: bool
    """Whether it is the newest of its file."""


class LogBook:
    """Plain values in, plain values out; every method is one transaction.

    All methods raise :class:`StoreError` when the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def size(self) -> int:
        """How many entries there are."""
        with self._database.reading() as connection:
            return _size(connection)

    def newest(self) -> bytes | None:
        """The entry that was added last."""
        entry = tables.log_entry.c
        found = self._database.value(select(entry.entry).order_by(entry.number.desc()).limit(1))
        return None if found is None else bytes(found)

    def unlogged(self, after: int, limit: int) -> dict[int, tuple[str, list[str]]]:
        """What is signed and not in the log: key and envelopes by the number of their verification, oldest first.

        Args:
            after: Only of verifications with a larger number.
            limit: Of so many verifications.
        """
        signed = tables.signed.c
        query = (
            select(signed.verification_id, signed.key_id, signed.vsa, signed.provenance)
            .where(signed.logged.is_(None), signed.verification_id > after)
            .order_by(signed.verification_id)
            .limit(limit)
        )
        rows = self._database.rows(query)
        return {
            row.verification_id: (row.key_id, [each for each in (row.vsa, row.provenance) if each is not None])
            for row in rows
        }

    def append(self, entries: Mapping[int, Sequence[bytes]]) -> int:
        """Add the entries of verifications, and give how many were added; those already there are passed over.

        Args:
            entries: By the number of the verification, in the order of its envelopes.
        """
        signed = tables.signed
        with self._database.writing() as connection:
            wanted = select(signed.c.verification_id).where(
                signed.c.verification_id.in_(list(entries)), signed.c.logged.is_(None)
            )
            fresh = set(connection.execute(wanted).scalars())
            size = first = _size(connection)
            rows = []
            for number, each in entries.items():
                if number in fresh:
                    mark = update(signed).where(signed.c.verification_id == number).values(logged=size)
                    connection.execute(mark)
                    rows += [(number, entry) for entry in each]
                    size = first + len(rows)
            _append(connection, first, rows)
        return len(rows)

    def issue(self, key_id: str, envelope: str) -> None:
        """Keep a statement that was signed and is of no verification, so that it gets into the log."""
        self._database.run(tables.issued.insert().values(key_id=key_id, envelope=envelope))

    def is_issued(self, key_id: str, envelope: str) -> bool:
        """Whether :meth:`issue` had this one already."""
        issued = tables.issued.c
        query = select(issued.id).where(issued.key_id == key_id, issued.envelope == envelope).limit(1)
        return bool(self._database.rows(query))

    def issued(self) -> list[tuple[str, str, bytes]]:
        """Key, envelope and entry of all that :meth:`issue` had and that is in the log, oldest first."""
        issued, entry = tables.issued.c, tables.log_entry.c
        query = select(issued.key_id, issued.envelope, entry.entry).join(
            tables.log_entry, entry.number == issued.logged
        )
        with self._database.reading() as connection:
            return [
                (row.key_id, row.envelope, bytes(row.entry)) for row in connection.execute(query.order_by(issued.id))
            ]

    def signed_by(self, key_id: str) -> list[SignedRow]:
        """What a key signed about files."""
        artifact, verification, signed = tables.artifact.c, tables.verification.c, tables.signed.c
        identity = (artifact.sha256, artifact.purl, artifact.filename, verification.finished)
        more = (
            verification.id,
            tables.log_entry.c.entry,
            verification.verdict,
            verification.written,
            stands().label("stands"),
        )
        query = (
            select(*identity, *more)
            .select_from(tables.signed)
            .join(tables.verification, verification.id == signed.verification_id)
            .join(tables.artifact, artifact.id == verification.artifact_id)
            .outerjoin(tables.log_entry, tables.log_entry.c.number == signed.logged)
            .where(signed.key_id == key_id)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query)
            return [
                SignedRow(row.id, row[:4], row.entry, Verdict(row.verdict), row.written, row.stands) for row in rows
            ]

    def unlogged_statements(self) -> dict[int, tuple[str, str]]:
        """Key and envelope of what was issued and is not in the log, by its number, oldest first."""
        issued = tables.issued.c
        query = select(issued.id, issued.key_id, issued.envelope).where(issued.logged.is_(None)).order_by(issued.id)
        return {row.id: (row.key_id, row.envelope) for row in self._database.rows(query)}

    def append_statements(self, entries: Mapping[int, bytes]) -> None:
        """Add the entries of issued statements, by the number of each; those already there are passed over."""
        issued = tables.issued
        with self._database.writing() as connection:
            wanted = select(issued.c.id).where(issued.c.id.in_(list(entries)), issued.c.logged.is_(None))
            fresh = set(connection.execute(wanted).scalars())
            rows = [(number, entry) for number, entry in entries.items() if number in fresh]
            first = _size(connection)
            for place, (number, _) in enumerate(rows, first):
                connection.execute(update(issued).where(issued.c.id == number).values(logged=place))
            _append(connection, first, [(None, entry) for _, entry in rows])

    def take_back(self, start: int, entries: Sequence[bytes]) -> None:
        """Add entries that were published and that this ledger, restored from a backup, does not have.

        Raises:
            ValueError: the log has not ``start`` entries.
        """
        with self._database.writing() as connection:
            if _size(connection) != start:
                raise ValueError(f"The log has another number of entries than {start}.")
            _append(connection, start, [(None, each) for each in entries])

    def entries(self, start: int, end: int) -> list[tuple[bytes, str | None]]:
        """The entries from ``start`` to before ``end``, each with its envelope where the ledger has it.

        Raises:
            CorruptStoreError: an entry is missing.
        """
        entry, signed, issued = tables.log_entry, tables.signed.c, tables.issued.c
        query = (
            select(entry.c.entry, signed.vsa, signed.provenance, issued.envelope)
            .outerjoin(tables.signed, signed.verification_id == entry.c.verification_id)
            .outerjoin(tables.issued, issued.logged == entry.c.number)
            .where(entry.c.number >= start, entry.c.number < end)
            .order_by(entry.c.number)
        )
        rows = self._database.rows(query)
        if len(rows) != end - start:
            raise CorruptStoreError(
                f"The log in the ledger lacks entries between {start} and {end}.",
                hint="Restore the ledger from a backup; look for who can write to it.",
            )
        return [(row.entry, _envelope(row.entry, row.vsa, row.provenance, row.envelope)) for row in rows]

    def tile(self, level: int, number: int) -> bytes:
        """The hashes of a tile, as many as there are by now.

        Raises:
            CorruptStoreError: there is none.
        """
        with self._database.reading() as connection:
            return _tile(connection, level, number)

    def nodes(self, size: int) -> Nodes:
        """The nodes of the tree of the first ``size`` entries."""
        return TileReader(size, lambda level, number, width: self.tile(level, number)[: width * 32])


def _envelope(entry: bytes, *candidates: str | None) -> str | None:
    """The one that the entry names by its digest."""
    return next((each for each in candidates if each is not None and sha256_hex(each.encode()).encode() in entry), None)


def _size(connection: Connection) -> int:
    newest = connection.execute(select(func.max(tables.log_entry.c.number))).scalar()
    return 0 if newest is None else int(newest) + 1


def _tile(connection: Connection, level: int, number: int) -> bytes:
    tile = tables.log_tile.c
    found = connection.execute(select(tile.hashes).where(tile.level == level, tile.number == number)).scalar()
    if found is None:
        raise CorruptStoreError(
            f"The log in the ledger lacks tile {number} of level {level}.", hint="Restore the ledger from a backup."
        )
    return bytes(found)


def _append(connection: Connection, size: int, entries: Sequence[tuple[int | None, bytes]]) -> None:
    if not entries:
        return
    rows = [
        {"number": size + place, "verification_id": number, "entry": entry}
        for place, (number, entry) in enumerate(entries)
    ]
    connection.execute(tables.log_entry.insert(), rows)
    added = [entry for _, entry in entries]
    for level, number, hashes in grown(size, added, lambda *place: _tile(connection, *place)):
        put(connection, tables.log_tile, {"level": level, "number": number, "hashes": hashes})
