"""Who is told which stage an artifact is in."""

from __future__ import annotations

from typing import Protocol

from rebuilder.model.report import Stage


class Progress(Protocol):
    """Who is told which stage an artifact is in."""

    def subject(self, name: str) -> None:
        """Work on another subject begins; ``name`` is what the user called it."""
        ...

    def stage(self, stage: Stage, detail: str = "") -> None:
        """A stage begins; the one before it has ended."""
        ...
