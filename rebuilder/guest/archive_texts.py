"""Says where two contents begin to differ."""

from __future__ import annotations

from rebuilder.guest.archive_reading import shown

_LINE = 100


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
