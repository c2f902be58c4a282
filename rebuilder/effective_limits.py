"""What one build may use right now: the limits of the settings, unless a task brings its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rebuilder.model.definition import Limits


class EffectiveLimits:
    """Limits that can be others for a while; for one thread."""

    def __init__(self, usual: Limits) -> None:
        self._limits = usual

    def limits(self) -> Limits:
        """Those in force."""
        return self._limits

    @contextmanager
    def others(self, limits: Limits | None) -> Iterator[None]:
        """Inside the block other limits are in force; None leaves them as they are."""
        usual, self._limits = self._limits, limits or self._limits
        try:
            yield
        finally:
            self._limits = usual
