"""Names and versions in requirements files and plain lists."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from rebuilder.ecosystems.conventions import NamedPackages
from rebuilder.toml_files import FileError, logical_lines, read_text

_MAX_INCLUDES = 50
_OPTION = re.compile(r"(?P<name>--?[a-z][a-z-]*)(?:\s*=\s*|\s+|(?<=-r)|$)(?P<value>.*)", re.ASCII)
_FOREIGN = ("git+", "hg+", "svn+", "bzr+", "http://", "https://", "file:", ".", "/")
"""How a line begins that names something which no index has."""


def collect(path: Path, text: str, named: NamedPackages) -> None:
    """Take the projects that a file names, and the versions it pins.

    Raises:
        FileError: a line has a mistake.
    """
    _collect_lines(path, text, named, root=path.parent.resolve())


def _collect_lines(path: Path, text: str, named: NamedPackages, *, root: Path) -> None:
    for number, line in logical_lines(text):
        try:
            if line.startswith("-"):
                _option(path, number, line, named, root=root)
            elif line.startswith(_FOREIGN):
                named.note(path, number, f"{line[:80]!r} is skipped: it does not come from an index.")
            elif "*" in line and named.rules.is_name(line):
                named.add(line)
            else:
                _requirement(path, number, line, named)
        except ValueError as error:
            raise FileError(path, f"This line cannot be used: {error}.", number) from None


def _option(path: Path, number: int, line: str, named: NamedPackages, *, root: Path) -> None:
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
        _collect_lines(included, read_text(included), named, root=root)
    # Other options say how to install, not what.


def _requirement(path: Path, number: int, line: str, named: NamedPackages) -> None:
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
    named.add(requirement.name, pinned[0] if pinned else None)
