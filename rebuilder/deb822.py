"""Debian's control files (deb822(5)): stanzas of fields, in lists of any size.

An index of a whole suite has some fifty megabytes. It is not taken apart: what is asked for is found in its bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import chain

_FIELD = re.compile(r"(?P<name>[!-9;-~]+):(?P<value>.*)")
_BLANK = re.compile(rb"\n(?:[ \t]*\n)+")
_COMMENT = re.compile(r"^#.*\n?", re.MULTILINE)


class MalformedStanzaError(ValueError):
    """A stanza that is none; ``str()`` is the end of a sentence."""


def stanzas(data: bytes) -> Iterator[bytes]:
    """The stanzas of a list, in its order, each without the blank lines around it."""
    blank = _BLANK if re.search(rb"^[ \t]+$", data[: 1 << 16], re.MULTILINE) else None
    for each in blank.split(data) if blank else data.split(b"\n\n"):
        if stanza := each.strip(b"\n"):
            yield stanza


def found(data: bytes, field: bytes, value: bytes) -> Iterator[bytes]:
    """The stanzas of a list in which a field of one line is exactly a value; the others are not looked at.

    Args:
        data: The list, with one empty line between stanzas, as archives write it.
        field: Its name, spelt as there.
        value: Without blanks at its ends.
    """
    wanted = b"%s: %s\n" % (field, value)
    at = 0 if data.startswith(wanted) else _next(data, wanted, 0)
    while at >= 0:
        start = data.rfind(b"\n\n", 0, at) + 2 if at else 0
        start = 0 if start == 1 else start
        end = data.find(b"\n\n", at)
        yield data[start : end if end >= 0 else len(data)].strip(b"\n")
        at = _next(data, wanted, at + 1)


def found_any(data: bytes, field: bytes, values: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The same for many values, in one pass over the list: each stanza with its value."""
    wanted = {each.encode(): each for each in values}
    line = rb"%s: ([^\n]*)\n" % re.escape(field)
    first = re.match(line, data)
    # A pattern that begins with fixed bytes is looked for fifteen times as fast as one with a choice there.
    for each in chain([first] if first else [], re.finditer(rb"\n" + line, data)):
        if each[1] in wanted:
            start, end = data.rfind(b"\n\n", 0, each.start() + 1), data.find(b"\n\n", each.start(1))
            yield wanted[each[1]], data[start + 2 if start >= 0 else 0 : end if end >= 0 else len(data)].strip(b"\n")


def _next(data: bytes, wanted: bytes, start: int) -> int:
    at = data.find(b"\n" + wanted, start)
    return at + 1 if at >= 0 else -1


def values(data: bytes, field: bytes) -> Iterator[str]:
    """A field of one line in every stanza that has it, in order."""
    for each in re.finditer(rb"^%s: *(\S[^\n]*)$" % re.escape(field), data, re.MULTILINE):
        yield each[1].decode("utf-8", "replace")


def fields(stanza: bytes | str) -> dict[str, str]:
    """The fields of a stanza, names in small letters; further lines of a value follow after line feeds, unindented.

    Raises:
        MalformedStanzaError: a line belongs to no field, or a field is given twice.
    """
    text = stanza.decode("utf-8", "replace") if isinstance(stanza, bytes) else stanza
    result: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in _COMMENT.sub("", text).split("\n"):
        if line.startswith((" ", "\t")) and lines:
            lines.append(line.strip())
            continue
        if not line.strip():
            continue
        given = _FIELD.fullmatch(line.rstrip("\r"))
        if given is None:
            raise MalformedStanzaError("a line of it is no field")
        name = given["name"].lower()
        if name in result:
            raise MalformedStanzaError(f"it has the field {name[:40]!r} twice")
        result[name] = lines = [given["value"].strip()]
    return {name: "\n".join(each) for name, each in result.items()}
