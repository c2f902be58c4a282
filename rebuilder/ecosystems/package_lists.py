"""Names of packages from lists and lock files that a person wrote, or a tool."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rebuilder.model.remark import Remark
from rebuilder.toml_files import FileError, read_text

if TYPE_CHECKING:
    from rebuilder.ecosystems.conventions import Conventions

MAX_PACKAGES = 100_000


@dataclass
class NamedPackages:
    """What files named: projects, patterns, and the versions of those that are pinned."""

    rules: Conventions
    """Of the ecosystem that the names belong to."""
    packages: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)
    pins: dict[str, set[str]] = field(default_factory=dict)
    notes: list[Remark] = field(default_factory=list)
    """What was skipped."""
    read: list[Path] = field(default_factory=list)
    """Every file that was looked at, those that are missing too."""

    def add(self, text: str, version: str | None = None) -> None:
        """Take one name or pattern.

        Raises:
            ValueError: it is neither.
        """
        if not self.rules.is_name(text):
            shown = text if len(text) <= 80 else text[:80] + "…"
            raise ValueError(f"{shown!r} is no name of a package and no pattern")
        name = self.rules.canonical_name(text)
        if "*" in name or "?" in name:
            self.patterns.add(name)
            return
        self.packages.add(name)
        if len(self.packages) > MAX_PACKAGES:
            raise ValueError(f"there are more than {MAX_PACKAGES} packages")
        if version is not None:
            self.pins.setdefault(name, set()).add(version)

    def collect(self, path: Path) -> None:
        """Read one file, whatever its kind.

        Raises:
            FileError: it cannot be used; :attr:`read` tells what was looked at all the same.
        """
        self.read.append(path)
        self.rules.collect(path, read_text(path), self)

    def note(self, file: Path, line: int | None, message: str) -> None:
        """Remember something that was skipped."""
        self.notes.append(Remark(file=str(file), line=line, message=message))


def matches(pattern: str, name: str) -> bool:
    """Whether a normalised name fits a pattern; only ``*`` and ``?`` are special."""
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


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


def names_in(path: Path, text: str, named: NamedPackages) -> None:
    """Take the names in a list, one a line.

    Raises:
        FileError: a line is no name and no pattern.
    """
    for number, line in logical_lines(text):
        try:
            named.add(line)
        except ValueError as error:
            raise FileError(path, f"This line cannot be used: {error}.", number) from None


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """Names in order."""
    return tuple(sorted(names))
