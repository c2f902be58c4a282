"""Namespaces by bubblewrap."""
