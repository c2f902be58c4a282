"""The database of what was seen and done."""

from rebuilder.store.ledger.ledger import Ledger, PinResult

__all__ = ["Ledger", "PinResult"]
