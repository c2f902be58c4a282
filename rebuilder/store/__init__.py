"""What is kept: bytes by their digest, and the ledger of what was seen and done."""
