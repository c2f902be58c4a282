"""Rebuilds what others published and says, signed, whether the bytes are the same."""

__version__ = "0.1.0"
