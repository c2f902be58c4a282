"""Serves a WSGI application on an address: threads, a time limit for each request, and nothing written down about them.

With a certificate it speaks TLS only. Certificate and key are read again when their files change: whoever renews them
need not know of this program.
"""

from __future__ import annotations

import gc
import socketserver
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from rebuilder.errors import UsageError

_SECONDS = 60.0
CONNECTIONS = 256
"""At once; more are closed without an answer."""


@dataclass
class Certificate:
    """What a server shows who it is with.

    Args:
        chain: PEM, its own certificate first.
        key: PEM, without a passphrase.
        clients: PEM, who must have signed the certificates of clients; None: anybody is answered.

    Raises:
        UsageError: a file cannot be read, or is not what it must be.
    """

    chain: Path
    key: Path
    clients: Path | None = None
    _seen: object = field(default=None, init=False)

    def __post_init__(self) -> None:
        try:
            self._seen, self._context = self._stat(), self._read()
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"{self._sentence(error)}.", hint="All files are PEM, the key without passphrase."
            ) from None

    def context(self) -> ssl.SSLContext:
        """With the files as they are now; while these are no certificate and its key, as they were."""
        try:
            if (now := self._stat()) != self._seen:
                self._seen, self._context = now, self._read()
                print("The certificate was renewed.", file=sys.stderr, flush=True)  # noqa: T201
        except (OSError, ssl.SSLError) as error:
            if self._seen is not None:
                print(f"! {self._sentence(error)}; the one of before is shown.", file=sys.stderr, flush=True)  # noqa: T201
            self._seen = None
        return self._context

    def _stat(self) -> object:
        found = [each.stat() for each in (self.chain, self.key, self.clients) if each is not None]
        return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]

    def _read(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.chain, self.key, password=lambda: "")
        if self.clients is not None:
            made.verify_mode = ssl.CERT_REQUIRED
            made.load_verify_locations(cafile=self.clients)
        return made

    def _sentence(self, error: OSError) -> str:
        names = " and ".join(str(each) for each in (self.chain, self.key, self.clients) if each is not None)
        why = error.reason if isinstance(error, ssl.SSLError) and error.reason else error.strerror or "no PEM"
        return f"{names} cannot be used for TLS: {str(why).replace('_', ' ').lower()}"


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128
    certificate: Certificate | None = None

    def __init__(self, *arguments: Any) -> None:
        self._places = BoundedSemaphore(CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread of its own, where there is a place."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake, too, is made here: nobody can keep others waiting with it."""
        try:
            if self.certificate is not None:
                request.settimeout(_SECONDS)
                request = self.certificate.context().wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError:  # no TLS, or an address that went away
            self.shutdown_request(request)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing of clients that went away; everything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError | ssl.SSLError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: what does not pass is told by the application."""

    def address_string(self) -> str:
        """The address as it is; no name server is asked."""
        return str(self.client_address[0])


def bind(application: Callable[..., Any], listen: str, certificate: Certificate | None = None) -> WSGIServer:
    """Take an address; the server is started with ``serve_forever``.

    Args:
        application: What answers (PEP 3333).
        listen: Address and port; port 0: any.
        certificate: For TLS; None: none is spoken.

    Raises:
        UsageError: it is none, or is taken.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{listen!r} is no address with a port.", hint="Such as 127.0.0.1:8090.")
    try:
        server = make_server(host.strip("[]"), int(port), application, _Server, _Handler)
    except OSError as error:
        raise UsageError(f"Nothing can be served on {listen}: {error.strerror}.") from None
    server.certificate = certificate
    return server


def serve(server: WSGIServer, *paths: str) -> None:
    """Say where it is, and answer until the program is stopped."""
    host, port = server.server_address[:2]
    shown = f"[{host!s}]" if ":" in str(host) else str(host)
    scheme = "https" if getattr(server, "certificate", None) is not None else "http"
    places = ", ".join(f"{scheme}://{shown}:{port}{each}" for each in paths)
    print(f"Answering at {places}", file=sys.stderr, flush=True)  # noqa: T201
    gc.freeze()
    gc.enable()  # the command line collects nothing, since most commands are short
    with server:
        server.serve_forever()
