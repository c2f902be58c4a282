"""A network made of canned answers."""

from __future__ import annotations

import hashlib

from rebuilder.errors import FetchMismatchError, UnavailableError
from rebuilder.model.artifact import Document
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.network.protocol import DigestAlgorithm
from rebuilder.store.protocol import Blobs


class FakeFetcher:
    """A :class:`network.protocol.Fetcher` with a dictionary; asks nobody, and notes what it was asked."""

    def __init__(self, blobs: Blobs) -> None:
        self.asked: list[str] = []
        """Addresses in order; a file that is stored already is not asked for."""
        self._blobs = blobs
        self._answers: dict[str, tuple[bytes, str]] = {}
        self._broken: dict[str, UnavailableError] = {}

    def serve(self, url: str, content: bytes, media_type: str = "application/vnd.pypi.simple.v1+json") -> str:
        """Have an answer for an address; gives the address back."""
        self._answers[url] = (content, media_type)
        return url

    def break_down(self, url: str, error: UnavailableError) -> None:
        """Raise this error whenever the address is asked for."""
        self._broken[url] = error

    def document(self, url: str, *, accept: str, max_bytes: int) -> Document | None:
        """See :meth:`rebuilder.network.protocol.Fetcher.document`."""
        found = self._find(url)
        if found is None:
            return None
        content, media_type = found
        self._check_size(url, content, max_bytes)
        return Document(url=url, sha256=self._blobs.put(content), content=content, media_type=media_type)

    def file(self, url: str, *, sha256: str, max_bytes: int) -> Sha256:
        """See :meth:`rebuilder.network.protocol.Fetcher.file`."""
        if self._blobs.has(sha256):
            return Sha256(sha256)
        return self.file_by_digest(url, algorithm="sha256", digest=sha256, max_bytes=max_bytes)

    def file_by_digest(self, url: str, *, algorithm: DigestAlgorithm, digest: str, max_bytes: int) -> Sha256:
        """See :meth:`rebuilder.network.protocol.Fetcher.file_by_digest`."""
        found = self._find(url)
        if found is None:
            raise UnavailableError(f"{url} is no longer there, although the index lists it.")
        self._check_size(url, found[0], max_bytes)
        if hashlib.new(algorithm, found[0]).hexdigest() != digest:
            raise FetchMismatchError(f"{url} has another {algorithm} than {digest}.")
        return self._blobs.put(found[0])

    def digest(self, url: str, *, max_bytes: int) -> Sha256 | None:
        """See :meth:`rebuilder.network.protocol.Fetcher.digest`."""
        found = self._find(url)
        if found is None:
            return None
        self._check_size(url, found[0], max_bytes)
        return sha256_hex(found[0])

    def _find(self, url: str) -> tuple[bytes, str] | None:
        self.asked.append(url)
        if url in self._broken:
            raise self._broken[url]
        return self._answers.get(url)

    def _check_size(self, url: str, content: bytes, max_bytes: int) -> None:
        if len(content) > max_bytes:
            raise FetchMismatchError(f"{url} is larger than the {max_bytes:,} bytes allowed for it.")
