"""A server on loopback that webhooks are sent to; it can be told to misbehave."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Webhook:
    """Answers every request with one status; ``hang`` answers only once it is closed."""

    def __init__(self, *, status: int = 204, location: str | None = None, hang: bool = False) -> None:
        self.received: list[Received] = []
        self._closed = threading.Event()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_POST(self) -> None:
                """Keep it and answer."""
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                webhook.received.append(Received(self.path, headers, body))
                if hang:
                    webhook._closed.wait(60)
                    self.close_connection = True
                    return
                self.send_response(status)
                if location is not None:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the name is the library's

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_address[1]

    def url(self, path: str = "/hook", *, scheme: str = "http", login: str = "") -> str:
        """An address of it."""
        return f"{scheme}://{login}127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop, and let go of what hangs."""
        self._closed.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
