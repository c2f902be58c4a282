"""What the registry of npm's settings gives: documents of packages, tarballs, tools as inputs of builds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from rebuilder.ecosystems.npm.integrity import Digest
from rebuilder.ecosystems.npm.packument import MAX_BYTES, MEDIA_TYPE, NpmRelease, Packument
from rebuilder.ecosystems.npm.settings import NpmSettings, Registry
from rebuilder.ecosystems.npm.subject import escaped, scope_of, tarball_name
from rebuilder.ecosystems.obstacles import NotRebuildable, inputs_missing
from rebuilder.errors import UnknownProjectError
from rebuilder.model.artifact import Document
from rebuilder.model.definition import Input, Role
from rebuilder.model.diagnosis import Cause
from rebuilder.model.value import Sha256
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs, Memo

MAX_FILE_BYTES = 256 << 20
MAX_ATTESTATION_BYTES = 4 << 20
"""Genuine documents have some ten thousand bytes."""


@dataclass(frozen=True)
class Access:
    """How registries are reached."""

    settings: NpmSettings
    fetcher: Fetcher
    admit: Callable[[Registry], None]
    """Told of a registry before it is first asked, so that its credentials are sent there and nowhere else."""


class NpmRegistry:
    """The registry of npm's own settings, and that of each scope.

    Args:
        access: Gives the settings and the network; called once, when the first package is asked for.
        blobs: Where tarballs and documents are kept.
        memo: Where the SHA-256 of known tarballs is kept between runs.
        max_file_bytes: Largest tarball that is downloaded.
    """

    def __init__(
        self, access: Callable[[], Access], *, blobs: Blobs, memo: Memo, max_file_bytes: int = MAX_FILE_BYTES
    ) -> None:
        self._open = access
        self._access: Access | None = None
        self._lock = threading.Lock()
        self._blobs = blobs
        self._memo = memo
        self._max_file_bytes = max_file_bytes

    @property
    def fetcher(self) -> Fetcher:
        """What reaches it."""
        return self._reached().fetcher

    def document(self, name: str, *, accept: str = MEDIA_TYPE) -> Document:
        """The document of a package, asked for again each time (a server may say that it has not changed).

        ``accept``: :data:`~rebuilder.ecosystems.npm.packument.MEDIA_TYPE`, or that of the short form.

        Raises:
            UnknownProjectError: there is no such package.
            UnavailableError, FetchMismatchError: see :meth:`rebuilder.network.protocol.Fetcher.document`.
        """
        registry = self._registry(name)
        url = f"{registry.url}/{escaped(name)}"
        document = self.fetcher.document(url, accept=accept, max_bytes=MAX_BYTES)
        if document is None:
            raise UnknownProjectError(
                f"The package {name} is not on the npm registry.", hint="Check the spelling of its name."
            )
        return document

    def packument(self, name: str) -> Packument:
        """The same, parsed.

        Raises:
            UnknownProjectError, UnavailableError: see :meth:`document` and
                :class:`rebuilder.ecosystems.npm.packument.Packument`.
        """
        return Packument(self.document(name), name)

    def tarball(self, release: NpmRelease) -> Sha256:
        """The tarball's SHA-256; what has the promised digest, and was fetched before, is not fetched again.

        Raises:
            UnavailableError, FetchMismatchError: see :meth:`rebuilder.network.protocol.Fetcher.file_by_digest`.
        """
        bound = release.integrity
        if (known := self.known(bound.key)) is not None:
            return known
        sha256 = self.fetch(release.tarball, bound)
        self.keep(bound.key, sha256)
        return sha256

    def known(self, key: str) -> Sha256 | None:
        """The tarball that is remembered under a key, such as ``sha512:DIGEST``, if it is still stored."""
        known = self._memo.get(key)
        return Sha256(known) if isinstance(known, str) and self._blobs.has(known) else None

    def keep(self, key: str, sha256: Sha256) -> None:
        """Remember a tarball."""
        self._memo.put(key, sha256)

    def fetch(self, url: str, bound: Digest) -> Sha256:
        """Fetch a tarball that has a digest; may be called from several threads at once.

        Raises:
            UnavailableError, FetchMismatchError: see :meth:`rebuilder.network.protocol.Fetcher.file_by_digest`.
        """
        if bound.algorithm == "sha1":
            raise ValueError("a SHA-1 binds nothing")
        return self.fetcher.file_by_digest(
            url, algorithm=bound.algorithm, digest=bound.value, max_bytes=self._max_file_bytes
        )

    def usual_address(self, name: str, version: str) -> str:
        """Where registries have the tarball of a release; nobody is asked."""
        return f"{self._registry(name).url}/{name}/-/{tarball_name(name, version)}"

    def tools(self, name: str) -> list[str]:
        """The versions of a tool, in the order of the registry; none where it has no such package.

        Raises:
            UnavailableError: it does not answer.
        """
        try:
            return self.packument(name).versions
        except UnknownProjectError:
            return []

    def tool(self, name: str, version: str) -> Input:
        """The tarball of a tool as an input of builds; asks nobody for one that was fetched before.

        Raises:
            NotRebuildable: the registry has no such version, or no package of this name.
            UnavailableError, FetchMismatchError: it does not answer, or has not the bytes.
        """
        key = f"tool:{self._registry(name).url}:{name}@{version}"
        known = self._memo.get(key)
        if not (isinstance(known, dict) and self._blobs.has(str(known.get("sha256")))):
            try:
                release = self.packument(name).release(version)
            except UnknownProjectError:
                raise no_tool(f"no package {name}, of which version {version} is needed") from None
            if release is None:
                raise no_tool(f"no version {version} of {name}, which is needed")
            known = {"sha256": self.tarball(release), "uri": release.tarball}
            self._memo.put(key, known)
        filename = tarball_name(name, version)
        return Input(
            role=Role.BUILD_TOOL,
            name=filename,
            sha256=Sha256(known["sha256"]),
            path=f"/inputs/tools/{filename}",
            uri=str(known["uri"]),
            version=version,
        )

    def attestations(self, release: NpmRelease) -> tuple[Sha256 | None, tuple[str, ...]]:
        """Blob with what is signed about a release, and a sentence where the registry has not what it names.

        Raises:
            UnavailableError: it cannot be asked; that must not look like an attestation that vanished.
        """
        if release.attestations is None:
            return None, ()
        url = _on_registry(release.attestations, self._registry(release.name).url)
        document = self.fetcher.document(url, accept=MEDIA_TYPE, max_bytes=MAX_ATTESTATION_BYTES)
        if document is None:
            return None, (f"The registry names attestations for {release.name}, but has none at their address.",)
        return document.sha256, ()

    def _registry(self, name: str) -> Registry:
        """Who is asked for a package."""
        access = self._reached()
        registry = access.settings.registry(scope_of(name))
        access.admit(registry)
        return registry

    def _reached(self) -> Access:
        with self._lock:
            if self._access is None:
                self._access = self._open()
            return self._access


def no_tool(what: str) -> NotRebuildable:
    """That the registry lacks a tool, which says nothing about the release; ``what`` ends the sentence."""
    return inputs_missing(f"The npm registry that is asked has {what}.", Cause.MISSING_TOOL)


def _on_registry(url: str, registry: str) -> str:
    """Where a registry serves attestations: mirrors often pass on the address of the registry they copy.

    Like npm's own client, the path is asked of the registry in the settings. What is signed does not depend on it.
    """
    theirs, ours = urlsplit(url), urlsplit(registry)
    host = ours.netloc.rpartition("@")[2]
    if (theirs.scheme, theirs.netloc) == (ours.scheme, host):
        return url
    return f"{ours.scheme}://{host}{ours.path}{theirs.path}"
