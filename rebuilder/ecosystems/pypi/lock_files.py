"""Names and versions in what Python tools write: requirements.txt, pylock.toml, uv.lock, poetry.lock, plain lists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from packaging.pylock import Pylock, PylockValidationError
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from rebuilder.ecosystems.conventions import NamedPackages
from rebuilder.toml_files import FileError, logical_lines, parse_toml, read_text

_MAX_INCLUDES = 50
_OPTION = re.compile(r"(?P<name>--?[a-z][a-z-]*)(?:\s*=\s*|\s+|(?<=-r)|$)(?P<value>.*)", re.ASCII)
_FOREIGN = ("git+", "hg+", "svn+", "bzr+", "http://", "https://", "file:", ".", "/")
"""How a line begins that names something which no index has."""


def collect(path: Path, text: str, named: NamedPackages) -> None:
    """Take the projects that a file names, and the versions it pins.

    Raises:
        FileError: it is of no kind that is known, or has a mistake.
    """
    if path.suffix in {".toml", ".lock"}:
        document = parse_toml(path, text)
        if "lock-version" in document:
            _collect_pylock(path, document, named)
        else:
            _collect_lock(path, document, named)
    else:
        _collect_lines(path, text, named, root=path.parent.resolve())


def _collect_pylock(path: Path, document: dict[str, Any], named: NamedPackages) -> None:
    """pylock.toml (PEP 751): what comes from a repository, a directory or an archive is on no index."""
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as error:
        raise FileError(path, f"This is no pylock.toml that can be used: {str(error)[:200]}.") from None
    for package in lock.packages:
        if package.vcs or package.directory or package.archive:
            named.note(path, None, f"{package.name!r} is skipped: it does not come from an index.")
        else:
            named.add(package.name, str(package.version) if package.version is not None else None)


def _collect_lock(path: Path, document: dict[str, Any], named: NamedPackages) -> None:
    """uv.lock and poetry.lock."""
    if not document.keys() & {"package", "version", "metadata"}:
        raise FileError(path, "This is neither pylock.toml nor uv.lock nor poetry.lock.")
    tables = document.get("package", [])
    if not isinstance(tables, list):
        raise FileError(path, "“package” is not an array of tables, as lock files have it.")
    for number, table in enumerate(tables, start=1):
        try:
            _collect_table(path, table, named)
        except ValueError as error:
            raise FileError(path, f"Number {number} of the packages cannot be used: {error}.") from None


def _collect_table(path: Path, table: Any, named: NamedPackages) -> None:
    if not isinstance(table, dict) or not isinstance(name := table.get("name"), str):
        raise ValueError("it has no name")  # noqa: TRY004 - the caller takes this one
    version = table.get("version")
    if version is not None and not isinstance(version, str):
        raise ValueError(f"the version of {name!r} is no text")
    source = table.get("source")
    origins: set[str] = set()
    if isinstance(source, dict):
        # uv.lock says where it is from by the key, poetry.lock by “type”; only an index can be asked again.
        origins = {str(source["type"])} - {"legacy"} if "type" in source else set(source) - {"registry"}
    if origins & {"virtual", "editable"}:
        return  # the project that the lock file belongs to
    if origins:
        named.note(path, None, f"{name!r} is skipped: it does not come from an index.")
        return
    named.add(name, None if version is None else str(_version(name, version)))


def _version(name: str, text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion:
        raise ValueError(f"{text[:80]!r} is no version of {name!r}") from None


def _collect_lines(path: Path, text: str, named: NamedPackages, *, root: Path) -> None:
    """Lines of a requirements file, or of a list of names."""
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
    named.add(requirement.name, str(_version(requirement.name, pinned[0])) if pinned else None)
