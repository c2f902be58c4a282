"""Says where two contents begin to differ, and which lines only one of them has."""

from __future__ import annotations

from collections import Counter
from typing import Any

from rebuilder.programs.archive.reading import shown

_LINE = 100
_EXCERPT = 200
"""Most characters of a line that is handed back."""
_AROUND = 16
"""Bytes handed back around the first difference of what is no text."""


def first_difference(published: bytes, rebuilt: bytes, *, whole: bool) -> str:
    """One sentence: the first line (of text) or the first byte (of anything else) that differs.

    Args:
        published: The content, or its beginning.
        rebuilt: The same for the other side.
        whole: Whether these are the whole contents.
    """
    at = _first_byte(published, rebuilt)
    if at is None:
        return "" if whole else f"The first {min(len(published), len(rebuilt)):,} bytes are the same."
    left, right = _text(published), _text(rebuilt)
    if left is None or right is None:
        return f"First difference at byte {at:,}."
    if whole:
        if left.replace("\r\n", "\n") == right.replace("\r\n", "\n"):
            return f"Only line ends differ: published {_ends(left)}, rebuilt {_ends(right)}."
        if sorted(left.splitlines()) == sorted(right.splitlines()):
            return "The same lines in another order."
    line = published.count(b"\n", 0, at)
    return f"First difference in line {line + 1:,}: published {_line(left, line)}, rebuilt {_line(right, line)}."


def content_change(published: bytes, rebuilt: bytes, *, whole: bool, most: int) -> dict[str, Any] | None:
    """The lines only one side has, in the shape of ``model.comparison.ContentChange``.

    Lines are counted, not aligned: that costs as much as reading them, whatever an archive holds.

    Args:
        published: The content, or its beginning.
        rebuilt: The same for the other side.
        whole: Whether these are the whole contents; of beginnings nothing is said.
        most: Lines handed back of each side.
    """
    at = _first_byte(published, rebuilt)
    if at is None or not whole:
        return None
    left, right = _text(published), _text(rebuilt)
    if left is None or right is None:
        start = max(0, at - _AROUND // 2)
        return {"text": False, "published": _hex(published, start), "rebuilt": _hex(rebuilt, start)}
    line_ends = ("\r\n" in left) != ("\r\n" in right)
    theirs, ours = ((side.replace("\r\n", "\n") if line_ends else side).split("\n") for side in (left, right))
    published_only, rebuilt_only = _beyond(theirs, ours), _beyond(ours, theirs)
    return {
        "text": True,
        "line_ends": line_ends,
        "moved": _common(theirs, ours) != _common(ours, theirs),
        "published": [shown(line, _EXCERPT) for line in published_only[:most]],
        "rebuilt": [shown(line, _EXCERPT) for line in rebuilt_only[:most]],
        "published_total": len(published_only),
        "rebuilt_total": len(rebuilt_only),
    }


def _hex(data: bytes, start: int) -> list[str]:
    part = data[start : start + _AROUND]
    return [part.hex(" ")] if part else []


def _beyond(lines: list[str], others: list[str]) -> list[str]:
    """Lines that occur more often than among the others, in order; of equal ones the last."""
    left = Counter(lines) - Counter(others)
    found = []
    for line in reversed(lines):
        if left[line] > 0:
            left[line] -= 1
            found.append(line)
    return found[::-1]


def _common(lines: list[str], others: list[str]) -> list[str]:
    """Lines that both have, in the order of the first."""
    left = Counter(lines) & Counter(others)
    found = []
    for line in lines:
        if left[line] > 0:
            left[line] -= 1
            found.append(line)
    return found


def _first_byte(left: bytes, right: bytes) -> int | None:
    if left == right:
        return None
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        # A beginning may be cut inside a character.
        return data[: error.start].decode("utf-8") if error.start >= len(data) - 3 else None


def _line(text: str, index: int) -> str:
    lines = text.split("\n")
    if index >= len(lines) or (index == len(lines) - 1 and not lines[index]):
        return "ends before it"
    return f"“{shown(lines[index], _LINE)}”"


def _ends(text: str) -> str:
    crlf = text.count("\r\n")
    return f"{crlf:,} CRLF and {text.count(chr(10)) - crlf:,} LF"
