"""The npm ecosystem: what registries publish about tarballs is fetched, bound and checked; nothing is rebuilt yet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from rebuilder.ecosystems.npm.packument import MAX_BYTES, MEDIA_TYPE, NpmRelease, Packument, listing
from rebuilder.ecosystems.npm.settings import NpmSettings, Registry
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, escaped, parse_subject, release_purl, scope_of, tarball_name
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.errors import UnknownProjectError, UsageError
from rebuilder.model.artifact import Artifact, Document, Listing, PublishedFile, Subject
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs, Memo

MAX_FILE_BYTES = 256 << 20
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


class Npm(Ecosystem):
    """Tarballs of npm registries: fetched, bound and handed to the checks; not rebuilt yet."""

    name = ECOSYSTEM

    def __init__(
        self, access: Callable[[], Access], *, blobs: Blobs, memo: Memo, max_file_bytes: int = MAX_FILE_BYTES
    ) -> None:
        """Nothing is read or asked before the first subject.

        Args:
            access: Gives the settings and the network; called once, when the first package is asked for.
            blobs: Where tarballs and attestation documents are kept.
            memo: Where the SHA-256 of known tarballs is kept between runs.
            max_file_bytes: Largest tarball that is downloaded.
        """
        self._open = access
        self._access: Access | None = None
        self._lock = threading.Lock()
        self._blobs = blobs
        self._memo = memo
        self._max_file_bytes = max_file_bytes

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self._reached().fetcher

    def parse(self, text: str) -> Subject:
        """See :func:`rebuilder.ecosystems.npm.subject.parse_subject`."""
        return parse_subject(text)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """See ``Ecosystem.listing``. The short form of a package's document has no upload times."""
        name = parse_subject(name).name
        _, document = self._ask(name)
        return None if document.sha256 == seen else listing(Packument(document, name))

    def evidence(self, subject: Subject) -> list[Evidence]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`. A release has one file, its tarball."""
        registry, document = self._ask(subject.name)
        packument = Packument(document, subject.name)
        return [self._collect(packument, _release(packument, subject), registry)]

    def _collect(self, packument: Packument, release: NpmRelease, registry: Registry) -> Evidence:
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
                    size=self._blobs.path(sha256).stat().st_size,
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
        known = self._memo.get(key)
        if isinstance(known, str) and self._blobs.has(known):
            return Sha256(known)
        sha256 = self.fetcher.file_by_digest(
            release.tarball, algorithm=bound.algorithm, digest=bound.digest, max_bytes=self._max_file_bytes
        )
        self._memo.put(key, sha256)
        return sha256

    def _attestations(self, release: NpmRelease, registry: Registry) -> tuple[Sha256 | None, tuple[str, ...]]:
        if release.attestations is None:
            return None, ()
        url = _on_registry(release.attestations, registry.url)
        document = self.fetcher.document(url, accept=MEDIA_TYPE, max_bytes=MAX_ATTESTATION_BYTES)
        if document is None:
            return None, (f"The registry names attestations for {release.name}, but has none at their address.",)
        return document.sha256, ()

    def _ask(self, name: str) -> tuple[Registry, Document]:
        """The document of a package, and who gave it."""
        access = self._reached()
        registry = access.settings.registry(scope_of(name))
        access.admit(registry)
        document = access.fetcher.document(f"{registry.url}/{escaped(name)}", accept=MEDIA_TYPE, max_bytes=MAX_BYTES)
        if document is None:
            raise UnknownProjectError(
                f"The package {name} is not on the npm registry.", hint="Check the spelling of its name."
            )
        return registry, document

    def _reached(self) -> Access:
        with self._lock:
            if self._access is None:
                self._access = self._open()
            return self._access


def _release(packument: Packument, subject: Subject) -> NpmRelease:
    """The release a subject names.

    Raises:
        UsageError: there is no such version.
    """
    name, latest = packument.name, packument.latest
    if packument.unpublished:
        raise UsageError(f"All versions of {name} were taken back from the npm registry.")
    version = subject.version or latest
    release = packument.release(version) if version is not None else None
    if release is not None:
        return release
    if subject.version is None:
        raise UsageError(f"The npm registry marks no version of {name} as the latest.", hint="Name a version.")
    near = packument.near(subject.version)
    newest = f"the latest is {latest}" if latest else ""
    hint = "; ".join(each for each in (f"Versions near it: {', '.join(near)}" if near else "", newest) if each)
    raise UsageError(
        f"{name} has no version {subject.version} on the npm registry.",
        hint=f"{hint[0].upper()}{hint[1:]}." if hint else None,
    )


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
