"""Ten thousand tasks whose examination costs nothing, two workers, one desk that signs."""

from __future__ import annotations

from tests.soak.figures import Part


def dispatch(tasks: int, seconds: float) -> Part:
    """Placeholder."""
    return Part(f"{tasks} {seconds}")
