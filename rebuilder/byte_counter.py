"""How many bytes this process has moved so far: for network and store what ``os.times`` is for the processor.

One for the process, because nobody who fetches or stores knows for which artifact, and a process is at one at a time.
"""

from __future__ import annotations

import threading


class ByteCounter:
    """Counts only up; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved = (0, 0)

    def add(self, *, fetched: int = 0, written: int = 0) -> None:
        """Bytes came over the network, or new ones are in the store."""
        with self._lock:
            before = self._moved
            self._moved = (before[0] + fetched, before[1] + written)

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes fetched and bytes written since the process began."""
        return self._moved


MOVED = ByteCounter()
