"""Names and versions from lists and lock files: requirements.txt, pylock.toml, uv.lock, poetry.lock, plain lists."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from rebuilder.ecosystems.registry import conventions
from rebuilder.service.schedules.watch import Remark

MAX_BYTES = 8 << 20
"""Largest file that is read."""
MAX_PACKAGES = 100_000
_MAX_INCLUDES = 50
_OPTION = re.compile(r"(?P<name>--?[a-z][a-z-]*)(?:\s*=\s*|\s+|(?<=-r)|$)(?P<value>.*)", re.ASCII)
_FOREIGN = ("git+", "hg+", "svn+", "bzr+", "http://", "https://", "file:", ".", "/")
"""How a line begins that names something which no index has."""


class FileError(Exception):
    """A file that cannot be used; ``remark`` says where and why."""

    def __init__(self, file: Path, sentence: str, line: int | None = None) -> None:
        super().__init__(sentence)
        self.remark = Remark(file=str(file), line=line, sentence=sentence)


@dataclass
class Named:
    """What files named: projects, patterns, and the versions of those that are pinned."""

    packages: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)
    pins: dict[str, set[str]] = field(default_factory=dict)
    notes: list[Remark] = field(default_factory=list)
    """What was skipped."""
    read: list[Path] = field(default_factory=list)
    """Every file that was looked at, those that are missing too."""

    def add(self, ecosystem: str, text: str, version: str | None = None) -> None:
        """Take one name or pattern.

        Raises:
            ValueError: it is neither.
        """
        rules = conventions(ecosystem)
        if not rules.is_name(text):
            shown = text if len(text) <= 80 else text[:80] + "…"
            raise ValueError(f"{shown!r} is no name of a package and no pattern")
        name = rules.canonical_name(text)
        if "*" in name or "?" in name:
            self.patterns.add(name)
            return
        self.packages.add(name)
        if len(self.packages) > MAX_PACKAGES:
            raise ValueError(f"there are more than {MAX_PACKAGES} packages")
        if version is not None:
            self.pins.setdefault(name, set()).add(version)

    def note(self, file: Path, line: int | None, sentence: str) -> None:
        """Remember something that was skipped."""
        self.notes.append(Remark(file=str(file), line=line, sentence=sentence))


def matches(pattern: str, name: str) -> bool:
    """Whether a normalised name fits a pattern; only ``*`` and ``?`` are special."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def read_text(path: Path, max_bytes: int = MAX_BYTES) -> str:
    """Read a regular file of bounded size; a byte-order mark is left out.

    Raises:
        FileError: it is missing, no regular file, too large, or not UTF-8.
    """
    try:
        # A pipe must not block the service, whoever put it there.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:  # noqa: PTH123
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


def collect(path: Path, ecosystem: str, named: Named) -> None:
    """Read one file, whatever its kind, into ``named``.

    Raises:
        FileError: it cannot be used; ``named.read`` tells what was looked at all the same.
    """
    named.read.append(path)
    text = read_text(path)
    if path.suffix in {".toml", ".lock"}:
        if ecosystem != "pypi":
            raise FileError(path, f"Lock files are read for pypi, not for {ecosystem}; write a list of names instead.")
        _collect_lock(path, parse_toml(path, text), named)
    else:
        _collect_lines(path, text, ecosystem, named, root=path.parent.resolve())


def _collect_lock(path: Path, document: dict[str, Any], named: Named) -> None:
    """The tables of pylock.toml (PEP 751) are ``packages``; those of uv.lock and poetry.lock ``package``."""
    kind = "packages" if "lock-version" in document else "package"
    if kind not in document and "version" not in document and "metadata" not in document:
        raise FileError(path, "This is neither pylock.toml nor uv.lock nor poetry.lock.")
    tables = document.get(kind, [])
    if not isinstance(tables, list):
        raise FileError(path, f"“{kind}” is not an array of tables, as lock files have it.")
    for number, table in enumerate(tables, start=1):
        try:
            _collect_table(path, table, named)
        except ValueError as error:
            raise FileError(path, f"Number {number} of the packages cannot be used: {error}.") from None


def _collect_table(path: Path, table: Any, named: Named) -> None:
    if not isinstance(table, dict) or not isinstance(name := table.get("name"), str):
        raise ValueError("it has no name")  # noqa: TRY004 - the caller takes this one
    version = table.get("version")
    if version is not None and not isinstance(version, str):
        raise ValueError(f"the version of {name!r} is no text")
    source = table.get("source")
    origins = set(table) & {"vcs", "directory", "archive"}
    if isinstance(source, dict):
        # uv.lock says where it is from by the key, poetry.lock by “type”; only an index can be asked again.
        origins |= {str(source["type"])} - {"legacy"} if "type" in source else set(source) - {"registry"}
    if origins & {"virtual", "editable"}:
        return  # the project that the lock file belongs to
    if origins:
        named.note(path, None, f"{name!r} is skipped: it does not come from an index.")
        return
    named.add("pypi", name, None if version is None else str(_version(name, version)))


def _version(name: str, text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise ValueError(f"{text[:80]!r} is no version of {name!r}") from None


def _collect_lines(path: Path, text: str, ecosystem: str, named: Named, *, root: Path) -> None:
    """Lines of a requirements file, or of a list of names."""
    for number, line in _logical_lines(text):
        try:
            if line.startswith("-"):
                _option(path, number, line, ecosystem, named, root=root)
            elif line.startswith(_FOREIGN):
                named.note(path, number, f"{line[:80]!r} is skipped: it does not come from an index.")
            elif ecosystem != "pypi" or ("*" in line and conventions(ecosystem).is_name(line)):
                named.add(ecosystem, line)
            else:
                _requirement(path, number, line, named)
        except ValueError as error:
            raise FileError(path, f"This line cannot be used: {error}.", number) from None


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
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


def _option(path: Path, number: int, line: str, ecosystem: str, named: Named, *, root: Path) -> None:
    found = _OPTION.fullmatch(line)
    name, value = (found["name"], found["value"].strip()) if found else ("", "")
    if name in {"-e", "--editable"}:
        named.note(path, number, f"{line[:80]!r} is skipped: it is installed from its source.")
    elif name in {"-r", "--requirement"}:
        included = (path.parent / value.strip("'\"")).resolve()
        if not included.is_relative_to(root):
            raise ValueError(f"{value[:80]!r} is outside the directory {root}")
        if included in [each.resolve() for each in named.read]:
            return
        if len(named.read) > _MAX_INCLUDES:
            raise ValueError(f"there are more than {_MAX_INCLUDES} files")
        named.read.append(included)
        _collect_lines(included, read_text(included), ecosystem, named, root=root)
    # Other options say how to install, not what.


def _requirement(path: Path, number: int, line: str, named: Named) -> None:
    # Hashes and other options of a requirement follow it; markers say where it is installed, which is all the same.
    text = re.split(r"\s--?[a-z]", line, maxsplit=1)[0]
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise ValueError(f"{text[:80]!r} is no requirement") from None
    if requirement.url is not None:
        named.note(path, number, f"{requirement.name!r} is skipped: it does not come from an index.")
        return
    exact = [each.version for each in requirement.specifier if each.operator in {"==", "==="}]
    pinned = [version for version in exact if not version.endswith("*")]
    named.add("pypi", requirement.name, str(_version(requirement.name, pinned[0])) if pinned else None)


def sorted_pins(pins: dict[str, set[str]]) -> dict[str, tuple[str, ...]]:
    """Pins in an order that does not depend on the order of files."""
    return {name: tuple(sorted(pins[name], key=Version)) for name in sorted(pins)}


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """Names in order."""
    return tuple(sorted(names))
