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


def _order(text: str) -> tuple[object, ...]:
    """Runs of other characters and numbers in turn, with an end that is more than ``~`` and less than all else."""
    parts: list[object] = []
    for letters, digits in _PARTS.findall(f"{text}"):
        if letters or digits:
            parts += ((*map(_weight, letters), 0), int(digits or 0))
    return (*parts, (0,), 0)


def _weight(char: str) -> int:
    return -1 if char == "~" else ord(char) if char.isascii() and char.isalpha() else ord(char) + 256
