"""A maintainer's look before the upload: whether a stranger will get the same bytes, and why not."""
