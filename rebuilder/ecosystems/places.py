"""Lines of a project that a pattern finds (pure)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from rebuilder.model.project import Place

_MOST = 3
_LONGEST = 160
_NO_CODE = ("#", "//", "*", "/*", "import ", "from ")


def lines_of(
    pattern: re.Pattern[str], texts: Mapping[str, str], *, first: Collection[str] = (), below: str = "", end: str = ""
) -> tuple[Place, ...]:
    """The first lines that are code and have the pattern.

    Those of files in ``first`` come before the others; a path begins with ``below`` and ends with ``end``.
    """
    return tuple(
        Place(file=name, line=number, text=line.strip()[:_LONGEST])
        for name in sorted(texts, key=lambda each: (each not in first, each))
        if name.startswith(below) and name.endswith(end)
        for number, line in enumerate(texts[name].splitlines(), start=1)
        if pattern.search(line) and not line.lstrip().startswith(_NO_CODE)
    )[:_MOST]
