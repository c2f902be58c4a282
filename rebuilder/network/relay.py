"""A proxy on loopback for programs that connect by themselves, such as git and uv: it goes where one may go only.

Such a program resolves names, follows redirections and reads addresses from documents where we cannot look. It is given
this proxy instead of the network, so that every connection it makes is judged as ours are (see ``reach.py``). TLS is
between the program and the server; what is seen here is a name and a port, or plain http.
"""

from __future__ import annotations

import base64
import contextlib
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit

from rebuilder.byte_counter import MOVED
from rebuilder.errors import ForbiddenAddressError
from rebuilder.network.reach import Origin, Reach, origin_of

_HEAD_BYTES = 64 << 10
_PIECE = 64 << 10
_CONNECT_SECONDS = 20.0
_HEAD_SECONDS = 30.0
_AUTHORITY = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\[\]:/@\s]+):([0-9]{1,5})")
_REQUEST = re.compile(rb"([A-Z]{1,20}) (\S{1,16384}) HTTP/1\.[01]")
_NOT_PASSED_ON = (b"proxy-authorization:", b"proxy-connection:", b"connection:", b"keep-alive:")


class Relay:
    """The proxy, for the time of a ``with`` block, and for whoever knows its password.

    Args:
        reach: What may be asked; its proxies of the environment are gone through.
    """

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._secret = secrets.token_urlsafe(24)
        self._expected = base64.b64encode(f"relay:{self._secret}".encode())
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        self.refused: list[ForbiddenAddressError] = []
        """What was not asked, in order."""
        self.failures: list[str] = []
        """Why servers could not be connected to, in order; each the end of a sentence."""

    def __enter__(self) -> Self:
        """Begin to listen."""
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close all connections."""
        with self._lock:
            self._closed = True
            waiting = [*self._open, self._listening]
        for each in waiting:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a program use the proxy, and nothing else, for everything."""
        address = f"http://relay:{self._secret}@127.0.0.1:{self._listening.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        return {**dict.fromkeys(names, address), "no_proxy": "", "NO_PROXY": ""}

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), name="relay", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._held(client), contextlib.suppress(OSError):
            client.settimeout(_HEAD_SECONDS)
            head, rest = _head(client)
            found = _REQUEST.match(head)
            if found is None:
                return client.sendall(_answer(400, "Bad Request"))
            if b"Basic " + self._expected not in head:
                return client.sendall(
                    _answer(407, "Proxy Authentication Required", b'Proxy-Authenticate: Basic realm="relay"')
                )
            try:
                origin = _asked(found[1].decode(), found[2].decode("ascii"))
            except ValueError:
                return client.sendall(_answer(400, "Bad Request"))
            try:
                server, proxied = self._connected(origin, tunnel=found[1] == b"CONNECT")
            except ForbiddenAddressError as error:
                self.refused.append(error)
                return client.sendall(_answer(403, "Forbidden"))
            except OSError as error:
                self.failures.append(_why(error))
                return client.sendall(_answer(502, "Bad Gateway"))
            with self._held(server):
                if found[1] == b"CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    server.sendall(_passed_on(head, proxied))
                server.sendall(rest)
                _exchange(client, server)
        return None

    @contextlib.contextmanager
    def _held(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            if self._closed:
                connection.close()
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _connected(self, origin: Origin, *, tunnel: bool) -> tuple[socket.socket, str | None]:
        """A connection to an origin, or to the proxy that goes on to it; and the login header for that proxy.

        Raises:
            ForbiddenAddressError: it may not be asked.
            OSError: it does not answer.
        """
        proxy = self._reach.proxy(origin)
        if proxy is None:
            return self._reach.connect(origin, _CONNECT_SECONDS), None
        self._reach.check(origin)
        parts = urlsplit(proxy)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise OSError("only http and https proxies are used")
        login = ""
        if parts.username is not None:
            plain = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            login = f"Proxy-Authorization: Basic {base64.b64encode(plain.encode()).decode()}\r\n"
        port = parts.port or (443 if parts.scheme == "https" else 80)
        server = socket.create_connection((parts.hostname, port), timeout=_CONNECT_SECONDS)
        try:
            if parts.scheme == "https":
                server = ssl.create_default_context().wrap_socket(server, server_hostname=parts.hostname)
            if tunnel:
                host = f"[{origin[1]}]" if ":" in origin[1] else origin[1]
                place = f"{host}:{origin[2]}"
                server.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{login}\r\n".encode())
                _expect_tunnel(server)
        except OSError:
            server.close()
            raise
        return server, login


def _expect_tunnel(proxy: socket.socket) -> None:
    answer = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", _head(proxy)[0])
    if answer is None or answer[1] != b"200":
        raise OSError(f"the proxy of this machine answers {answer[1].decode() if answer else 'nothing of HTTP'}")


def _why(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "its name is not known here"
    if isinstance(error, TimeoutError):
        return f"no connection within {_CONNECT_SECONDS:g} seconds"
    return (error.strerror or str(error)).lower() if error.errno else str(error)


def _asked(method: str, target: str) -> Origin:
    """What a request leads to.

    Raises:
        ValueError: nowhere.
    """
    if method == "CONNECT":
        found = _AUTHORITY.fullmatch(target)
        if found is None or not 0 < int(found[2]) < 65536:
            raise ValueError(target)
        return "https", found[1].strip("[]").rstrip(".").lower(), int(found[2])
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname or "\\" in parts.netloc or "@" in parts.netloc:
        raise ValueError(target)
    return origin_of(parts)


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """The head of a message, and what came after it.

    Raises:
        OSError: there is none.
    """
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_PIECE)
        data += piece
        if not piece or len(data) > _HEAD_BYTES:
            raise OSError("no head")
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _passed_on(head: bytes, login: str | None) -> bytes:
    """The head of a plain request as the server gets it (``login`` None), or the next proxy."""
    line, *headers = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = line.split(b" ")
    if login is None:
        parts = urlsplit(target.decode("ascii"))
        path = parts._replace(scheme="", netloc="").geturl()
        target = (path if path.startswith("/") else f"/{path}").encode()
    kept = [each for each in headers if not each.lower().startswith(_NOT_PASSED_ON)]
    added = [each for each in (login or "").encode().split(b"\r\n") if each]
    # One request a connection: the next one may lead elsewhere, and is judged anew.
    return b"\r\n".join((b" ".join((method, target, version)), *kept, *added, b"Connection: close", b"", b""))


def _exchange(client: socket.socket, server: socket.socket) -> None:
    """Pass on what each of them says, until both have ended."""
    for each in (client, server):
        each.settimeout(None)
    other = threading.Thread(target=_pass, args=(client, server), name="relay", daemon=True)
    other.start()
    _pass(server, client, lambda size: MOVED.add(fetched=size))
    # An answer that is over is over: nothing is waited for that the client would still send.
    for each in (client, server):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
    other.join()


def _pass(source: socket.socket, target: socket.socket, told: Callable[[int], None] = lambda _: None) -> None:
    """Pass on what one says until it has ended; how much came is told before it is passed on."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            told(len(piece))
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def _answer(status: int, reason: str, *headers: bytes) -> bytes:
    return b"\r\n".join(
        (f"HTTP/1.1 {status} {reason}".encode(), *headers, b"Content-Length: 0", b"Connection: close", b"", b"")
    )
