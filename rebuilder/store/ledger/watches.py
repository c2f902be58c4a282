"""What each watch found when it last looked, and which files of a project are known already."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, exists, or_, select, union_all, update

from rebuilder.model.operations import WatchState
from rebuilder.store.ledger import tables
from rebuilder.store.ledger.database import Database
from rebuilder.store.ledger.queue.rows import GIVEN_UP
from rebuilder.store.ledger.rows import put


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
