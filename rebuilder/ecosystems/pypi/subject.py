"""What a user types to name a PyPI release or one of its files, and what the steps that lead to them are called."""

from __future__ import annotations

import re
from enum import StrEnum

from packageurl import PackageURL
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from rebuilder.ecosystems.obstacles import quoted
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Subject

ECOSYSTEM = "pypi"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
"""PEP 508 names; the same letters PEP 503 normalises."""
_FILENAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}")
_LONGEST = 300
_HINT = "Write for example pypi:idna==3.10, pypi:idna, pkg:pypi/idna@3.10 or the path of a wheel."


def parse_subject(text: str) -> Subject:
    """Read ``idna==3.10``, ``idna@3.10``, ``idna`` (newest), a ``pkg:pypi/…`` package URL, or a wheel's file name.

    Names come out normalised (PEP 503), versions as they were written.

    Raises:
        UsageError: it is none of these.
    """
    asked = text.strip()
    if not asked or len(asked) > _LONGEST or not asked.isprintable():
        raise UsageError(f"{quoted(text)} does not name a PyPI release.", hint=_HINT)
    if asked.lower().startswith("pkg:"):
        return _from_purl(asked)
    if asked.endswith(".whl"):
        return _from_wheel(asked)
    name, separator, version = asked.partition("==") if "==" in asked else asked.partition("@")
    return _release(name.strip(), version.strip() if separator else None, asked=asked)


def file_version(filename: str) -> tuple[str, Version] | None:
    """Normalised name and version in the name of a wheel or source archive; None when it is neither.

    Follows the binary and source distribution format specifications of the Python Packaging User Guide.
    """
    if not _FILENAME.fullmatch(filename):
        return None
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
    return name, version


def version_of(text: str) -> Version | None:
    """The version that a text is (PEP 440); None where it is none."""
    try:
        return Version(text)
    except InvalidVersion:
        return None


def release_purl(name: str, version: str) -> str:
    """Package URL of a release, with the name normalised as the ``pypi`` type asks for."""
    return PackageURL(type=ECOSYSTEM, name=canonicalize_name(name), version=version).to_string()


def _release(name: str, version: str | None, *, asked: str, filename: str | None = None) -> Subject:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{quoted(name)} is not a PyPI project name.", hint=_HINT)
    if version is not None and version_of(version) is None:
        raise UsageError(f"{quoted(version)} is not a version of a Python package.", hint=_HINT)
    return Subject(ecosystem=ECOSYSTEM, name=canonicalize_name(name), version=version, filename=filename, asked=asked)


def _from_purl(asked: str) -> Subject:
    try:
        purl = PackageURL.from_string(asked)
    except ValueError:
        raise UsageError(f"{quoted(asked)} is not a package URL.", hint=_HINT) from None
    if purl.type != ECOSYSTEM or purl.namespace or purl.subpath:
        raise UsageError(f"{quoted(asked)} is not a package URL of a PyPI release.", hint=_HINT)
    qualifiers = purl.qualifiers if isinstance(purl.qualifiers, dict) else {}
    filename = qualifiers.get("file_name")
    if filename is not None and file_version(filename) is None:
        raise UsageError(f"{quoted(filename)} is not the name of a wheel or source archive.", hint=_HINT)
    return _release(purl.name, purl.version, asked=asked, filename=filename)


def _from_wheel(asked: str) -> Subject:
    parsed = file_version(asked)
    if parsed is None:
        raise UsageError(
            f"{quoted(asked)} is not a wheel's file name, which has the form name-version-python-abi-platform.whl.",
            hint=_HINT,
        )
    name, version = parsed
    return Subject(ecosystem=ECOSYSTEM, name=name, version=str(version), filename=asked, asked=asked)


class PyPIStep(StrEnum):
    """One step from something upstream has to something upstream published."""

    COMMIT_TO_SDIST = "commit-to-sdist"
    SDIST_TO_WHEEL = "sdist-to-wheel"
    COMMIT_TO_WHEEL = "commit-to-wheel"
