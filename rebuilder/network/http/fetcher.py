"""The network, bounded: documents and files over http and https."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from pydantic import ValidationError

from rebuilder import __version__
from rebuilder.atomic_file import write_whole
from rebuilder.byte_counter import MOVED
from rebuilder.errors import FileGoneError, StoreError, UnavailableError, UsageError
from rebuilder.model.artifact import Document
from rebuilder.model.value import Sha256, Sha256Field, Value
from rebuilder.network.http.address import Credentials, bare, origin, redirected, shown
from rebuilder.network.http.answer import (
    ASK_OPERATOR,
    TRY_LATER,
    GoneError,
    check_status,
    decoded,
    explained,
    limited,
    retried,
    too_large,
    verified,
)
from rebuilder.network.protocol import DigestAlgorithm
from rebuilder.network.reach import Reach
from rebuilder.store.protocol import Blobs

if TYPE_CHECKING:
    import httpx

    from rebuilder.network.http.transport import Deadline

_LONGEST_SECONDS = 30 * 24 * 3600
"""No server may make us believe a document for longer."""


class CachedDocument(Value):
    """One answer: where its body is among the blobs, and what revalidates it."""

    url: str
    """After redirects, without credentials."""
    sha256: Sha256Field
    media_type: str
    etag: str | None = None
    last_modified: str | None = None
    fresh_until: float = 0.0
    """Unix time, seconds."""


class HttpCache:
    """A directory with one small JSON file per (address, Accept); bodies are blobs.

    An entry that cannot be read is no entry, and one that cannot be written is a request more next time: the
    cache never decides whether something works.
    """

    def __init__(self, directory: Path, *, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._now = now

    def get(self, url: str, accept: str) -> CachedDocument | None:
        """What was kept for an address without credentials."""
        try:
            return CachedDocument.model_validate_json(self._path(url, accept).read_bytes())
        except (OSError, ValidationError):
            return None

    def is_fresh(self, entry: CachedDocument) -> bool:
        """Whether the entry may be used without asking the server.

        A clock that was set back must not make an entry live for ever, hence the upper bound.
        """
        return self._now() < entry.fresh_until <= self._now() + _LONGEST_SECONDS

    def keep(self, url: str, accept: str, entry: CachedDocument, headers: Mapping[str, str]) -> None:
        """Keep an answer for as long as its headers (names in any case the mapping accepts) allow."""
        directives = _directives(headers.get("cache-control", ""))
        path = self._path(url, accept)
        if "no-store" in directives:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            return
        entry = entry.replace(fresh_until=self._fresh_until(directives, headers.get("age")))
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(entry.document()).encode(), mode=0o600)
        except OSError:
            return

    def _fresh_until(self, directives: Mapping[str, str], age: str | None) -> float:
        if "no-cache" in directives:
            return 0.0
        left = _seconds(directives.get("max-age")) - _seconds(age)
        return self._now() + min(left, _LONGEST_SECONDS) if left > 0 else 0.0

    def _path(self, url: str, accept: str) -> Path:
        return self._directory / (hashlib.sha256(f"{url}\n{accept}".encode()).hexdigest() + ".json")


def _directives(value: str) -> dict[str, str]:
    """``Cache-Control`` as a mapping; a directive that stands twice counts the first time (RFC 9111, 4.2.1)."""
    found: dict[str, str] = {}
    for each in value.split(","):
        name, _, argument = each.strip().partition("=")
        found.setdefault(name.strip().lower(), argument.strip().strip('"'))
    return found


def _seconds(value: str | None) -> int:
    """Delta-seconds; anything malformed counts as 0, that is, as stale."""
    return int(value) if value is not None and re.fullmatch(r"[0-9]{1,10}", value) else 0


Result = TypeVar("Result")
MAX_REDIRECTS = 5
_CHUNK = 64 << 10
_CONNECT_SECONDS = 10.0


class HttpFetcher:
    """Implements :class:`rebuilder.network.protocol.Fetcher` with ``httpx``; one per process, for any thread."""

    def __init__(
        self,
        blobs: Blobs,
        cache: HttpCache,
        *,
        ca_bundle: Path | None = None,
        read_seconds: float = 30,
        total_seconds: float = 300,
        attempts: int = 4,
        wait: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        credentials: Credentials | None = None,
        reach: Reach | None = None,
    ) -> None:
        """Nothing is connected before the first request.

        Args:
            blobs: Where bodies go.
            cache: Which documents are there already.
            ca_bundle: File or directory of certificates to trust instead of the machine's own.
            read_seconds: Longest silence while reading.
            total_seconds: Longest time for one call, retries and waits included.
            attempts: Requests in all for something that fails in passing.
            wait: How to wait; tests do not.
            monotonic: Clock for ``total_seconds``.
            credentials: User names and passwords; from addresses and netrc by default.
            reach: Which servers may be asked; public ones by default.
        """
        self._blobs = blobs
        self._cache = cache
        self._ca_bundle = ca_bundle
        self._read_seconds = read_seconds
        self._total_seconds = total_seconds
        self._attempts = attempts
        self._wait = wait
        self._monotonic = monotonic
        self._credentials = Credentials() if credentials is None else credentials
        self._reach = Reach() if reach is None else reach
        self._lock = threading.Lock()
        self._deadline: Deadline | None = None
        self._opened: httpx.Client | None = None

    def __enter__(self) -> Self:
        """Nothing to open yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def admit(self, url: str) -> None:
        """The user named this address: its server may be anywhere, and gets the credentials in it, or netrc's.

        Raises:
            UnavailableError: it is not an http or https address.
        """
        self._credentials.learn(url, named=True)
        self._reach.admit(bare(url))

    def document(self, url: str, *, accept: str, max_bytes: int) -> Document | None:
        """See :meth:`rebuilder.network.protocol.Fetcher.document`. A fresh document in the cache costs no request."""
        address = self._address(url)
        cached = self._cached(address, accept, max_bytes)
        if cached is not None and self._cache.is_fresh(cached[0]):
            return _document(*cached)
        try:
            return self._retried(lambda deadline: self._ask(address, accept, max_bytes, deadline, cached))
        except GoneError:
            return None

    def file(self, url: str, *, sha256: str, max_bytes: int) -> Sha256:
        """See :meth:`rebuilder.network.protocol.Fetcher.file`. The bytes as sent are hashed while they are written."""
        if self._blobs.has(sha256):
            return Sha256(sha256)
        return self.file_by_digest(url, algorithm="sha256", digest=sha256, max_bytes=max_bytes)

    def file_by_digest(self, url: str, *, algorithm: DigestAlgorithm, digest: str, max_bytes: int) -> Sha256:
        """See :meth:`rebuilder.network.protocol.Fetcher.file_by_digest`."""
        address = self._address(url)

        def kept(raw: Iterator[bytes]) -> Sha256:
            return self._blobs.put_stream(verified(url, raw, digest, algorithm), max_bytes=max_bytes)[0]

        try:
            return self._retried(lambda deadline: self._download(address, kept, max_bytes, deadline))
        except GoneError:
            message = f"{shown(url)} is no longer there, although the index lists it."
            raise FileGoneError(message, hint=ASK_OPERATOR) from None

    def digest(self, url: str, *, max_bytes: int) -> Sha256 | None:
        """See :meth:`rebuilder.network.protocol.Fetcher.digest`. Nothing of it is written anywhere."""
        address = self._address(url)

        def hashed(raw: Iterator[bytes]) -> Sha256:
            found = hashlib.sha256()
            for chunk in raw:
                found.update(chunk)
            return Sha256(found.hexdigest())

        try:
            return self._retried(lambda deadline: self._download(address, hashed, max_bytes, deadline))
        except GoneError:
            return None

    def media_type(self, url: str, *, accept: str) -> str | None:
        """What is at an address, by the type that its answer states; its body is not read. None when nothing is.

        Raises:
            UnavailableError: it does not answer, or answers with an error.
        """
        address = self._address(url)

        def ask(deadline: float) -> str:
            with self._answer(address, {"Accept": accept}, deadline) as (_, answer):
                return str(answer.headers.get("content-type", "")).split(";")[0].strip().lower()

        try:
            return self._retried(ask)
        except GoneError:
            return None

    def _address(self, url: str) -> str:
        address = bare(url)
        self._reach.check(origin(address))
        self._credentials.learn(url)
        return address

    def _cached(self, url: str, accept: str, max_bytes: int) -> tuple[CachedDocument, bytes] | None:
        entry = self._cache.get(url, accept)
        if entry is None or not self._blobs.has(entry.sha256):
            return None
        try:
            content = self._blobs.read(entry.sha256)
        except StoreError:
            return None
        return (entry, content) if len(content) <= max_bytes else None

    def _ask(
        self, url: str, accept: str, max_bytes: int, deadline: float, cached: tuple[CachedDocument, bytes] | None
    ) -> Document:
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        if cached is not None:
            headers |= {"If-None-Match": cached[0].etag} if cached[0].etag else {}
            headers |= {"If-Modified-Since": cached[0].last_modified} if cached[0].last_modified else {}
        with self._answer(url, headers, deadline) as (final, answer):
            if answer.status_code == 304:
                if cached is None:
                    message = f"{shown(url)} answers that nothing changed, but we have nothing."
                    raise UnavailableError(message, hint=ASK_OPERATOR)
                self._cache.keep(url, accept, cached[0], answer.headers)
                return _document(*cached)
            raw = self._chunks(url, answer, max_bytes, deadline)
            content = b"".join(limited(url, decoded(url, raw, answer.headers.get("content-encoding", "")), max_bytes))
            entry = CachedDocument(
                url=final,
                sha256=self._blobs.put(content),
                media_type=answer.headers.get("content-type", "").split(";")[0].strip().lower(),
                etag=answer.headers.get("etag"),
                last_modified=answer.headers.get("last-modified"),
            )
            self._cache.keep(url, accept, entry, answer.headers)
            return _document(entry, content)

    def _download(self, url: str, take: Callable[[Iterator[bytes]], Sha256], max_bytes: int, deadline: float) -> Sha256:
        with self._answer(url, {"Accept": "*/*", "Accept-Encoding": "identity"}, deadline) as (_, answer):
            return take(self._chunks(url, answer, max_bytes, deadline))

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str], deadline: float) -> Iterator[tuple[str, httpx.Response]]:
        """A 200 or 304 after redirections, its body unread; anything else raises."""
        import httpx

        address, began = url, False
        try:
            for _ in range(MAX_REDIRECTS + 1):
                with self._client().stream("GET", address, headers=headers | self._authorisation(address)) as answer:
                    self._check_time(url, deadline)
                    if answer.has_redirect_location:
                        address = redirected(address, answer.headers["location"])
                        continue
                    check_status(url, answer)
                    began = True
                    yield address, answer
                    return
            raise UnavailableError(f"{shown(url)} redirects more than {MAX_REDIRECTS} times.", hint=ASK_OPERATOR)
        except httpx.TransportError as error:
            self._check_time(url, deadline)
            raise explained(url, error, began=began) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            message = f"{shown(url)} cannot be asked for, or its answer is malformed."
            raise UnavailableError(message, hint=ASK_OPERATOR) from error

    def _chunks(self, url: str, answer: httpx.Response, max_bytes: int, deadline: float) -> Iterator[bytes]:
        """The body as sent, never more than ``max_bytes`` of it."""
        promised = answer.headers.get("content-length", "")
        if promised.isascii() and promised.isdigit() and (len(promised) > 18 or int(promised) > max_bytes):
            raise too_large(url, max_bytes)
        for chunk in limited(url, answer.iter_raw(_CHUNK), max_bytes):
            MOVED.add(fetched=len(chunk))
            self._check_time(url, deadline)
            yield chunk

    def _authorisation(self, url: str) -> dict[str, str]:
        header = self._credentials.header(url, named=self._reach.admits(origin(url)))
        return {} if header is None else {"Authorization": header}

    def _check_time(self, url: str, deadline: float) -> None:
        if self._monotonic() >= deadline:
            message = f"{shown(url)} did not give its answer within {self._total_seconds:g} seconds."
            raise UnavailableError(message, hint=TRY_LATER)

    def _client(self) -> httpx.Client:
        import httpx

        from rebuilder.network.http.transport import Transport

        with self._lock:
            if self._opened is None:
                # Redirections and credentials are handled here, hop by hop.
                self._opened = httpx.Client(
                    transport=Transport(self._reach, self._timer(), _trust(self._ca_bundle)),
                    follow_redirects=False,
                    trust_env=False,
                    timeout=httpx.Timeout(self._read_seconds, connect=_CONNECT_SECONDS),
                    headers={"User-Agent": f"rebuilder/{__version__}"},
                )
            return self._opened

    def _timer(self) -> Deadline:
        from rebuilder.network.http.transport import Deadline

        if self._deadline is None:
            self._deadline = Deadline(self._monotonic)
        return self._deadline

    def _retried(self, call: Callable[[float], Result]) -> Result:
        deadline = self._monotonic() + self._total_seconds
        with self._timer().at(deadline):
            return retried(
                lambda: call(deadline),
                attempts=self._attempts,
                deadline=deadline,
                wait=self._wait,
                monotonic=self._monotonic,
            )


def _document(entry: CachedDocument, content: bytes) -> Document:
    return Document(url=entry.url, sha256=entry.sha256, content=content, media_type=entry.media_type)


def _trust(bundle: Path | None) -> ssl.SSLContext:
    """Certificates of the settings, otherwise those of httpx together with those of the machine.

    Private indexes are often signed by an authority that only the machine knows.
    """
    import httpx

    if bundle is None:
        context = httpx.create_ssl_context()
        context.load_default_certs()
        return context
    try:
        place = str(bundle)
        return ssl.create_default_context(capath=place) if bundle.is_dir() else ssl.create_default_context(cafile=place)
    except OSError:
        message = f"The certificate bundle {bundle} cannot be read."
        raise UsageError(message, hint="Correct PIP_CERT, SSL_CERT_FILE or REQUESTS_CA_BUNDLE, or unset it.") from None
