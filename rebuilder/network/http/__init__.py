"""Documents and files over HTTP, bounded in size and time."""
