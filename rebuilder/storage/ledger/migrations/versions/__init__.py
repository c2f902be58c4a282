"""The changes, oldest first; each is listed in ``rebuilder.storage.ledger.database.REVISIONS``."""
