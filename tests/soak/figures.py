"""What one part of the soak found."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass
class Part:
    """Figures by name, and sentences about what is not as it should be."""

    name: str
    figures: dict[str, str] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def say(self, sentence: str) -> None:
        """Tell whoever is watching how far it is."""
        sys.stderr.write(f"{self.name}: {sentence}\n")
        sys.stderr.flush()


def table(parts: list[Part]) -> str:
    """All figures, then all violations."""
    rows = [(part.name, name, figure) for part in parts for name, figure in part.figures.items()]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    lines = [f"{part:<{widths[0]}}  {name:<{widths[1]}}  {figure}" for part, name, figure in rows]
    bad = [f"VIOLATION ({part.name}): {sentence}" for part in parts for sentence in part.violations]
    return "\n".join([*lines, *(bad or ["No violations."])]) + "\n"
