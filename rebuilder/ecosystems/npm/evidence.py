"""Everything an npm registry publishes about one release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from rebuilder.ecosystems.npm.packument import NpmRelease, Packument
from rebuilder.ecosystems.npm.settings import NpmSettings, Registry
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, release_purl, tarball_name
from rebuilder.model.artifact import Artifact, PublishedFile
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs, Memo

MEDIA_TYPE = "application/json"
MAX_ATTESTATION_BYTES = 4 << 20
"""Genuine documents have some ten thousand bytes."""
_NOT_REBUILT = "npm packages cannot be rebuilt yet"


@dataclass(frozen=True)
class Access:
    """How registries are reached."""

    settings: NpmSettings
    fetcher: Fetcher
    admit: Callable[[Registry], None]
    """Told of a registry before it is first asked, so that its credentials are sent there and nowhere else."""


@dataclass(frozen=True)
class Collector:
    """Fetches what belongs to a release; nothing is checked here but the bytes."""

    fetcher: Fetcher
    blobs: Blobs
    memo: Memo
    max_file_bytes: int

    def collect(self, packument: Packument, release: NpmRelease, registry: Registry) -> Evidence:
        """The evidence of one release: its tarball, bound by its digest, and what is signed about it.

        Raises:
            UnavailableError: the tarball or the attestations cannot be had; this must not become "no attestation",
                which would look as if it had vanished.
            FetchMismatchError: the tarball has other bytes than the registry promises.
        """
        sha256 = self._tarball(release)
        attestations, notes = self._attestations(release, registry)
        return Evidence(
            artifact=Artifact(
                ecosystem=ECOSYSTEM,
                purl=release_purl(release.name, release.version),
                name=release.name,
                version=release.version,
                file=PublishedFile(
                    filename=tarball_name(release.name, release.version),
                    url=release.tarball,
                    sha256=sha256,
                    size=self.blobs.path(sha256).stat().st_size,
                    uploaded=release.published,
                    provenance_url=release.attestations,
                ),
            ),
            index_sha256=packument.document_sha256,
            provenance_sha256=attestations,
            registry_signatures=release.signatures,
            obstacle=Obstacle(verdict=Verdict.UNSUPPORTED, sentence=_obstacle(release, attestations)),
            notes=(*_notes(release), *notes),
        )

    def _tarball(self, release: NpmRelease) -> Sha256:
        """The tarball's SHA-256; what has the promised digest, and was fetched before, is not fetched again."""
        bound = release.integrity
        key = f"{bound.algorithm}:{bound.digest}"
        known = self.memo.get(key)
        if isinstance(known, str) and self.blobs.has(known):
            return Sha256(known)
        sha256 = self.fetcher.file_by_digest(
            release.tarball, algorithm=bound.algorithm, digest=bound.digest, max_bytes=self.max_file_bytes
        )
        self.memo.put(key, sha256)
        return sha256

    def _attestations(self, release: NpmRelease, registry: Registry) -> tuple[Sha256 | None, tuple[str, ...]]:
        if release.attestations is None:
            return None, ()
        url = _on_registry(release.attestations, registry.url)
        document = self.fetcher.document(url, accept=MEDIA_TYPE, max_bytes=MAX_ATTESTATION_BYTES)
        if document is None:
            return None, (f"The registry names attestations for {release.name}, but has none at their address.",)
        return document.sha256, ()


def _on_registry(url: str, registry: str) -> str:
    """Where a registry serves attestations: mirrors often pass on the address of the registry they copy.

    Like npm's own client, the path is asked of the registry in the settings. What is signed does not depend on it.
    """
    theirs, ours = urlsplit(url), urlsplit(registry)
    host = ours.netloc.rpartition("@")[2]
    if (theirs.scheme, theirs.netloc) == (ours.scheme, host):
        return url
    return f"{ours.scheme}://{host}{ours.path}{theirs.path}"


def _obstacle(release: NpmRelease, attestations: Sha256 | None) -> str:
    """Why it is not rebuilt, with what is done instead."""
    if attestations is not None:
        return f"{_NOT_REBUILT}; the attestations of this one were checked."
    named = (
        "names attestations of this one that cannot be had"
        if release.attestations
        else "names no attestations of this one"
    )
    if release.signatures:
        named += ", and its own signature was checked"
    return f"{_NOT_REBUILT}; the registry {named}."


def _notes(release: NpmRelease) -> tuple[str, ...]:
    if release.deprecated is None:
        return ()
    reason = f": {release.deprecated}" if release.deprecated else ", without a reason"
    return (f"The registry marks this release as deprecated{reason}.",)
