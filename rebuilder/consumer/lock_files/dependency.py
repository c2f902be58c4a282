"""One line of a lock file, whatever its format: a package, its version, and the files that may be installed for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from rebuilder.model.value import Sha256, Sha512, is_sha256
from rebuilder.toml_files import FileError


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file that a lock file allows."""

    filename: str | None
    """None where the lock file does not say, as ``requirements.txt``."""
    sha256: Sha256 | None
    """None where the lock file names it by another digest only."""
    sha512: Sha512 | None = None

    @property
    def digest(self) -> Sha256 | Sha512 | None:
        """What rebuilders are asked by; None where the lock file has neither."""
        return self.sha256 or self.sha512


def locked_file(filename: str | None, hashes: Mapping[str, str]) -> LockedFile:
    """A file by what a lock file says of its digests, in hexadecimal; what is no digest is left out."""
    sha256, sha512 = (str(hashes.get(each, "")).lower() for each in ("sha256", "sha512"))
    return LockedFile(
        filename,
        Sha256(sha256) if is_sha256(sha256) else None,
        Sha512(sha512) if re.fullmatch("[0-9a-f]{128}", sha512) else None,
    )


def path_name(place: str | None) -> str | None:
    """The name of a file from its path or its address."""
    if place is None:
        return None
    return PurePosixPath(unquote(urlsplit(place).path).replace("\\", "/")).name or None


@dataclass(frozen=True, slots=True)
class Dependency:
    """One package that is installed, with everything that the lock file says of its files."""

    ecosystem: str
    """``pypi`` or ``npm``; empty for a file of which nothing but its bytes is known."""
    name: str
    version: str | None
    place: str
    """Where it stands, for messages: a file and a line or a key."""
    files: tuple[LockedFile, ...] = ()
    """In the order of the lock file."""
    problem: str | None = None
    """Why no rebuilder can be asked about it, as a sentence."""
    from_index: bool = True
    """Whether it comes from an index or a registry, as far as the lock file says."""
    any_file: bool = False
    """Any of its files may be installed, whatever the platform: an option says so."""
    objection: str | None = None
    """Why it does not pass even where its bytes are confirmed, as a sentence."""

    @property
    def label(self) -> str:
        """Name and version in one word."""
        return f"{self.name}=={self.version}" if self.version is not None else self.name


UNHASHED = "The lock file has no SHA-256 and no SHA-512 of it, so any bytes could be installed."


def joined(found: Sequence[Dependency], file: object) -> list[Dependency]:
    """Dependencies without repetitions.

    Raises:
        FileError: two lines ask for different files of one package.
    """
    known: dict[tuple[str, str], Dependency] = {}
    result: list[Dependency] = []
    for each in found:
        key = (each.ecosystem, each.name)
        before = known.get(key)
        # npm installs several versions of one package beside each other; pip and uv never do.
        if before is not None and each.ecosystem == "npm" and before.version != each.version:
            known[key] = each
            before = next((one for one in result if (one.name, one.version) == (each.name, each.version)), None)
        if before is None or not each.name:
            known[key] = each
            result.append(each)
        elif replace(before, place="") != replace(each, place=""):
            raise FileError(
                Path(str(file)),
                f"{before.place} and {each.place} ask for different files of {each.name}: which one is installed is "
                "not known.",
            )
    return result
