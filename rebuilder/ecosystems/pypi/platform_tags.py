"""In which order pip and uv prefer the files of one release on the platform and the Python of this process."""

from __future__ import annotations

from functools import cache
from itertools import product

_SOURCE_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
_LAST = 1 << 30

Rank = tuple[int, int]
"""Of a file: the smaller, the sooner it is taken; files of one rank are in the order of their index."""


@cache
def supported() -> dict[str, int]:
    """Tags of wheels that can be installed here, to their place in the order of preference; the best is 0."""
    from packaging.tags import sys_tags

    found: dict[str, int] = {}
    for rank, tag in enumerate(sys_tags()):
        found.setdefault(str(tag), rank)
    return found


def rank(filename: str) -> Rank | None:
    """By the best tag of a wheel, then by its build number; a source archive comes last. None: it is never taken."""
    if not filename.endswith(".whl"):
        return (_LAST, 0) if filename.endswith(_SOURCE_ENDINGS) else None
    name, *rest = filename.removesuffix(".whl").split("-")
    if not name or len(rest) not in {4, 5}:
        return None
    tags = ("-".join(each) for each in product(*(part.split(".") for part in rest[-3:])))
    found = min((supported()[each] for each in tags if each in supported()), default=None)
    if found is None:
        return None
    digits = "".join(each for each in rest[1] if each.isdecimal()) if len(rest) == 5 else ""
    return found, -int(digits[:18] or "-1")
