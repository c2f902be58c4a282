"""``requirements.txt`` as pip reads it with ``--require-hashes``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from rebuilder.consumer.lock_files.dependency import UNHASHED, Dependency, locked_file, path_name
from rebuilder.consumer.platform_files import Target
from rebuilder.toml_files import FileError, logical_lines, read_text

_HASH = re.compile(r"(?P<kind>[a-z0-9]+):(?P<digest>[0-9A-Fa-f]+)")
_INCLUDES = {"-r", "--requirement"}
_SOURCES = {"-e", "--editable"}
_FLAGS = {
    *("--no-index", "--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre", "--all-releases"),
    "--only-final",
}
_VALUED = {
    *("-i", "--index-url", "--pypi-url", "--extra-index-url", "-f", "--find-links", "-c", "--constraint"),
    *("--trusted-host", "--use-feature", "--only-binary", "--no-binary", "--all-releases", "--only-final"),
}
"""Options that say how to install; constraints install nothing."""
_OF_A_LINE = {"--hash", "-C", "--config-settings", "--config-setting", "--global-option"}
_SOURCE = (".", "/", "git+", "hg+", "svn+", "bzr+", "file:")
_MOST_INCLUDED = 50
_ENCODING = re.compile(r"#.*?coding[:=][ \t]*(?P<name>[-\w.]+)", re.ASCII)
_QUOTES, _BLANKS = re.compile(r"['\"\\]"), re.compile(r"[ \t\r\n]+")
_ODD_ENDS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""They end a line to pip, and not to uv."""
Option = tuple[str, str]
"""Its full name and its value."""


def read_requirements(path: Path, text: str, target: Target) -> list[Dependency]:
    """The requirements of a file that this platform installs, those of files it includes, too.

    Only what is understood in full is read: an option that pip knows by another spelling (a shortened name, quotes
    within a word) could name another file, or allow other bytes.

    Raises:
        FileError: a line cannot be understood.
    """
    found, options = list[Dependency](), set[str]()
    for each in _lines(path, text, target, {path.resolve()}):
        if isinstance(each, Dependency):
            found.append(each)
        else:
            options.add(each)
    if "--no-binary" in options:  # it is about the whole installation, wherever it stands
        found = [replace(each, any_file=True) for each in found]
    return found


def _lines(path: Path, text: str, target: Target, seen: set[Path]) -> Iterator[Dependency | str]:
    """Requirements, and the names of options that are about all of them."""
    _refuse_two_readings(path, text)
    for number, line in logical_lines(text):
        place = f"{path.as_posix()}, line {number}"
        requirement, options = _parted(path, number, line)
        if requirement:
            if requirement.startswith(_SOURCE):
                yield _from_source(requirement, place)
            elif (found := _requirement(path, number, requirement, options, target)) is not None:
                yield replace(found, place=place)
            continue
        for name, value in options:
            if name in _SOURCES:
                yield _from_source(value, place)
            elif name not in _INCLUDES:
                yield name
            elif (file := path.parent / value).resolve() not in seen:
                if len(seen) > _MOST_INCLUDED:
                    raise FileError(path, f"It includes more than {_MOST_INCLUDED} files.", number)
                seen.add(file.resolve())
                yield from _lines(file, read_text(file), target, seen)


def _refuse_two_readings(path: Path, text: str) -> None:
    """Make sure that all programs read the same text and the same lines."""
    for row in text.split("\n")[:2]:
        coding = _ENCODING.match(row)
        if coding and coding["name"].lower().replace("_", "-") not in {"utf-8", "utf8", "ascii", "us-ascii"}:
            raise FileError(path, f"It says that it is written in {coding['name']}; only UTF-8 is read.")
    if _ODD_ENDS.search(text):
        raise FileError(path, "It has characters that end a line to some programs, and do not to others.")


def _parted(path: Path, number: int, line: str) -> tuple[str, list[Option]]:
    """The requirement of a line and its options, as pip parts them: at the first word that begins with a hyphen."""
    words = line.split(" ")
    first = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    requirement = " ".join(words[:first]).strip()
    rest = " ".join(words[first:])
    try:
        waiting = shlex.split(rest) if _QUOTES.search(rest) else [each for each in _BLANKS.split(rest) if each]
    except ValueError as error:
        raise FileError(path, f"The options on this line cannot be understood: {str(error).lower()}.", number) from None
    options: list[Option] = []
    while waiting:
        word = waiting.pop(0)
        name, is_valued, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        known = _OF_A_LINE if requirement else _FLAGS | _VALUED | _INCLUDES | _SOURCES
        if name not in known:
            raise FileError(path, f"The option {word[:80]!r} is not one that is read here.", number)
        if not is_valued and name not in _FLAGS - _VALUED:
            if not waiting:
                raise FileError(path, f"The option {name} has no value.", number)
            value = waiting.pop(0)
        options.append((name, value))
    return requirement, options


def _from_source(shown: str, place: str) -> Dependency:
    problem = "It is installed from its source, not from a file."
    return Dependency("pypi", shown[:80], None, place, problem=problem)


def _requirement(path: Path, number: int, text: str, options: list[Option], target: Target) -> Dependency | None:
    hashes = []
    for value in (each for name, each in options if name == "--hash"):
        found = _HASH.fullmatch(value)
        if found is None:
            raise FileError(path, f"A hash on this line cannot be understood: {value[:80]!r}.", number)
        hashes.append((found["kind"], found["digest"].lower()))
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
    return Dependency("pypi", name, version, "", tuple(files), problem)
