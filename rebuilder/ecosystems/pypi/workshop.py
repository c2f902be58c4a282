"""What the PyPI ecosystem works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rebuilder.model.definition import Input, Limits
from rebuilder.ports import Blobs, Fetcher, Guest, Resolver, RunDefinition, Toolchains

MAX_FILE_BYTES = 256 << 20


class Facts(Protocol):
    """JSON documents that stay true for ever, by key: what was once worked out need not be worked out again."""

    def get(self, key: str) -> Any | None:
        """The document, or None."""
        ...

    def put(self, key: str, document: Any) -> None:
        """Keep a document of plain JSON types."""
        ...


@dataclass
class MemoryFacts:
    """Facts that are kept as long as the process lives."""

    documents: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any | None:
        """See :class:`Facts`."""
        return self.documents.get(key)

    def put(self, key: str, document: Any) -> None:
        """See :class:`Facts`."""
        self.documents[key] = document


@dataclass(frozen=True)
class Workshop:
    """The parts a rebuild of a wheel is prepared with; see :class:`rebuilder.ecosystems.pypi.ecosystem.PyPI`."""

    fetcher: Fetcher
    blobs: Blobs
    guest: Guest
    run: RunDefinition
    resolver: Resolver
    toolchains: Toolchains
    uv_input: Callable[[], Input]
    facts: Facts
    max_file_bytes: int
    limits: Limits
