"""Versions of Debian packages and their order (deb-version(7))."""

from __future__ import annotations

import re
from typing import NamedTuple

_VERSION = re.compile(r"(?:[0-9]{1,9}:)?[0-9][A-Za-z0-9.+~-]*(?<!-)", re.ASCII)
_BINARY_ONLY = re.compile(r"\+b[0-9]{1,4}$")
_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
_LONGEST = 200

Key = tuple[int, tuple[object, ...], tuple[object, ...]]


class DebianVersion(NamedTuple):
    """A version taken apart; ``str`` of the parts in order gives it again."""

    epoch: int
    upstream: str
    revision: str
    """Of the packaging; empty for a native package."""


def is_version(text: str) -> bool:
    """Whether a text is a version; a colon stands in none but behind the epoch."""
    return len(text) <= _LONGEST and _VERSION.fullmatch(text) is not None


def parsed(version: str) -> DebianVersion:
    """Take a version apart; of a text that is none, something all the same."""
    epoch, colon, rest = version.partition(":")
    if not colon or not epoch.isdecimal():
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return DebianVersion(int(epoch), upstream if dash else rest, revision if dash else "")


def order(version: str) -> Key:
    """What versions are ordered by: the same order as dpkg's, for any text."""
    epoch, upstream, revision = parsed(version)
    return epoch, _order(upstream), _order(revision)


def without_epoch(version: str) -> str:
    """The version as file names have it."""
    return version.partition(":")[2] if ":" in version else version


def without_rebuild(version: str) -> str:
    """The version without ``+bN``, which marks another build of the same source."""
    return _BINARY_ONLY.sub("", version)


_END = ((0,), 0)
"""No other character and no number: more than ``~``, less than all else, and the same as a number that is nothing."""


def _order(text: str) -> tuple[object, ...]:
    """Runs of other characters and numbers in turn; the end is put behind twice, since the first run may be nothing."""
    pairs = [((*map(_weight, letters), 0), int(digits or 0)) for letters, digits in _PARTS.findall(text)]
    while pairs and pairs[-1] == _END:
        pairs.pop()
    return (*pairs, _END, _END)


def _weight(char: str) -> int:
    return -1 if char == "~" else ord(char) if char.isascii() and char.isalpha() else ord(char) + 256
