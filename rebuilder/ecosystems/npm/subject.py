"""What a user types to name an npm release, and how such names are written in addresses."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from packageurl import PackageURL

from rebuilder.ecosystems.obstacles import quoted
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Subject

ECOSYSTEM = "npm"

_NAME = re.compile(r"(?:@[A-Za-z0-9~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9~-][A-Za-z0-9._~-]*", re.ASCII)
"""Names of today are in small letters; old ones are not, and the registry tells them apart."""
_NUMBER = r"(?:0|[1-9][0-9]*)"
_VERSION = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
"""Semantic Versioning 2.0.0, section 2, 9 and 10."""
_LONGEST_NAME, _LONGEST_VERSION, _LONGEST = 214, 256, 600
_HINT = "Write for example npm:sigstore==2.1.0, npm:@scope/name@1.2.3 or pkg:npm/%40scope/name@1.2.3."


def parse_subject(text: str) -> Subject:
    """Read ``sigstore==2.1.0``, ``@scope/name@1.2.3``, ``sigstore`` (the tag ``latest``) or a ``pkg:npm/…`` URL.

    Raises:
        UsageError: it is none of these, or names no exact version.
    """
    asked = text.strip()
    if not asked or len(asked) > _LONGEST or not asked.isprintable():
        raise UsageError(f"{quoted(text)} does not name an npm release.", hint=_HINT)
    if asked.lower().startswith("pkg:"):
        return _from_purl(asked)
    name, separator, version = asked.partition("==")
    if not separator:
        scope = asked[:1] if asked.startswith("@") else ""
        name, separator, version = asked[len(scope) :].partition("@")
        name = scope + name
    return _release(name.strip(), version.strip() if separator else None, asked=asked)


def is_name(text: str) -> bool:
    """Whether a text is the name of a package, with its scope if it has one."""
    return len(text) <= _LONGEST_NAME and _NAME.fullmatch(text) is not None


def is_version(text: str) -> bool:
    """Whether a text is one exact version."""
    return len(text) <= _LONGEST_VERSION and _VERSION.fullmatch(text) is not None


def precedence(version: str) -> tuple[Any, ...]:
    """What versions are ordered by (Semantic Versioning 2.0.0, section 11), with the text itself to break ties."""
    core, _, before = version.partition("+")[0].partition("-")
    numbers = tuple(int(each) for each in core.split("."))
    identifiers = tuple((0, int(each), "") if each.isdigit() else (1, 0, each) for each in before.split("."))
    return numbers, not before, identifiers, version


def scope_of(name: str) -> str | None:
    """The scope of a name, with its ``@``; None for a name without."""
    return name.partition("/")[0] if name.startswith("@") else None


def escaped(name: str) -> str:
    """A name in an address below the registry: the ``/`` behind a scope is escaped, the ``@`` is not."""
    return quote(name, safe="@~")


def tarball_name(name: str, version: str) -> str:
    """File name of a release in a registry: the name without scope, and the version."""
    return f"{name.rpartition('/')[2]}-{version}.tgz"


def release_purl(name: str, version: str) -> str:
    """Package URL of a release, the scope as its namespace.

    Capital letters stay: the registry tells ``JSONStream`` from ``jsonstream``, and two packages must not share a name.
    """
    return f"pkg:{ECOSYSTEM}/{quote(name)}@{quote(version)}"


def _from_purl(asked: str) -> Subject:
    try:
        purl = PackageURL.from_string(asked)
    except ValueError:
        raise UsageError(f"{quoted(asked)} is not a package URL.", hint=_HINT) from None
    if purl.type != ECOSYSTEM or purl.qualifiers or purl.subpath:
        raise UsageError(f"{quoted(asked)} is not a package URL of an npm release.", hint=_HINT)
    name = f"{purl.namespace}/{purl.name}" if purl.namespace else purl.name
    # The library gives small letters; the name is taken as it was written.
    written = unquote(asked.partition("/")[2])
    start = written.lower().find(name.lower())
    return _release(written[start : start + len(name)] if start >= 0 else name, purl.version, asked=asked)


def _release(name: str, version: str | None, *, asked: str) -> Subject:
    if not is_name(name):
        raise UsageError(f"{quoted(name)} is not an npm package name.", hint=_HINT)
    if version is not None and not is_version(version):
        raise UsageError(f"{quoted(version)} is not one exact version of an npm package.", hint=_HINT)
    return Subject(ecosystem=ECOSYSTEM, name=name, version=version, asked=asked)
