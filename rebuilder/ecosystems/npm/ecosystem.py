"""The npm ecosystem: what registries publish about tarballs is fetched, bound and checked; nothing is rebuilt yet."""

from __future__ import annotations

from rebuilder.ecosystems.npm.packument import NpmRelease, Packument, listing
from rebuilder.ecosystems.npm.registry import NpmRegistry
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, parse_subject, release_purl, tarball_name
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.errors import UsageError
from rebuilder.model.artifact import Artifact, Listing, PublishedFile, Subject
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs

_NOT_REBUILT = "npm packages cannot be rebuilt yet"


class Npm(Ecosystem):
    """Tarballs of npm registries: fetched, bound and handed to the checks; not rebuilt yet."""

    name = ECOSYSTEM

    def __init__(self, registry: NpmRegistry, blobs: Blobs) -> None:
        """Nothing is read or asked before the first subject."""
        self._registry = registry
        self._blobs = blobs

    @property
    def fetcher(self) -> Fetcher:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`."""
        return self._registry.fetcher

    def parse(self, text: str) -> Subject:
        """See :func:`rebuilder.ecosystems.npm.subject.parse_subject`."""
        return parse_subject(text)

    def listing(self, name: str, seen: str | None = None) -> Listing | None:
        """See ``Ecosystem.listing``. The short form of a package's document has no upload times."""
        name = parse_subject(name).name
        document = self._registry.document(name)
        return None if document.sha256 == seen else listing(Packument(document, name))

    def evidence(self, subject: Subject) -> list[Evidence]:
        """See :class:`rebuilder.ecosystems.protocol.Ecosystem`. A release has one file, its tarball."""
        packument = self._registry.packument(subject.name)
        return [self._collect(packument, _release(packument, subject))]

    def _collect(self, packument: Packument, release: NpmRelease) -> Evidence:
        """The evidence of one release: its tarball, bound by its digest, and what is signed about it.

        Raises:
            UnavailableError: the tarball or the attestations cannot be had; this must not become "no attestation",
                which would look as if it had vanished.
            FetchMismatchError: the tarball has other bytes than the registry promises.
        """
        sha256 = self._registry.tarball(release)
        attestations, notes = self._registry.attestations(release)
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
