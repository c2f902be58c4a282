"""In which order pip and uv prefer the files of one release on the platform and the Python of this process."""

from __future__ import annotations

import re
from functools import cache
from itertools import product

SOURCE_ENDINGS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")
_LAST = 1 << 30
Rank = tuple[int, int, tuple[int, ...]]
"""Of a file: the smaller, the sooner it is taken; files of one rank are in the order of their index."""
LAST: Rank = (_LAST, 1, ())
"""Behind all that are taken."""
_BUILD = re.compile(r"(?P<number>[0-9]{1,18})(?P<rest>.*)", re.ASCII)


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
        return (_LAST, 0, ()) if filename.endswith(SOURCE_ENDINGS) else None
    name, *rest = filename.removesuffix(".whl").split("-")
    if not name or len(rest) not in {4, 5}:
        return None
    tags = ("-".join(each) for each in product(*(part.lower().split(".") for part in rest[-3:])))
    found = min((supported()[each] for each in tags if each in supported()), default=None)
    if found is None:
        return None
    build = _BUILD.fullmatch(rest[1]) if len(rest) == 5 else None
    # What follows the number is compared as text, the later letter first; none at all comes after any.
    return (found, -int(build["number"]), (*(-ord(each) for each in build["rest"]), 0)) if build else (found, 1, ())
