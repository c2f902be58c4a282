"""Reads pages of a package index as they are, for whoever installs: which files it lists, and under which names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from rebuilder import __version__
from rebuilder.errors import UnavailableError
from rebuilder.network.http.address import Credentials, bare, redirected, shown

MEDIA_TYPE = "application/vnd.pypi.simple.v1+json"
_LARGEST = 64 << 20
_SECONDS = 30.0
_MOST_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of an index."""

    url: str
    """Where it came from, after redirects; addresses in it are relative to it."""
    status: int
    content: bytes
    etag: str | None = None
    media_type: str = ""


class IndexReader:
    """Asks one index, the one that somebody named; any thread may use it.

    Args:
        url: Of the index; may hold a user name and a password, which go to its own origin only.
        ca_bundle: Certificates to trust instead of the machine's own.
        grant: What its settings say is sent to it as ``Authorization``, and below which address.

    Raises:
        UnavailableError: it is not an http or https address.
    """

    def __init__(self, url: str, ca_bundle: Path | None = None, grant: tuple[str, str] | None = None) -> None:
        self._credentials = Credentials()
        self._credentials.learn(url, named=True)
        if grant is not None:
            self._credentials.grant(*grant)
        self.url = bare(url).rstrip("/") + "/"
        self._origin = urlsplit(self.url)[:2]
        import ssl

        verify: Any = True
        if ca_bundle is not None:
            place = {"capath" if ca_bundle.is_dir() else "cafile": str(ca_bundle)}
            verify = ssl.create_default_context(**place)  # type: ignore[arg-type]
        headers = {"User-Agent": f"rebuilder/{__version__}"}
        self._client = httpx.Client(timeout=_SECONDS, headers=headers, verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def get(self, path: str, accept: str, etag: str | None = None) -> Page:
        """A document below the index; whatever its status, but no redirection.

        Args:
            path: Below the address of the index.
            accept: Media types.
            etag: Of the document that is known; the status is 304 if it is still the one.

        Raises:
            UnavailableError: the index does not answer, or with more than any document has.
        """
        url = self.url + path
        for _ in range(_MOST_REDIRECTS):
            headers = {"Accept": accept} | ({"If-None-Match": etag} if etag else {})
            if urlsplit(url)[:2] == self._origin and (login := self._credentials.header(url, named=True)):
                headers["Authorization"] = login
            data = bytearray()
            try:
                with self._client.stream("GET", url, headers=headers) as answer:
                    if answer.status_code in {301, 302, 303, 307, 308}:
                        url = redirected(url, answer.headers.get("location", ""))
                        continue
                    for chunk in answer.iter_bytes():
                        data += chunk
                        if len(data) > _LARGEST:
                            raise UnavailableError(f"{shown(url)} is larger than any document of an index.")
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise UnavailableError(f"{shown(url)} does not answer ({type(error).__name__}).") from None
            media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Page(url, answer.status_code, bytes(data), answer.headers.get("etag"), media_type)
        raise UnavailableError(f"{shown(url)} redirects again and again.")

    def names(self, project: str) -> dict[str, str]:
        """The names of a project's files by their SHA-256 (PEP 691).

        Raises:
            UnavailableError: the index does not answer, or not with JSON.
        """
        page = self.get(f"{project}/", MEDIA_TYPE)
        if page.status == 404:
            return {}
        if page.status != 200 or page.media_type != MEDIA_TYPE:
            raise UnavailableError(f"The index answers {page.status} for {project}, and not with JSON (PEP 691).")
        try:
            files = json.loads(page.content)["files"]
            return {each["hashes"]["sha256"]: each["filename"] for each in files if "sha256" in each["hashes"]}
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UnavailableError(f"The page of {project} is no page of an index.") from None
