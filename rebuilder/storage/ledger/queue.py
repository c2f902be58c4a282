"""The queue: what is to be done, in which order, and who is at it."""

from __future__ import annotations

from rebuilder.storage.ledger.database import Database


class Queue:
    """Orders go in, leases come out; every method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
