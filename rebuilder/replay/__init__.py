"""Published reports, run again from their signed documents alone, and capsules that carry all that this needs."""
