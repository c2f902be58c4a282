"""The network, the blobs and the ledger."""
