"""TOML files of a source, and the tables in them."""

from __future__ import annotations

from typing import Any


def read_toml(content: bytes) -> dict[str, Any]:
    """A TOML file; empty where it, or what reads it, is not there."""
    try:
        import tomllib

        return tomllib.loads(content.decode("utf-8"))
    except (ImportError, ValueError, RecursionError):
        return {}


def table(document: Any, *names: str) -> dict[str, Any]:
    """A table by its path; empty where there is none."""
    for name in names:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}
