"""The npm ecosystem, as far as checking attestations goes."""

from __future__ import annotations

import threading
from collections.abc import Callable

from rebuilder.ecosystems.npm.evidence import Access, Collector
from rebuilder.ecosystems.npm.packument import MAX_BYTES, MEDIA_TYPE, NpmRelease, Packument
from rebuilder.ecosystems.npm.releases import listing
from rebuilder.ecosystems.npm.settings import Registry
from rebuilder.ecosystems.npm.subject import ECOSYSTEM, escaped, parse_subject, scope_of
from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.errors import UnknownProjectError, UsageError
from rebuilder.model.artifact import Document, Listing, Subject
from rebuilder.model.evidence import Evidence
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs, Memo

MAX_FILE_BYTES = 256 << 20


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
        collector = Collector(self._reached().fetcher, self._blobs, self._memo, self._max_file_bytes)
        return [collector.collect(packument, _release(packument, subject), registry)]

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
