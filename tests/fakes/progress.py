"""A progress display for those who look at nothing."""

from __future__ import annotations

from rebuilder.model.report import Stage


class NoDisplay:
    """Implements :class:`rebuilder.stopwatch.Progress`, and shows nothing."""

    def subject(self, name: str) -> None:
        """Nothing happens."""

    def stage(self, stage: Stage, detail: str = "") -> None:
        """Nothing happens."""
