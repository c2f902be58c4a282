"""What the PyPI ecosystem works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from rebuilder.model.definition import Input
from rebuilder.ports import Blobs, Fetcher, Guest, Resolver, RunDefinition, Toolchains


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
    """The parts a rebuild of a wheel is prepared with."""

    fetcher: Fetcher
    blobs: Blobs
    guest: Guest
    run: RunDefinition
    resolver: Resolver
    toolchains: Toolchains
    uv_input: Callable[[], Input]
    """The uv executable as an input of a build; asked for when the first build needs it."""
    facts: Facts = field(default_factory=MemoryFacts)
    resolver_name: str = ""
    """What else decides about resolutions, such as the index and the version of uv: part of a fact's key."""
    max_file_bytes: int = 256 << 20
    """Largest wheel, source archive or build dependency that is downloaded."""
