"""How requests travel: to addresses that may be asked, through the proxies of the environment, until a deadline.

The deadline holds for everything that is waited for, heads and handshakes included: each step waits no longer than what
is left, so that a server that sends a byte now and then gains nothing. HTTP/1.1 only: requests follow one another here,
and over a connection that several of them share, frames for one call would spend the time of another.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpcore
import httpx

from rebuilder.network.http.address import parts_of
from rebuilder.network.reach import Origin, Reach

if TYPE_CHECKING:
    from types import TracebackType

_CONNECTIONS = 20
_KEPT_SECONDS = 5.0


class Deadline:
    """When the call that this thread is in has to be over."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._thread = threading.local()

    @contextlib.contextmanager
    def at(self, moment: float) -> Iterator[None]:
        """Inside the block it is this moment."""
        before, self._thread.moment = getattr(self._thread, "moment", None), moment
        try:
            yield
        finally:
            self._thread.moment = before

    def left(self, seconds: float | None) -> float | None:
        """How long may be waited: ``seconds``, or less.

        Raises:
            httpcore.ReadTimeout: not at all any more.
        """
        moment = getattr(self._thread, "moment", None)
        if moment is None:
            return seconds
        left = float(moment) - self.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the time for this call is over")
        return left if seconds is None else min(left, seconds)


class Transport(httpx.BaseTransport):
    """Sends requests as :class:`httpx.Client` asks, over connections that are judged before they are made."""

    def __init__(self, reach: Reach, deadline: Deadline, trust: ssl.SSLContext) -> None:
        self._reach = reach
        self._deadline = deadline
        self._trust = trust
        self._lock = threading.Lock()
        self._pools: dict[tuple[str | None, bool, str], httpcore.ConnectionPool] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See :class:`httpx.BaseTransport`.

        Raises:
            ForbiddenAddressError: it leads into our own network.
        """
        url = request.url
        origin = (url.scheme, url.host.rstrip("."), url.port or (443 if url.scheme == "https" else 80))
        self._reach.check(origin)
        asked = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream if isinstance(request.stream, httpx.SyncByteStream) else None,
            extensions=request.extensions,
        )
        with _as_httpx(request):
            answer = self._pool(origin).handle_request(asked)
        return httpx.Response(
            answer.status, headers=answer.headers, stream=_Body(answer, request), extensions=answer.extensions
        )

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def _pool(self, origin: Origin) -> httpcore.ConnectionPool:
        # Of a pool, each connection was made under the same rule: one of a server that the user named is not taken for
        # the same host under another scheme.
        proxy, named = self._reach.proxy(origin), self._reach.admits(origin)
        key = (proxy, named, origin[0])
        with self._lock:
            if key not in self._pools:
                self._pools[key] = self._made(proxy, origin[0])
            return self._pools[key]

    def _made(self, proxy: str | None, scheme: str) -> httpcore.ConnectionPool:
        options: dict[str, Any] = {
            "ssl_context": self._trust,
            "max_connections": _CONNECTIONS,
            "keepalive_expiry": _KEPT_SECONDS,
        }
        if proxy is None:
            return httpcore.ConnectionPool(network_backend=_Judged(self._reach, scheme, self._deadline), **options)
        parts = parts_of(proxy)
        if parts is None:
            raise httpx.UnsupportedProtocol("only http and https proxies are used")
        login = (unquote(parts.username), unquote(parts.password or "")) if parts.username is not None else None
        host = parts.netloc.rpartition("@")[2]
        return httpcore.HTTPProxy(
            f"{parts.scheme}://{host}", proxy_auth=login, network_backend=_Timed(self._deadline), **options
        )


class _Timed(httpcore.NetworkBackend):
    """Connections that keep to the deadline, to whatever was named."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._system = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See :class:`httpcore.NetworkBackend`."""
        left = self._deadline.left(timeout)
        stream = self._system.connect_tcp(host, port, left, local_address, socket_options)
        return _TimedStream(stream, self._deadline)


class _Judged(_Timed):
    """The same, to addresses that may be asked only."""

    def __init__(self, reach: Reach, scheme: str, deadline: Deadline) -> None:
        super().__init__(deadline)
        self._reach = reach
        self._scheme = scheme

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See :class:`httpcore.NetworkBackend`.

        Raises:
            ForbiddenAddressError: no address of the host may be asked.
        """
        try:
            addresses = self._reach.addresses((self._scheme, host.rstrip("."), port), self._deadline.left(timeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        problem: Exception = httpcore.ConnectError("the host has no address")
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
        raise problem


class _TimedStream(httpcore.NetworkStream):
    """A connection on which nothing waits beyond the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See :class:`httpcore.NetworkStream`."""
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """See :class:`httpcore.NetworkStream`."""
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        """See :class:`httpcore.NetworkStream`."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """See :class:`httpcore.NetworkStream`."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """See :class:`httpcore.NetworkStream`."""
        return self._stream.get_extra_info(info)


class _Body(httpx.SyncByteStream):
    """The body of an answer, with the exceptions httpx is known for."""

    def __init__(self, answer: httpcore.Response, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx(self._request):
            yield from self._answer.iter_stream()

    def close(self) -> None:
        """Give the connection back, or close it."""
        self._answer.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


@contextlib.contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """For each exception of httpcore, httpx has one of the same name."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error), request=request) from error
    except httpcore.UnsupportedProtocol as error:
        raise httpx.UnsupportedProtocol(str(error), request=request) from error
