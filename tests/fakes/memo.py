"""A memo that lasts as long as the process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class MemoryMemo:
    """Implements :class:`rebuilder.store.protocol.Memo` with a dictionary."""

    documents: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any | None:
        """See :class:`rebuilder.store.protocol.Memo`."""
        return self.documents.get(key)

    def put(self, key: str, document: Any) -> None:
        """See :class:`rebuilder.store.protocol.Memo`."""
        self.documents[key] = document
