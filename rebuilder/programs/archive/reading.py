"""The result of reading one archive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple, Optional

Keep = Callable[[int, str], int]
"""Number of bytes to keep of the content of a member, by its index and name; 0 for none."""


def keep_nothing(_index: int, _name: str) -> int:
    """A :data:`Keep` that keeps no content."""
    return 0


class Entry(NamedTuple):
    """What of a member matters to whoever unpacks it, the same for tar and ZIP."""

    name: str
    """As it is to stand in the file system."""
    kind: str
    executable: bool
    seconds: float
    """Since 1970."""
    link: str


Receive = Callable[[Entry], Optional[IO[bytes]]]
"""Told of each member in the order in which it stands in the file; what a file's content is written to, and closed."""


class Reading(NamedTuple):
    """What was read, and what was wrong with it."""

    format: str
    """``zip``, ``tar``, ``tar.gz``, ``tar.bz2``, ``tar.xz``, ``tar.zst``, ``deb``, or ``unknown``."""
    archive: Any
    """A ``ZipArchive``, ``TarArchive`` or ``DebArchive``.

    When ``readable`` is false, it holds the members up to the fault; None when there is nothing to hold.
    """
    problems: tuple[str, ...]
    readable: bool
    contents: dict[int, bytes]
    """First bytes of the members a :data:`Keep` asked for, by index."""


def shown(name: str, width: int = 120) -> str:
    """Text of an archive as it may stand in a sentence: one line, nothing invisible, cut to ``width``."""
    text = name
    if not name.isprintable():
        text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in name)
    return text if len(text) <= width else text[: width - 1] + "…"


def decoded(raw: bytes) -> str:
    r"""Bytes of a name as text; what is not UTF-8 becomes ``\xNN``."""
    return raw.decode("utf-8", "backslashreplace")


def examples(names: Sequence[str], most: int = 3) -> str:
    """The first few names, quoted, and how many more there are."""
    text = ", ".join(f"“{shown(name)}”" for name in names[:most])
    return f"{text} and {len(names) - most:,} more" if len(names) > most else text
