"""Files that a person wrote: read with bounds, and a mistake told with the file and, where known, the line."""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_core import ErrorDetails

from rebuilder.errors import UsageError
from rebuilder.model.value import Value


class Remark(Value):
    """Something about a file that its author should know: a mistake, or what was skipped."""

    file: str
    line: int | None = None
    key: str | None = None
    """Such as ``watch.every``."""
    message: str

    @property
    def label(self) -> str:
        """``FILE, line N, KEY: MESSAGE``; what is not known is left out."""
        line = f"line {self.line}" if self.line else None
        return f"{', '.join(filter(None, (self.file, line, self.key)))}: {self.message}"


MAX_BYTES = 8 << 20
"""Largest file that is read."""

# A pipe must not block the service, whoever put it there; not every system has each flag.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_WORDS = {
    "bool": "must be true or false, without quotes",
    "date": "must be a date without quotes, such as 2026-01-31",
    "dict_type": "must be a table",
    "enum": "must be one of {expected}",
    "finite_number": "must be a finite number",
    "float": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int": "must be a whole number",
    "int_parsing_size": "is far too large",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list, in square brackets",
    "literal_error": "must be one of {expected}",
    "missing": "it must be given",
    "model_type": "must be a table",
    "path_type": "must be a path in quotes",
    "string_too_long": "is too long",
    "string_too_short": "is too short",
    "string_pattern_mismatch": "is not written as it must be",
    "string": "must be a text in quotes",
    "too_long": "has too many entries",
    "too_short": "has too few entries",
    "tuple_type": "must be a list in square brackets",
    "value_error": "{error}",
}
"""Kind of mistake, or how its name begins, to what is said about it behind the name of the key."""


class FileError(UsageError):
    """A file that cannot be used; ``remark`` says where and why."""

    def __init__(self, file: Path, message: str, line: int | None = None, key: str | None = None) -> None:
        self.remark = Remark(file=str(file), line=line, key=key, message=message)
        super().__init__(self.remark.label)


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Read a regular file of bounded size; a byte-order mark is left out.

    Raises:
        FileError: it is missing, no regular file, too large, or not UTF-8.
    """
    try:
        with open(os.open(path, _READ), "rb") as stream:  # noqa: PTH123
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise FileError(path, "This is no file.")
            data = stream.read(max_bytes + 1)
    except FileNotFoundError:
        raise FileError(path, "This file does not exist.") from None
    except OSError as error:
        raise FileError(path, f"This file cannot be read: {error.strerror}.") from None
    except ValueError:  # a NUL in the path
        raise FileError(path, "This is no path that a file can have.") from None
    if len(data) > max_bytes:
        raise FileError(path, f"This file is larger than {max_bytes >> 20} MiB.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(path, "This file is not UTF-8.", data[: error.start].count(b"\n") + 1) from None


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines without comments, those that end in a backslash put together, with the number of the first."""
    start, pending = 0, ""
    for number, raw in enumerate(text.splitlines(), start=1):
        # A comment begins at a number sign that stands first or after a space: others are parts of addresses.
        line = re.sub(r"(?:^|\s)#.*", "", raw)
        start = start if pending else number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        if whole := (pending + line).strip():
            yield start, whole
        pending = ""
    if pending.strip():
        yield start, pending.strip()


def parse_toml(path: Path, text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        FileError: it is none; with the line where the library tells.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise FileError(path, "This is not readable as TOML: it is nested too deeply.") from None
    except ValueError as error:  # also a number of thousands of digits, a date that is none
        sentence, _, place = str(error).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        if place.startswith("end of document"):
            return _unfinished(path, sentence, text)
        raise FileError(path, f"This is not readable as TOML: {sentence}.", int(line[1]) if line else None) from None


def _unfinished(path: Path, sentence: str, text: str) -> dict[str, Any]:
    raise FileError(path, f"This is not readable as TOML: {sentence}, at its end.", len(text.splitlines()) or 1)


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


def mistake(error: ErrorDetails, known: list[str], more: Mapping[str, str] = {}) -> str:
    """A mistake in words that fit behind the name of the key.

    Args:
        error: As pydantic tells it.
        known: Keys that would have been right where an unknown one stands.
        more: Words for kinds of mistakes of which something else is to be said.
    """
    return unknown(str(error["loc"][-1]), known) if error["type"] == "extra_forbidden" else words(error, more)


def words(error: ErrorDetails, more: Mapping[str, str] = {}) -> str:
    """The same for one that is no unknown key."""
    table, kind = {**_WORDS, **more}, error["type"]
    near = (table[each] for each in sorted(table, reverse=True) if kind.startswith(each))
    return (table.get(kind) or next(near, "cannot be used")).format(**error.get("ctx", {}))


def unknown(key: str, known: list[str]) -> str:
    """What is said of a key that nobody knows."""
    near = difflib.get_close_matches(key, known, 1)
    return "is not known here" + (f" (“{near[0]}” is)" if near else f"; known are {', '.join(known)}")
