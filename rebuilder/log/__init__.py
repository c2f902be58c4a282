"""The append-only log of statements: a Merkle tree in static tiles, signed checkpoints, and proofs that travel."""
