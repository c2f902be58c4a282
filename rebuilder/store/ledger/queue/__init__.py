"""The queue of verifications in the ledger."""
