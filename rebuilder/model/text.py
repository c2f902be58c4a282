"""Text that somebody hostile may have written, made safe to show: in a log, on a page, in a terminal, in a message."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0") | {chr(code) for code in range(0xFE00, 0xFE10)}
"""Characters that take part in no category of control characters and yet show nothing."""
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200c-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""Control, bidirectional and format characters, but line feed, tab, and the zero-width space, which marks where a long
word may be broken and changes nothing else."""
_PLACE = re.compile(r"(?<![\w./-])/[^\s,;:()]+")
_MARKS_IN_A_ROW = 3
"""Combining marks one letter may carry; more of them climb over the lines above."""


def visible(text: str, limit: int | None = None) -> str:
    """Text in which every character is seen: control, bidirectional and zero-width ones become ``⟨U+202E⟩``.

    What is longer than ``limit`` characters loses its middle, and says how long it was.
    """
    total = len(text)
    if limit is not None and total > limit:
        head, tail = text[: limit * 2 // 3], text[total - limit // 3 :]
        return f"{_spell(head)} … {_spell(tail)} ({total:,} characters)"
    return _spell(text)


def clipped(text: str, most: int = 200) -> str:
    """The same for a sentence of ours that quotes it: what takes more than ``most`` characters is cut there."""
    shown = _spell(text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def without_places(sentence: str) -> str:
    """A sentence of ours without places on this machine, since it is published."""
    return _PLACE.sub("…", sentence)


def visible_document(text: str) -> str:
    """The same for a document that a browser or a person reads whole: its lines and tabs stay."""
    return _HIDDEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def _spell(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        plain = char.isprintable() and char not in _INVISIBLE and marks <= _MARKS_IN_A_ROW
        shown.append(char if plain else f"⟨U+{ord(char):04X}⟩")
    return "".join(shown)


_HEAD = "rebuilder: what follows “| ” was written by what ran in the sandbox, the rest by rebuilder."
_THEIRS = "| "
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def compose_log(written: bytes, remarks: Iterable[str]) -> bytes:
    """The log as it is stored and published: plain text in which every character is seen.

    Args:
        written: What ran in the sandbox wrote, whatever that is. Colours go, since they carry no words; a carriage
            return ends a line, as a progress bar means it to.
        remarks: Our own sentences, of one line each.
    """
    text = _COLOURS.sub("", written.decode("utf-8", "backslashreplace"))
    lines = _LINE_ENDS.split(text)
    if lines[-1] == "":
        lines.pop()
    theirs = (_THEIRS + visible(line.expandtabs()) for line in lines)
    return "\n".join([_HEAD, *theirs, *(f"rebuilder: {visible(each)}" for each in remarks), ""]).encode()


def written_lines(log: bytes) -> list[str]:
    """The lines of a log that what ran in the sandbox wrote.

    A log from before lines were told apart has no others.
    """
    lines = log.decode("utf-8", "backslashreplace").splitlines()
    if lines[:1] != [_HEAD]:
        return lines
    return [line.removeprefix(_THEIRS) for line in lines if line.startswith(_THEIRS)]
