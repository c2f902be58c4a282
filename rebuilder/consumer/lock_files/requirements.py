"""``requirements.txt`` as pip reads it with ``--require-hashes``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rebuilder.consumer.lock_files.dependency import UNHASHED, Dependency, locked_file, path_name
from rebuilder.consumer.platform_files import Target
from rebuilder.toml_files import FileError, logical_lines, read_text

_HASH = re.compile(r"--hash[\s=]+(?P<kind>[a-z0-9]+):(?P<digest>[0-9A-Fa-f]+)(?=\s|$)")
_INCLUDE = re.compile(r"(?:-r\s*|--requirement[\s=]+)(?P<file>.+)")
_OTHER_FILE = re.compile(r"-c\b|--constraint\b")
_SOURCE = ("-e", "--editable", ".", "/", "git+", "hg+", "svn+", "bzr+", "file:")
_MOST_INCLUDED = 50


def read_requirements(path: Path, text: str, target: Target) -> list[Dependency]:
    """The requirements of a file that this platform installs, those of files it includes, too.

    Raises:
        FileError: a line cannot be understood.
    """
    return list(_lines(path, text, target, {path.resolve()}))


def _lines(path: Path, text: str, target: Target, seen: set[Path]) -> Iterator[Dependency]:
    for number, line in logical_lines(text):
        place = f"{path.as_posix()}, line {number}"
        if include := _INCLUDE.fullmatch(line):
            file = path.parent / include["file"].strip("'\"")
            if file.resolve() in seen:
                continue
            if len(seen) > _MOST_INCLUDED:
                raise FileError(path, f"It includes more than {_MOST_INCLUDED} files.", number)
            seen.add(file.resolve())
            yield from _lines(file, read_text(file), target, seen)
        elif line.startswith(_SOURCE):
            shown = line.split()[-1][:80]
            yield Dependency("pypi", shown, None, place, problem="It is installed from its source, not from a file.")
        elif not line.startswith("-"):
            found = _requirement(path, number, line, place, target)
            if found is not None:
                yield found
        elif not re.match(r"--?[a-z]", line):
            raise FileError(path, f"This line cannot be used: {line[:80]!r}.", number)
        # Other options say how to install, and constraints install nothing.


def _requirement(path: Path, number: int, line: str, place: str, target: Target) -> Dependency | None:
    hashes = [(each["kind"], each["digest"].lower()) for each in _HASH.finditer(line)]
    if line.count("--hash") != len(hashes):
        raise FileError(path, f"A hash on this line cannot be understood: {line[:80]!r}.", number)
    text = re.split(r"\s--?[a-z]", line, maxsplit=1)[0]
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise FileError(path, f"{text[:80]!r} is no requirement.", number) from None
    if not target.fits(requirement.marker):
        return None
    exact = [each.version for each in requirement.specifier if each.operator in {"==", "==="}]
    version = next((each for each in exact if not each.endswith("*")), None)
    name: str = canonicalize_name(requirement.name)
    filename = None
    if requirement.url is not None:
        filename = path_name(requirement.url)
        hashes += [(kind, digest) for kind, _, digest in [urlsplit(requirement.url).fragment.partition("=")] if digest]
    files = []
    for kind, digest in dict.fromkeys(hashes):
        files.append(locked_file(filename, {kind: digest}))
        if files[-1].digest is None and kind in {"sha256", "sha512"}:
            raise FileError(path, f"A hash of {name} is not a {kind.upper().replace('SHA', 'SHA-')} digest.", number)
    problem = None if any(each.digest for each in files) else UNHASHED
    return Dependency("pypi", name, version, place, tuple(files), problem)
