"""What changelogs of the packages in a build environment say: how old these are, and which version came before."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from rebuilder.ecosystems.debian.planning import made_with
from rebuilder.ecosystems.debian.version import without_rebuild
from rebuilder.environments.protocol import BuildEnvironment

_TOOLS = re.compile(r"binutils-common|gcc-\d+-base")
_NAMES = ("changelog.Debian.gz", "changelog.gz")
_READ, _TEXT = 4 << 20, 16 << 20
"""That of Linux has entries of 50,000 bytes."""
_ENTRY = re.compile(
    rb"^(?P<source>\S+) \((?P<version>[^()\s]+)\) (?P<suite>[a-z]+)[^\n]*;(?s:.*?)^ -- [^\n]*>  (?P<date>[^\n]+)$",
    re.MULTILINE,
)
_BASE = "base-files"
"""Each point release has one of its own."""


class Entry(NamedTuple):
    """One version of a package."""

    source: str
    """The source package, as it calls itself."""
    version: str
    suite: str
    """What it was uploaded to, without a pocket such as ``-security``: ``unstable``, or a release that was out."""
    moment: datetime


def entries(environment: BuildEnvironment, package: str) -> Iterator[Entry]:
    """Of a package of a build environment, the newest first; none where it has no changelog that can be read."""
    file = _file(environment, package)
    for match in _ENTRY.finditer(_read(file) if file is not None else b""):
        try:
            moment = parsedate_to_datetime(match["date"].decode("ascii", "replace"))
        except (ValueError, OverflowError):
            return
        if moment.tzinfo is not None:
            source, version, suite = (match[name].decode("ascii", "replace") for name in ("source", "version", "suite"))
            yield Entry(source, version, suite, moment)


def newest_tool(environment: BuildEnvironment) -> tuple[tuple[str, str] | None, datetime | None]:
    """Which of compiler and linker of an environment is the newer one, with its version, and when that was made."""
    installed = made_with(environment)
    newest: tuple[tuple[str, str] | None, datetime | None] = (None, None)
    for name in sorted(filter(_TOOLS.fullmatch, installed)):
        first = next(entries(environment, name), None)
        if first is not None and (newest[1] is None or first.moment > newest[1]):
            newest = (name.removesuffix("-base").removesuffix("-common"), installed[name]), first.moment
    return newest


def before_updates(environment: BuildEnvironment, suite: str, moment: datetime) -> dict[str, dict[str, str]]:
    """By source, packages that a release has updated since a moment, each with the version that was the newest then.

    None where the release was not out at that moment: what it had until then it had from elsewhere.
    """
    first = next((each for each in entries(environment, _BASE) if each.suite != suite), None)
    if first is None or moment < first.moment:
        return {}
    found: dict[str, dict[str, str]] = {}
    for name, newest, history in _updated(environment, suite):
        if newest.moment > moment and (then := next((each for each in history if each.moment <= moment), None)):
            found.setdefault(then.source, {})[name] = then.version
    return found


def _updated(environment: BuildEnvironment, suite: str) -> Iterator[tuple[str, Entry, Iterator[Entry]]]:
    """Packages that a release has updated, each with its newest entry and those before."""
    for name, version in sorted(made_with(environment).items()):
        history = entries(environment, name)
        newest = next(history, None)
        if newest is not None and (newest.version, newest.suite) == (without_rebuild(version), suite):
            yield name, newest, history


def updates_with(environment: BuildEnvironment, suite: str, names: Collection[str]) -> dict[str, tuple[str, set[str]]]:
    """Packages that a release has updated and that have some names in their files: the version before, and which."""
    found = {}
    for package, _, history in _updated(environment, suite):
        before = next(history, None)
        had = {name for text in _texts(environment, package) for name in names if name.encode() in text}
        if before is not None and had:
            found[package] = before.version, had
    return found


def _texts(environment: BuildEnvironment, package: str) -> Iterator[bytes]:
    """The files of a package that are not large and that no link leads out to."""
    for tree in (*environment.layers[:1], environment.root):
        info = tree / "var/lib/dpkg/info"
        for listed in filter(partial(_is_in, tree), (info / f"{package}.list", *info.glob(f"{package}:*.list"))):
            files = (tree / line.lstrip("/") for line in _beginning(listed).decode("utf-8", "replace").splitlines())
            yield from map(_beginning, filter(partial(_is_in, tree), files))


def _is_in(tree: Path, file: Path) -> bool:
    """Whether it is a file, and no link leads out of the environment to it."""
    return file.is_file() and file.resolve().is_relative_to(tree.resolve())


def _beginning(file: Path) -> bytes:
    with file.open("rb") as source:
        return source.read(_READ)


def last_point_release(environment: BuildEnvironment, moment: datetime) -> datetime | None:
    """When the last one before a moment was made ready."""
    return next((each.moment for each in entries(environment, _BASE) if each.moment <= moment), None)


def _file(environment: BuildEnvironment, package: str) -> Path | None:
    """The changelog of a package, which no link leads out to; packages of one source often share a directory."""
    trees = (*environment.layers[:1], environment.root)
    for _ in range(2):
        for tree in trees:
            place = tree / "usr/share/doc" / package
            if place.is_symlink():
                package = place.readlink().name
                break
            for name in _NAMES:
                if _is_in(tree, place / name):
                    return place / name
    return None


def _read(file: Path) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(_beginning(file), _TEXT)
    except (OSError, zlib.error):
        return b""
