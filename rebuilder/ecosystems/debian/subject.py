"""What a user types to name a Debian package, and how such names are written in files and addresses."""

from __future__ import annotations

import re
from urllib.parse import quote

from packageurl import PackageURL

from rebuilder.ecosystems.debian.version import is_version, without_epoch
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Subject
from rebuilder.model.text import clipped

ECOSYSTEM = "deb"
NAMESPACE = "debian"
DOCUMENTS = {".buildinfo": "description of a build", ".changes": "list of an upload", ".dsc": "source package"}
"""Endings of files on disk that name packages, and what they are called."""

NO_UDEBS = "Packages of the installer are not looked at."
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+", re.ASCII)
_PATTERN = re.compile(r"[a-z0-9*?][a-z0-9+.*?-]*", re.ASCII)
_ARCHITECTURE = re.compile(r"[a-z0-9][a-z0-9-]*", re.ASCII)
_SUITE = re.compile(r"[a-z][a-z0-9-]{0,59}", re.ASCII)
_FILE = re.compile(r"(?P<name>[^_/]+)_(?P<version>[^_/]+)_(?P<architecture>[^_/]+)\.deb", re.ASCII)
_LONGEST_NAME, _LONGEST = 150, 600
_HINT = "Write for example deb:gzip==1.13-1, deb:gzip==1.13-1/amd64@trixie or pkg:deb/debian/gzip@1.13-1?arch=amd64."


def parse_subject(text: str) -> Subject:
    """Read ``NAME[==VERSION][/ARCH][@SUITE]``, a ``pkg:deb/debian/…`` URL, or the name of a ``.deb`` file.

    Raises:
        UsageError: it is none of these.
    """
    asked = text.strip()
    if not asked or len(asked) > _LONGEST or not asked.isprintable():
        raise UsageError(f"{clipped(asked)!r} does not name a Debian package.", hint=_HINT)
    if asked.lower().startswith("pkg:"):
        return _from_purl(asked)
    if asked.endswith(".udeb"):
        raise UsageError(f"{clipped(asked)} is a package of the installer (udeb). {NO_UDEBS}")
    if file := _FILE.fullmatch(asked):
        version = re.sub(r"%3[aA]", ":", file["version"])
        return _subject(file["name"], version, file["architecture"], None, asked)
    rest, _, suite = asked.partition("@")
    rest, _, architecture = rest.partition("/")
    name, equals, version = rest.partition("==")
    named = (version if equals else None, architecture if "/" in asked else None, suite if "@" in asked else None)
    return _subject(name.strip(), *named, asked)


def is_name(text: str) -> bool:
    """Whether a text is the name of a package (Debian Policy, 5.6.1)."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether a text is the name of a package, or a pattern for names."""
    return len(text) <= _LONGEST_NAME and _PATTERN.fullmatch(text) is not None and (is_name(text) or "*" in text)


def is_architecture(text: str) -> bool:
    """Whether a text can be the name of an architecture, ``all`` included."""
    return len(text) <= 40 and _ARCHITECTURE.fullmatch(text) is not None


def is_suite(text: str) -> bool:
    """Whether a text can be the name of a suite."""
    return _SUITE.fullmatch(text) is not None


def file_name(name: str, version: str, architecture: str) -> str:
    """What the archive calls the file: without the epoch."""
    return f"{name}_{without_epoch(version)}_{architecture}.deb"


def architecture_of(filename: str) -> str | None:
    """The architecture in the name of a file; None where it is no name of a package."""
    found = _FILE.fullmatch(filename)
    return found["architecture"] if found else None


def release_purl(name: str, version: str) -> str:
    """Package URL of a version of a binary package, for any architecture."""
    return f"pkg:{ECOSYSTEM}/{NAMESPACE}/{quote(name)}@{quote(version)}"


def _from_purl(asked: str) -> Subject:
    try:
        purl = PackageURL.from_string(asked)
    except ValueError:
        raise UsageError(f"{clipped(asked)!r} is not a package URL.", hint=_HINT) from None
    qualifiers = purl.qualifiers if isinstance(purl.qualifiers, dict) else {}
    if purl.type != ECOSYSTEM or purl.namespace != NAMESPACE or purl.subpath or set(qualifiers) - {"arch", "distro"}:
        raise UsageError(f"{clipped(asked)!r} is not a package URL of a Debian package.", hint=_HINT)
    suite = qualifiers.get("distro")
    # Some writers put the name of the distribution in front: debian-13, debian-trixie.
    suite = suite.removeprefix("debian-") if suite else None
    return _subject(purl.name, purl.version, qualifiers.get("arch"), suite, asked)


def _subject(name: str, version: str | None, architecture: str | None, suite: str | None, asked: str) -> Subject:
    if not is_name(name):
        raise UsageError(f"{clipped(name)!r} is not the name of a Debian package.", hint=_HINT)
    if version is not None and not is_version(version):
        raise UsageError(f"{clipped(version)!r} is not a version of a Debian package.", hint=_HINT)
    if architecture is not None and not is_architecture(architecture):
        raise UsageError(f"{clipped(architecture)!r} is not an architecture of Debian.", hint=_HINT)
    if suite is not None and not is_suite(suite):
        raise UsageError(f"{clipped(suite)!r} is not the name of a suite of Debian.", hint=_HINT)
    if architecture is not None and architecture == "source":
        raise UsageError("Source packages are what is built from; name one of the binary packages.", hint=_HINT)
    return Subject(ecosystem=ECOSYSTEM, name=name, version=version, architecture=architecture, suite=suite, asked=asked)
