"""What the name of a file says it is, and which files of a release installers take on a platform, as pip and uv do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from rebuilder.ecosystems.pypi.platform_tags import SOURCE_ENDINGS, rank

PYTHON_ENDINGS = (".whl", *SOURCE_ENDINGS)
_RUN = re.compile(r"[-_.]+")


def release_of(filename: str) -> tuple[str, str]:
    """Project and version of a wheel or a source archive, by the letters of its name: quick, and nothing is refused."""
    if filename.endswith(".whl"):
        name, _, rest = filename.partition("-")
        version = rest.partition("-")[0]
    else:
        ending = next((each for each in SOURCE_ENDINGS if filename.endswith(each)), "")
        name, _, version = filename.removesuffix(ending).rpartition("-")
    return _RUN.sub("-", name).lower(), canonicalize_version(version)


def same_version(one: str, other: str) -> bool:
    """Whether two versions are one, as ``1.0`` and ``1.0.0`` are."""
    return canonicalize_version(one) == canonicalize_version(other)


def is_of(filename: str, project: str, version: str | None) -> bool | None:
    """Whether a wheel or a source archive is of a release; None: its name does not say."""
    found = _parsed(filename)
    if found is None:
        return None
    return found[0] == canonicalize_name(project) and (version is None or same_version(found[1], version))


def same_file(one: str, other: str) -> bool | None:
    """Whether two names are spellings of one: project, version, build number and tags; None: one does not say."""
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None:
        return True if one == other else None
    return first == second


@lru_cache(maxsize=4096)
def _parsed(filename: str) -> tuple[str, str, object] | None:
    try:
        if filename.endswith(".whl"):
            name, version, build, tags = parse_wheel_filename(filename)
            return name, str(version), (build, tags)
        name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return name, str(version), ("source",)


if TYPE_CHECKING:
    from packaging.markers import Marker

    from rebuilder.consumer.lock_files.dependency import LockedFile


@dataclass(frozen=True)
class Target:
    """The platform and the Python something is installed for: this one, or every one."""

    every: bool = False
    """All files count, whatever the platform."""
    environment: dict[str, str] = field(default_factory=dict)
    """Values of markers in the place of those of this process."""

    @cached_property
    def npm(self) -> tuple[str, str]:
        """The platform and the processor by the words of Node.js."""
        import platform
        import sys

        machine = platform.machine().lower()
        cpu = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "i686": "ia32", "x86": "ia32"}.get(machine, machine)
        return sys.platform, cpu

    def fits(self, marker: Marker | None) -> bool:
        """Whether a marker holds here; one that asks for what nobody knows counts as if it does."""
        if marker is None or self.every:
            return True
        from packaging.markers import UndefinedComparison, UndefinedEnvironmentName

        try:
            return marker.evaluate({"extra": "", **self.environment})
        except (UndefinedComparison, UndefinedEnvironmentName):
            return True

    def installed(self, files: Sequence[LockedFile], *, any_file: bool = False) -> Installed:
        """What an installer takes of the files of one release.

        A wheel with the best tag, then with the highest build number; without any that fits, the source archive. Files
        of several releases all count: an installer looks at the version before it looks at tags. So does one whose name
        nobody can take apart.
        """
        if self.every or any_file:
            return Installed(tuple(files))
        unnamed = tuple(each for each in files if each.filename is None)
        ranked = [(found, each) for each in files if each.filename and (found := rank(each.filename))]
        best = min((found for found, _ in ranked), default=None)
        chosen = tuple(each for found, each in ranked if found == best)
        if (
            len(
                {
                    release_of(each.filename)
                    for each in files
                    if each.filename and each.filename.endswith(PYTHON_ENDINGS)
                }
            )
            > 1
        ):
            chosen = tuple(each for each in files if each.filename is not None)
        if unnamed and len(files) == 1:
            return Installed(unnamed)
        return Installed(chosen, unnamed)


@dataclass(frozen=True, slots=True)
class Installed:
    """What is installed of one release."""

    files: tuple[LockedFile, ...]
    """Those that count; several only where all platforms are asked for."""
    unnamed: tuple[LockedFile, ...] = ()
    """Files whose names the lock file does not say, beside others: one of them may be installed instead."""
