"""One line of a lock file, whatever its format: a package, its version, and the files that may be installed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rebuilder.model.value import Sha256
from rebuilder.toml_files import FileError


@dataclass(frozen=True, slots=True)
class LockedFile:
    """One file that a lock file allows."""

    filename: str | None
    """None where the lock file does not say, as ``requirements.txt``."""
    sha256: Sha256 | None
    """None where the lock file names it by another digest only."""
    sha512: str | None = None
    """In hexadecimal."""


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

    @property
    def label(self) -> str:
        """Name and version in one word."""
        return f"{self.name}=={self.version}" if self.version is not None else self.name


UNHASHED = "The lock file has no SHA-256 of it, so any bytes could be installed."


def joined(found: Sequence[Dependency], file: object) -> list[Dependency]:
    """Dependencies without repetitions.

    Raises:
        FileError: two lines ask for different files of one package.
    """
    from pathlib import Path

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
