"""The changes, oldest first; each is listed in ``rebuilder.store.ledger.database.REVISIONS``."""
