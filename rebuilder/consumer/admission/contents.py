"""What a document says is inside an image: CycloneDX, SPDX 2, or what SLSA provenance says it was made from; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from packageurl import PackageURL

from rebuilder.consumer.lock_files import Dependency, locked_file
from rebuilder.ecosystems.registry import conventions

_MOST = 20_000
_ALGORITHMS = {"SHA-256": "sha256", "SHA-512": "sha512", "SHA256": "sha256", "SHA512": "sha512"}
Row = tuple[str, list[Mapping[str, str]]]
"""A package URL, and the digests of each of its files by algorithm."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is inside."""

    packages: tuple[Dependency, ...]
    """Those that rebuilders are asked about, each with at most one file."""
    others: int
    """How many more there are."""


def read_contents(document: Any, ecosystems: Collection[str]) -> Contents:
    """What a document lists.

    Args:
        document: JSON, as it was parsed.
        ecosystems: Types of package URLs that rebuilders are asked about.

    Raises:
        ValueError: it is none of these, or not what its kind must be; a sentence.
    """
    for mark, kind, rows in _KINDS:
        if isinstance(document, dict) and mark in document:
            try:
                found = _contents(list(rows(document)), ecosystems)
            except (KeyError, TypeError, AttributeError):
                raise ValueError(f"It is not what {kind} must be.") from None
            # What something was made with is not all that is in it.
            return found if rows is not _provenance else replace(found, others=0)
    raise ValueError("It is neither CycloneDX nor SPDX 2 nor SLSA provenance v1, in JSON.")


def _contents(rows: list[Row | None], ecosystems: Collection[str]) -> Contents:
    if len(rows) > _MOST:
        raise ValueError(f"It lists more than {_MOST:,} packages.")
    known = [each for row in rows if row is not None for each in package_of(*row)]
    asked = [each for each in dict.fromkeys(known) if each.ecosystem in ecosystems]
    left = sum(row is None or _type(row[0]) not in ecosystems for row in rows)
    return Contents(tuple(asked), left)


def _type(purl: str) -> str:
    return purl.removeprefix("pkg:").lstrip("/").partition("/")[0].lower()


def package_of(purl: str, digests: list[Mapping[str, str]]) -> Iterator[Dependency]:
    """A package by its URL, once for each file that it may be.

    Raises:
        ValueError: it is no package URL.
    """
    try:
        found = PackageURL.from_string(purl)
    except ValueError:
        raise ValueError(f"{purl[:100]!r} is no package URL.") from None
    qualifiers = found.qualifiers if isinstance(found.qualifiers, dict) else {}
    rules = conventions(found.type)
    # The library writes some names in small letters; the name is taken as it was written.
    path = purl.partition("?")[0].partition("#")[0].removeprefix("pkg:").lstrip("/").partition("/")[2]
    written = unquote(path.rpartition("@")[0] if found.version is not None else path).removesuffix("/")
    name = rules.canonical_name(written.removeprefix(f"{rules.distribution}/"))
    named = dict(each.split(":", 1) for each in qualifiers.get("checksum", "").split(",") if ":" in each)
    files = [locked_file(qualifiers.get("file_name"), each) for each in [*digests, named] if each]
    asked = dict.fromkeys(each for each in files if each.digest is not None)
    for file in asked or [locked_file(None, {})]:
        yield Dependency(found.type, name, found.version, "", (file,))


def _cyclonedx(document: dict[str, Any]) -> Iterator[Row | None]:
    """See https://cyclonedx.org/docs/1.6/json/."""
    waiting = list(document.get("components") or ())
    while waiting:
        component = waiting.pop()
        waiting += component.get("components") or ()
        if "purl" not in component:
            yield None
            continue
        hashes = [component.get("hashes")]
        hashes += [each.get("hashes") for each in component.get("externalReferences") or () if _is_file(each)]
        yield component["purl"], [_digests(each, "alg", "content") for each in hashes if each]


def _is_file(reference: dict[str, Any]) -> bool:
    return reference["type"] in {"distribution", "distribution-intake"}


def _spdx(document: dict[str, Any]) -> Iterator[Row | None]:
    """See https://spdx.github.io/spdx-spec/v2.3/package-information/."""
    for package in document.get("packages") or ():
        named = [each for each in package.get("externalRefs") or () if each["referenceType"] == "purl"]
        if not named:
            yield None
        for each in named:
            yield (
                each["referenceLocator"],
                [_digests(package.get("checksums") or (), "algorithm", "checksumValue")],
            )


def _provenance(document: dict[str, Any]) -> Iterator[Row | None]:
    """See https://slsa.dev/spec/v1.0/provenance; what is no package of a registry says nothing of what is inside."""
    for each in document["buildDefinition"].get("resolvedDependencies") or ():
        if str(each.get("uri", "")).startswith("pkg:"):
            yield each["uri"], [each.get("digest") or {}]


_KINDS = (
    ("bomFormat", "CycloneDX", _cyclonedx),
    ("spdxVersion", "SPDX 2", _spdx),
    ("buildDefinition", "SLSA provenance v1", _provenance),
)


def _digests(rows: Any, algorithm: str, value: str) -> dict[str, str]:
    return {_ALGORITHMS[each[algorithm]]: each[value] for each in rows if each[algorithm] in _ALGORITHMS}
