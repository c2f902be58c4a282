"""One package as a lock file of npm, pnpm or yarn names it, whatever the format (pure)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Literal

from rebuilder.ecosystems.npm.subject import is_name, is_version
from rebuilder.ecosystems.obstacles import quoted

MOST_PACKAGES = 100_000
"""Of one lock file; the largest of public projects name some thousands."""

Algorithm = Literal["sha512", "sha384", "sha256", "sha1"]
_BYTES: dict[str, int] = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}
"""Of a digest, strongest first."""
_WORD = re.compile(r"(?P<algorithm>[a-z0-9]+)-(?P<digest>[A-Za-z0-9+/=]+)(?:\?[!-~]*)?", re.ASCII)
_BLANKS = " \t\r\n"
_GIT = re.compile(
    r"git(?:\+[a-z]+)?:|git@|ssh:|(?:github|gitlab|bitbucket|gist):|[A-Za-z0-9_-]+/[A-Za-z0-9._-]+(?:#|$)", re.ASCII
)
_PATH = re.compile(r"(?:file|link|portal|workspace):", re.ASCII)
_REGISTRY_PATH = re.compile(r"/-/(?:[^/?#]+/)?[^/?#]+\.t(?:ar\.)?gz(?:[?#]|$)", re.ASCII)


class LockFileError(ValueError):
    """It is no lock file of its kind, or contradicts itself; the text is a sentence."""


class Origin(Enum):
    """Where a lock file takes a package from."""

    REGISTRY = auto()
    """From a registry, by name and version."""
    DIRECTORY = auto()
    """From a directory or a file beside it."""
    GIT = auto()
    ADDRESS = auto()
    """From an address that is none of a registry."""


@dataclass(frozen=True, slots=True)
class Digest:
    """One digest of a tarball."""

    algorithm: str
    """One of :data:`Algorithm`."""
    value: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One package at one place."""

    place: str
    """Its key in the lock file."""
    name: str
    """In the registry; what it is installed as may differ."""
    version: str | None
    origin: Origin
    address: str | None = None
    """As it is written; for :attr:`Origin.DIRECTORY` a path from the directory of the lock file."""
    digests: tuple[Digest, ...] = ()
    os: tuple[str, ...] = ()
    cpu: tuple[str, ...] = ()
    libc: tuple[str, ...] = ()
    optional: bool = False
    bundled: bool = False
    """It is in the tarball of the package above it."""

    def runs_on(self, system: str, cpu: str, libc: str | None = None) -> bool:
        """Whether a machine installs it, by npm's names (``linux``, ``x64``, ``glibc``)."""
        fits = _allows(self.os, system) and _allows(self.cpu, cpu)
        return fits and (libc is None or _allows(self.libc, libc))


def _allows(listed: tuple[str, ...], here: str) -> bool:
    """Whether a list of names, or of names with an exclamation mark before them, has the one of this machine."""
    allowed = [each for each in listed if not each.startswith("!")]
    return f"!{here}" not in listed and (not allowed or here in allowed or "any" in allowed)


def digests(integrity: Any) -> tuple[Digest, ...]:
    """The digests of a "subresource integrity" text (W3C): installers take a file that has one of the strongest kind.

    Nothing where it has a word that is none: what one reader takes for blanks between words, another does not.
    """
    found = []
    for word in re.split(f"[{_BLANKS}]+", integrity.strip(_BLANKS)) if isinstance(integrity, str) else ():
        if (known := _WORD.fullmatch(word)) is None:
            return ()
        size = _BYTES.get(known["algorithm"])
        try:
            value = base64.b64decode(known["digest"], validate=True)
        except binascii.Error:
            return ()
        if size == len(value):
            found.append(Digest(known["algorithm"], value.hex()))
    return strongest_first(found)


def strongest_first(found: Iterable[Digest]) -> tuple[Digest, ...]:
    """Digests in the order in which installers look at them, each once."""
    return tuple(sorted(set(found), key=lambda each: (list(_BYTES).index(each.algorithm), each.value)))


def origin_of(reference: str) -> Origin:
    """Where a reference leads to: a version, an address, a path, a repository."""
    if is_version(reference):
        return Origin.REGISTRY
    if _PATH.match(reference) or reference.startswith((".", "/", "~")):
        return Origin.DIRECTORY
    if reference.startswith(("http://", "https://")):
        if reference.partition("#")[0].endswith(".git"):
            return Origin.GIT
        return Origin.REGISTRY if _REGISTRY_PATH.search(reference) else Origin.ADDRESS
    return Origin.GIT if _GIT.match(reference) else Origin.ADDRESS


def checked_name(name: Any, place: str) -> str:
    """The name of a package.

    Raises:
        LockFileError: it is none that a registry has.
    """
    if not isinstance(name, str) or not is_name(name):
        raise LockFileError(f"{quoted(str(name))}, which {quoted(place)} names, is no name of a package.")
    return name


def checked_path(path: str, place: str) -> str:
    """A path relative to the lock file, which may begin with ``..``.

    Raises:
        LockFileError: it is absolute, or goes up again further on.
    """
    plain = path.removesuffix("/")
    parts = plain.split("/")
    while parts and parts[0] in {".", ".."}:
        parts.pop(0)
    if plain.startswith(("/", "~")) or "\\" in path or "\0" in path or {"", ".", ".."} & set(parts):
        raise LockFileError(f"{quoted(path)} of {quoted(place)} is no path beside the lock file.")
    return plain


def members(value: Any, place: str) -> dict[str, Any]:
    """An object.

    Raises:
        LockFileError: it is none.
    """
    if not isinstance(value, dict):
        raise LockFileError(f"{quoted(place)} is no object.")
    return value


def words(value: Any, place: str) -> tuple[str, ...]:
    """One text or a list of them.

    Raises:
        LockFileError: it is neither.
    """
    listed = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise LockFileError(f"What {quoted(place)} says of the machines that it is for is no list of names.")
    return tuple(listed)


def text(value: Any, place: str) -> str | None:
    """A text, or nothing.

    Raises:
        LockFileError: it is neither.
    """
    if value is not None and not isinstance(value, str):
        raise LockFileError(f"{quoted(place)} has something else where a text belongs.")
    return value or None


def limited(found: Iterable[LockedPackage]) -> tuple[LockedPackage, ...]:
    """All of them.

    Raises:
        LockFileError: there are too many, or two at one place.
    """
    result: list[LockedPackage] = []
    places: set[str] = set()
    for each in found:
        if each.place in places:
            raise LockFileError(f"It names {quoted(each.place)} twice.")
        places.add(each.place)
        result.append(each)
        if len(result) > MOST_PACKAGES:
            raise LockFileError(f"It names more than {MOST_PACKAGES:,} packages.")
    return tuple(result)
