"""A package's document in an npm registry (packument): its releases, each with address, digest and signatures.

The layout is described in https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md. All of it is
hostile until checked; what is not needed is not looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rebuilder.ecosystems.npm.integrity import Digest, digests, strongest_first
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, is_version, precedence, release_purl, tarball_name
from rebuilder.errors import UnavailableError
from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.artifact import Document, ListedFile, Listing
from rebuilder.model.provenance import RegistrySignature
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256

MEDIA_TYPE = "application/json"
MAX_BYTES = 64 << 20
"""The largest documents of today have some tens of megabytes."""
_LIMITS = JsonLimits(values=3_000_000)
_Text = Annotated[str, Field(max_length=4096)]


class _Signature(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    keyid: Annotated[str, Field(max_length=512)]
    sig: _Text


class _Attestations(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    url: _Text


class _Dist(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    tarball: _Text
    integrity: _Text | None = None
    signatures: Annotated[tuple[_Signature, ...], Field(max_length=16, strict=False)] = ()
    attestations: _Attestations | None = None


class _Version(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str
    version: str
    dist: _Dist
    deprecated: Any = None


@dataclass(frozen=True)
class NpmRelease:
    """One version as its registry lists it."""

    name: str
    version: str
    tarball: str
    """Address, http or https."""
    integrity: Digest
    """What binds its bytes."""
    published: datetime | None
    signatures: tuple[RegistrySignature, ...]
    attestations: str | None
    """Address of the attestation document."""
    deprecated: str | None
    """None when it is not deprecated; otherwise the message, which may be empty."""


class Packument:
    """One package's document, parsed."""

    def __init__(self, document: Document, name: str) -> None:
        """Look at the parts every release needs.

        Raises:
            UnavailableError: it is no such document, or one of another package.
        """
        self.name = name
        self.document_sha256: Sha256 = document.sha256
        self._base = document.url
        try:
            content = read_json(document.content, _LIMITS)
        except UnreadableJson as reason:
            raise self._malformed(f"it {reason}") from None
        if not isinstance(content, dict) or not isinstance(content.get("versions", {}), dict):
            raise self._malformed("it has no list of versions")
        if content.get("name") != name:
            raise self._malformed("it is about another package")
        self.content: dict[str, Any] = content
        self._versions: dict[str, Any] = content.get("versions", {})
        self._times: Any = content.get("time")
        self._tags: Any = content.get("dist-tags")

    @classmethod
    def stored(cls, content: bytes, sha256: Sha256, name: str) -> Packument:
        """One that was fetched before.

        Raises:
            UnavailableError: see the class.
        """
        return cls(Document(url="", sha256=sha256, content=content, media_type=MEDIA_TYPE), name)

    @property
    def latest(self) -> str | None:
        """The version an installer takes when it is told none."""
        found = self._tags.get("latest") if isinstance(self._tags, dict) else None
        return found if isinstance(found, str) and found in self._versions and is_version(found) else None

    @property
    def unpublished(self) -> bool:
        """Whether the registry says that all versions were taken back."""
        return not self._versions and isinstance(self._times, dict) and "unpublished" in self._times

    @property
    def versions(self) -> list[str]:
        """All versions it lists, in its order; what is no version is left out."""
        return [each for each in self._versions if is_version(each)]

    def published(self, version: str) -> datetime | None:
        """When the registry says that a version was published; a mirror may say when it first saw it."""
        return moment(self._times.get(version)) if isinstance(self._times, dict) else None

    def entry(self, version: str) -> dict[str, Any]:
        """All that the registry says of a version, unchecked; empty where it says nothing."""
        found = self._versions.get(version)
        return found if isinstance(found, dict) else {}

    def near(self, wanted: str) -> list[str]:
        """Up to three versions that begin like ``wanted``, newest published first, for a message."""
        known = self.versions[::-1]
        major, _, minor = wanted.partition(".")
        close = [each for each in known if each.startswith(f"{major}.{minor.partition('.')[0]}.")]
        return list(dict.fromkeys(close + [each for each in known if each.startswith(f"{major}.")]))[:3]

    def release(self, version: str) -> NpmRelease | None:
        """One version; None when it is not there.

        Raises:
            UnavailableError: its entry is malformed, has no http address or no digest that binds the bytes.
        """
        if version not in self._versions:
            return None
        try:
            entry = _Version.model_validate(self._versions[version])
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the entry"
            raise self._malformed(f"{where[:80]} of version {version}: {first['msg'][:200]}") from None
        if (entry.name, entry.version) != (self.name, version):
            raise self._malformed(f"the entry of version {version} is about another release")
        attestations = entry.dist.attestations
        return NpmRelease(
            name=self.name,
            version=version,
            tarball=self._address(entry.dist.tarball, "the tarball", version),
            integrity=self._integrity(entry.dist.integrity, version),
            published=self.published(version),
            signatures=tuple(
                RegistrySignature(key_id=each.keyid, signature=each.sig) for each in entry.dist.signatures
            ),
            attestations=self._address(attestations.url, "the attestations", version) if attestations else None,
            deprecated=_deprecated(entry.deprecated),
        )

    def _address(self, reference: str, what: str, version: str) -> str:
        """An address without user name and password: it is shown on pages."""
        try:
            url = urljoin(self._base, reference)
            parts = urlsplit(url)
            usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and url.isprintable()
        except ValueError:
            usable = False
        if not usable:
            raise self._malformed(f"the address of {what} of version {version} is not an http or https address")
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()

    def _integrity(self, text: str | None, version: str) -> Digest:
        readable = strongest_first(each for word in (text or "").split() for each in digests(word))
        found = next((each for each in readable if each.binds), None)
        if found is not None:
            return found
        raise UnavailableError(
            f"The registry gives no SHA-512 for {self.name} {version}; nothing can be said about a file whose bytes "
            "are not bound."
        )

    def _malformed(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"The registry's document of {self.name} cannot be used: {why}.",
            hint="Check that npm's settings name an npm registry.",
        )


def _deprecated(value: Any) -> str | None:
    if isinstance(value, str):
        return clipped(value.strip(), 300)
    return "" if value is True else None


def moment(value: Any) -> datetime | None:
    """A time in ISO 8601; None when it is something else."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9T:.Z+-]{10,40}", value):
        return None
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if 1970 <= moment.year <= 2200 else None


def listing(packument: Packument) -> Listing:
    """What a package has published; a tarball that is not bound by a digest cannot be verified, and is left out."""
    versions = sorted(packument.versions, key=precedence, reverse=True)
    return Listing(
        ecosystem=ECOSYSTEM,
        name=packument.name,
        files=tuple(listed for each in versions if (listed := _listed(packument, each)) is not None),
        newest=packument.latest,
        mark=packument.document_sha256,
    )


def _listed(packument: Packument, version: str) -> ListedFile | None:
    try:
        release = packument.release(version)
    except UnavailableError:
        return None
    if release is None:
        return None
    return ListedFile(
        purl=release_purl(release.name, version),
        version=version,
        filename=tarball_name(release.name, version),
        uploaded=release.published,
        prerelease="-" in version.partition("+")[0],
    )
