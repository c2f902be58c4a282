"""All planted releases by name."""

from __future__ import annotations

from collections import Counter

from tests.bench.planted import archives, conditions, contents, endings, several, tools
from tests.bench.planted.release import Planted

DEPENDENCIES = tools.HELPERS
"""What the index has beside build backends."""


def _named() -> dict[str, Planted]:
    numbers: Counter[str] = Counter()
    found = {}
    for part in (archives, contents, conditions, tools, endings, several):
        for each in part.PLANTED:
            kind = each.causes[0].value if len(each.causes) == 1 else "several" if each.causes else "nothing"
            numbers[kind] += 1
            found[f"{kind}-{numbers[kind]}"] = each
    return found


RELEASES = _named()
