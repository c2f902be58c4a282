"""Serves the proxy on an address: threads, a time limit for each request, and nothing written down about them."""

from __future__ import annotations

import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from rebuilder.consumer.proxy.application import Application
from rebuilder.errors import UsageError

_SECONDS = 60.0


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing of installers that went away; everything else is a fault of ours."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(WSGIRequestHandler):
    timeout = _SECONDS

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing: what does not pass is told by the application."""

    def address_string(self) -> str:
        """The address as it is; no name server is asked."""
        return str(self.client_address[0])


def bind(application: Application, listen: str) -> WSGIServer:
    """Take an address; the server is started with ``serve_forever``.

    Args:
        application: What answers.
        listen: Address and port; port 0: any.

    Raises:
        UsageError: it is none, or is taken.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{listen!r} is no address with a port.", hint="Such as 127.0.0.1:8090.")
    try:
        return make_server(host.strip("[]"), int(port), application, _Server, _Handler)
    except OSError as error:
        raise UsageError(f"Nothing can be served on {listen}: {error.strerror}.") from None
