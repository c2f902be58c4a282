"""Releases whose difference from their rebuild is known, because it was planted."""
