"""The registries of npm's settings: documents of packages, and tarballs bound by their digests."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.ecosystems.npm.packument import MAX_BYTES, MEDIA_TYPE, Integrity, Packument
from rebuilder.ecosystems.npm.settings import NpmSettings, Registry
from rebuilder.ecosystems.npm.subject import escaped, scope_of, tarball_name
from rebuilder.errors import UnavailableError, UnknownProjectError
from rebuilder.model.artifact import Document
from rebuilder.model.value import Sha256
from rebuilder.network.protocol import Fetcher
from rebuilder.store.protocol import Blobs, Memo

MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class Access:
    """How registries are reached."""

    settings: NpmSettings
    fetcher: Fetcher
    admit: Callable[[Registry], None]
    """Told of a registry before it is first asked, so that its credentials are sent there and nowhere else."""


class Registries:
    """What the registries of npm's settings have; may be asked from several threads at once."""

    def __init__(
        self, access: Callable[[], Access], *, blobs: Blobs, memo: Memo, max_file_bytes: int = MAX_FILE_BYTES
    ) -> None:
        """Nothing is read or asked yet.

        Args:
            access: Gives the settings and the network; called once, when the first package is asked for.
            blobs: Where tarballs are kept.
            memo: Where the SHA-256 of known tarballs is kept between runs.
            max_file_bytes: Largest tarball that is downloaded.
        """
        self._open = access
        self._access: Access | None = None
        self._lock = threading.Lock()
        self.blobs = blobs
        self._memo = memo
        self._max_file_bytes = max_file_bytes

    @property
    def fetcher(self) -> Fetcher:
        """Reaches them.

        Raises:
            UsageError: npm's settings cannot be understood.
        """
        return self._reached().fetcher

    def registry(self, name: str) -> Registry:
        """The one that a package is asked of.

        Raises:
            UsageError: npm's settings cannot be understood.
        """
        access = self._reached()
        registry = access.settings.registry(scope_of(name))
        access.admit(registry)
        return registry

    def document(self, name: str, *, accept: str = MEDIA_TYPE) -> tuple[Registry, Document]:
        """The document of a package, and who gave it.

        Raises:
            UnknownProjectError: there is no such package.
            UnavailableError: the registry does not answer.
        """
        registry = self.registry(name)
        document = self.fetcher.document(f"{registry.url}/{escaped(name)}", accept=accept, max_bytes=MAX_BYTES)
        if document is None:
            raise UnknownProjectError(
                f"The package {name} is not on the npm registry.", hint="Check the spelling of its name."
            )
        return registry, document

    def packument(self, name: str) -> Packument:
        """The same, parsed.

        Raises:
            UnknownProjectError, UnavailableError: see :meth:`document`; or it is malformed.
        """
        return Packument(self.document(name)[1], name)

    def known(self, bound: Integrity) -> Sha256 | None:
        """The SHA-256 of a tarball that was fetched before and is still stored."""
        known = self._memo.get(f"{bound.algorithm}:{bound.digest}")
        return Sha256(known) if isinstance(known, str) and self.blobs.has(known) else None

    def keep(self, bound: Integrity, sha256: Sha256) -> None:
        """Remember which tarball a digest is of."""
        self._memo.put(f"{bound.algorithm}:{bound.digest}", sha256)

    def tarball(self, url: str, bound: Integrity) -> Sha256:
        """The tarball at an address; what has the promised digest, and was fetched before, is not fetched again.

        Raises:
            UnavailableError: it is not to be had.
            FetchMismatchError: it has other bytes than promised.
        """
        if (known := self.known(bound)) is not None:
            return known
        sha256 = self.fetch(url, bound)
        self.keep(bound, sha256)
        return sha256

    def fetch(self, url: str, bound: Integrity) -> Sha256:
        """Fetch a tarball; see :meth:`tarball`."""
        return self.fetcher.file_by_digest(
            url, algorithm=bound.algorithm, digest=bound.digest, max_bytes=self._max_file_bytes
        )

    def usual_address(self, name: str, version: str) -> str:
        """Where registries have the tarball of a release, without asking for the document of its package."""
        return f"{self.registry(name).url}/{escaped(name).replace('%2F', '/')}/-/{tarball_name(name, version)}"

    def release(self, name: str, version: str) -> tuple[str, Integrity]:
        """Address and digest of a tarball, as the registry lists them.

        Raises:
            UnavailableError: there is no such version, or the registry does not bind it.
        """
        found = self.packument(name).release(version)
        if found is None:
            raise UnavailableError(f"The npm registry has no version {version} of {name}.")
        return found.tarball, found.integrity

    def has_sha1(self, sha256: Sha256, sha1: str) -> bool:
        """Whether a stored tarball has a SHA-1, too."""
        with self.blobs.path(sha256).open("rb") as file:
            return hashlib.file_digest(file, "sha1").hexdigest() == sha1  # what old lock files have

    def _reached(self) -> Access:
        with self._lock:
            if self._access is None:
                self._access = self._open()
            return self._access
