"""Which images a Kubernetes object would run, and what a document says is inside one; pure.

Documents are CycloneDX, SPDX 2, or SLSA provenance, which says what an image was made from.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

from packageurl import PackageURL

from rebuilder.consumer.lock_files import Dependency, locked_file
from rebuilder.consumer.policy import IMAGES
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


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,254}", re.ASCII)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_MOST_IMAGES = 500
_TEMPLATE = ("spec", "template", "spec")
PODS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "Pod"): ("spec",),
    ("", "PodTemplate"): ("template", "spec"),
    ("", "ReplicationController"): _TEMPLATE,
    ("apps", "DaemonSet"): _TEMPLATE,
    ("apps", "Deployment"): _TEMPLATE,
    ("apps", "ReplicaSet"): _TEMPLATE,
    ("apps", "StatefulSet"): _TEMPLATE,
    ("batch", "CronJob"): ("spec", "jobTemplate", *_TEMPLATE),
    ("batch", "Job"): _TEMPLATE,
}
"""Where each kind of object, by its group, describes pods."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True, slots=True)
class Image:
    """An image that something would run."""

    place: str
    """Where it is named: ``containers[0]``."""
    reference: str
    """As it is written there."""

    @property
    def asked(self) -> Dependency:
        """The image as something to ask about: by its digest; a tag says nothing of which bytes will run."""
        named, at, digest = self.reference.partition("@")
        name, _, tag = named.rpartition(":") if ":" in named.rpartition("/")[2] else (named, "", "")
        if not _NAME.fullmatch(name) or (tag and not _TAG.fullmatch(tag)):
            return Dependency(
                IMAGES, self.reference[:300], None, self.place, problem="This is no reference to an image."
            )
        if not at:
            problem = "It is named by a tag, which may lead to other bytes at any time: add a digest (NAME@sha256:…)."
            return Dependency(IMAGES, name, None, self.place, problem=problem)
        algorithm, _, value = digest.partition(":")
        file = locked_file(None, {algorithm: value})
        if file.digest is None:
            problem = "Its digest is neither a SHA-256 nor a SHA-512."
            return Dependency(IMAGES, name, None, self.place, problem=problem)
        return Dependency(IMAGES, name, None, self.place, (file,))


def images_in(group: str, kind: str, document: Any) -> list[Image]:
    """The images of an object's containers of all kinds, and of its image volumes.

    Raises:
        ValueError: objects of this kind are not looked into, or it is not what its kind must be; a sentence.
    """
    path = PODS.get((group, kind))
    if path is None:
        known = ", ".join(sorted(each for _, each in PODS))
        raise ValueError(f"Nothing is known of images in a {kind} ({group or 'core'}); rules may name {known}.")
    spec = document
    for each in path:
        spec = spec.get(each) if isinstance(spec, dict) else None
    spec = spec if isinstance(spec, dict) else {}
    try:
        found = [
            Image(f"{name}[{number}]", each["image"])
            for name in _CONTAINERS
            for number, each in enumerate(spec.get(name) or ())
        ]
        found += [
            Image(f"volumes[{number}]", each["image"]["reference"])
            for number, each in enumerate(spec.get("volumes") or ())
            if each.get("image") is not None
        ]
    except (KeyError, TypeError, AttributeError):
        found = []
    if not any(each.place.startswith("containers") for each in found):
        raise ValueError(f"This {kind} has no containers that each name an image.")
    if not all(isinstance(each.reference, str) for each in found) or len(found) > _MOST_IMAGES:
        raise ValueError(f"This {kind} names images by something that is no text, or more than {_MOST_IMAGES}.")
    return found
