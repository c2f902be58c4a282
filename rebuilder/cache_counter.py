"""Counts how often what was asked for was there already."""

from __future__ import annotations

import threading
from collections import Counter


class CacheCounter:
    """Hits and misses by kind of cache; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: Counter[tuple[str, bool]] = Counter()

    def count(self, kind: str, *, hit: bool) -> None:
        """One question to the cache of this kind."""
        with self._lock:
            self._counted[kind, hit] += 1

    def take(self) -> dict[str, tuple[int, int]]:
        """Hits and misses by kind since the last time."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
        return {kind: (counted[kind, True], counted[kind, False]) for kind in {kind for kind, _ in counted}}
