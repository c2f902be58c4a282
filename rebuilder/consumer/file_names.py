"""What the name of a file says it is: whether a lock file, an index and a rebuilder speak of one file."""

from __future__ import annotations

import re
from functools import lru_cache

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from rebuilder.ecosystems.pypi.platform_tags import SOURCE_ENDINGS

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
