"""The log of a run: what ran in the sandbox wrote, and what we say of it, so that neither can pass for the other."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rebuilder.model.text import visible

_HEAD = "rebuilder: what follows “| ” was written by what ran in the sandbox, the rest by rebuilder."
_THEIRS = "| "
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_LINE_ENDS = re.compile(r"\r\n|\r|\n")


def compose(written: bytes, remarks: Iterable[str]) -> bytes:
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


def written(log: bytes) -> list[str]:
    """The lines of a log that what ran in the sandbox wrote.

    A log from before lines were told apart has no others.
    """
    lines = log.decode("utf-8", "backslashreplace").splitlines()
    if lines[:1] != [_HEAD]:
        return lines
    return [line.removeprefix(_THEIRS) for line in lines if line.startswith(_THEIRS)]
