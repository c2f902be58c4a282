"""The database of what was seen and done."""

from rebuilder.store.ledger.ledger import Ledger

__all__ = ["Ledger"]
