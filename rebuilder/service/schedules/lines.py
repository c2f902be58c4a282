"""On which line of a TOML file something stands, as far as a simple look tells; the library says it of no key."""

from __future__ import annotations

import re


def span(lines: list[str], kind: str, index: int) -> tuple[int | None, int | None]:
    """First and last line of a table; None when it is written in another way than with a header."""
    header = re.compile(rf"\s*\[\[\s*[\"']?{kind}[\"']?\s*\]\]")
    starts = [number for number, line in enumerate(lines, start=1) if header.match(line)]
    if index >= len(starts):
        return None, None
    following = (
        number for number, line in enumerate(lines, start=1) if number > starts[index] and line.startswith("[[")
    )
    return starts[index], next(following, len(lines) + 1) - 1


def line_of(
    lines: list[str], key: str, start: int | None = 1, end: int | None = None, text: str | None = None
) -> int | None:
    """The line a key stands on, or below it the line of one text of its list, as far as a simple look tells."""
    if start is None:
        return None
    written = re.compile(rf"(?:.*\.)?\s*[\"']?{re.escape(key)}[\"']?\s*[=.]|\s*\[+[^\]]*\b{re.escape(key)}\b")
    numbered = list(enumerate(lines, start=1))[start - 1 : end]
    found = next((number for number, line in numbered if written.match(line)), None)
    if found is None or text is None:
        return found
    below = (number for number, line in numbered if (number >= found and f'"{text}"' in line) or f"'{text}'" in line)
    return next(below, found)
