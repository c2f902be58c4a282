"""A fleet in large: thousands of runners that build nothing, against the real coordinator, ledger and broker."""
