"""Known vulnerabilities, out of a local export of OSV (https://ossf.github.io/osv-schema/); nobody is asked.

An export is a directory or a zip archive of JSON documents, one for each vulnerability. Documents are public, so what
is malformed is passed over and counted. Which versions are affected is said by ``versions``, and by ranges of type
``SEMVER`` or ``ECOSYSTEM`` in the order of the ecosystem's own versions; ranges of commits say nothing about releases.
"""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from packageurl import PackageURL

from rebuilder.errors import UsageError
from rebuilder.foreign_json import read_json
from rebuilder.model.text import clipped
from rebuilder.model.value import Value

if TYPE_CHECKING:
    from rebuilder.ecosystems.conventions import Conventions

NAMES: Final = {"PyPI": "pypi", "npm": "npm"}
"""Ecosystems of OSV that are ours too. Debian's are by source package, which SBOMs of environments do not name."""
SEVERITIES: Final = ("low", "moderate", "high", "critical", "malicious")
_MOST_BYTES = 16 << 20
_RATED: Final = {"medium": "moderate", **{each: each for each in SEVERITIES}}


class Vulnerability(Value):
    """One that affects a release."""

    id: str
    aliases: tuple[str, ...] = ()
    summary: str = ""
    severity: str | None = None
    """One of :data:`SEVERITIES`, as whoever keeps the database rates it; None: it is not rated."""


@dataclass(frozen=True)
class _Affected:
    vulnerability: Vulnerability
    package: dict[str, Any]


@dataclass(frozen=True)
class Export:
    """An export that was read.

    It is read once; a newer one is another value.
    """

    entries: Mapping[tuple[str, str], tuple[_Affected, ...]]
    """By ecosystem and canonical name."""
    documents: int = 0
    passed_over: int = 0
    """Documents that are none, or are too large."""
    _found: dict[tuple[str, str, str], tuple[Vulnerability, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, place: Path) -> Self:
        """Read all of it.

        Raises:
            UsageError: it is neither a directory nor a zip archive, has no documents, or cannot be read.
        """
        entries: dict[tuple[str, str], list[_Affected]] = defaultdict(list)
        read = bad = 0
        try:
            for data in _documents(place):
                try:
                    for key, affected in _entries(read_json(data)):
                        entries[key].append(affected)
                    read += 1
                except (ValueError, KeyError, TypeError, AttributeError):
                    bad += 1
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            why = (error.strerror if isinstance(error, OSError) else None) or "it is no directory or zip archive"
            raise UsageError(f"The export of OSV, {place}, cannot be read: {why}.") from None
        if not read:
            raise UsageError(f"The export of OSV, {place}, has no documents of vulnerabilities.")
        return cls({key: tuple(each) for key, each in entries.items()}, read, bad)

    def about(self, purl: str) -> tuple[Vulnerability, ...]:
        """What is known about a release by its package URL, by identifier; nothing of what is no release."""
        try:
            read = PackageURL.from_string(purl)
        except ValueError:
            return ()
        name = f"{read.namespace}/{read.name}" if read.namespace else read.name
        return self.affecting(read.type, name, read.version or "")

    def affecting(self, ecosystem: str, name: str, version: str) -> tuple[Vulnerability, ...]:
        """What is known about a version of a project, by identifier."""
        if ecosystem not in NAMES.values() or not version:
            return ()
        key = (ecosystem, _rules(ecosystem).canonical_name(name), version)
        if key not in self._found:
            some = self.entries.get(key[:2], ())
            found = {each.vulnerability.id: each.vulnerability for each in some if _affects(each, ecosystem, version)}
            self._found[key] = tuple(found[each] for each in sorted(found))
        return self._found[key]


def newest(place: Path) -> Export:
    """The export at a place; read once, and again when it was replaced.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        status = place.stat()
    except OSError as error:
        raise UsageError(f"The export of OSV, {place}, cannot be read: {error.strerror}.") from None
    return _at(place, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _at(place: Path, _changed: int, _size: int) -> Export:
    return Export.read(place)


def _documents(place: Path) -> Iterator[bytes]:
    if place.is_dir():
        for file in sorted(place.rglob("*.json")):
            if file.is_file():
                with file.open("rb") as opened:
                    yield opened.read(_MOST_BYTES + 1)[: _MOST_BYTES + 1]
        return
    with zipfile.ZipFile(place) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".json"):
                with archive.open(member) as opened:
                    yield opened.read(_MOST_BYTES + 1)


def _entries(document: dict[str, Any]) -> Iterator[tuple[tuple[str, str], _Affected]]:
    """What one document says about packages of ours; nothing of what was withdrawn.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is malformed.
    """
    identifier = document["id"]
    if not isinstance(identifier, str) or not 0 < len(identifier) <= 100:
        raise ValueError("it has no identifier")
    if document.get("withdrawn"):
        return
    for each in document.get("affected", ()):
        package = each["package"]
        ecosystem = NAMES.get(package["ecosystem"])
        if ecosystem is not None:
            vulnerability = Vulnerability(
                id=clipped(identifier, 100),
                aliases=tuple(clipped(str(alias), 100) for alias in document.get("aliases", ())[:20]),
                summary=clipped(str(document.get("summary", "")), 300),
                severity=_severity(identifier, document, each),
            )
            name = _rules(ecosystem).canonical_name(package["name"])
            said = {part: each[part] for part in ("versions", "ranges") if isinstance(each.get(part), list)}
            yield (ecosystem, name), _Affected(vulnerability, said)


def _rules(ecosystem: str) -> Conventions:
    from rebuilder.ecosystems.registry import conventions  # with much that is only there where builds run

    return conventions(ecosystem)


def _severity(identifier: str, document: dict[str, Any], affected: dict[str, Any]) -> str | None:
    if identifier.startswith("MAL-"):
        return "malicious"
    for each in (affected, document):
        for said in ("database_specific", "ecosystem_specific"):
            rated = each.get(said, {})
            if isinstance(rated, dict) and str(rated.get("severity", "")).lower() in _RATED:
                return _RATED[str(rated["severity"]).lower()]
    return None


def _affects(affected: _Affected, ecosystem: str, version: str) -> bool:
    rules = _rules(ecosystem)
    one = rules.canonical_version(version)
    if any(rules.canonical_version(str(each)) == one for each in affected.package.get("versions", ())):
        return True
    ranges = [each for each in affected.package.get("ranges", ()) if isinstance(each, dict)]
    return any(_in_range(each, ecosystem, version) for each in ranges if each.get("type") in {"SEMVER", "ECOSYSTEM"})


def _in_range(given: dict[str, Any], ecosystem: str, version: str) -> bool:
    """Whether a version is after an event that introduces, and not at or after one that fixes, or after the last.

    A version that cannot be ordered is in every range: what is not known is not safe.
    """
    rules = _rules(ecosystem)
    if not rules.is_version(version):
        return True
    listed = (each.items() for each in given.get("events", ()) if isinstance(each, dict))
    events = [(kind, str(at)) for pairs in listed for kind, at in pairs]
    inside = ("introduced", "0") in events
    known = [pair for pair in events if pair[1] != "0" and rules.is_version(pair[1])]
    for kind, at in sorted(known, key=lambda pair: rules.version_key(pair[1])):
        older = rules.older(version, at)
        same = rules.canonical_version(version) == rules.canonical_version(at)
        if kind == "introduced" and not older:
            inside = True
        elif (kind == "fixed" and not older) or (kind == "last_affected" and not older and not same):
            inside = False
    return inside
