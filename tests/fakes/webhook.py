"""A server on loopback that webhooks are sent to; it can be told to misbehave."""

from __future__ import annotations

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from tests.fakes.web_server import Quiet, WebServer


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Webhook(WebServer):
    """Answers every request with one status; ``hang`` answers only once it is closed."""

    def __init__(self, *, status: int = 204, location: str | None = None, hang: bool = False) -> None:
        self.received: list[Received] = []
        webhook = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            """One request."""

            def do_POST(self) -> None:
                """Keep it and answer."""
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                webhook.received.append(Received(self.path, headers, body))
                if hang:
                    webhook.ended.wait(60)
                    self.close_connection = True
                    return
                self.send_response(status)
                if location is not None:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - the name is the library's

        super().__init__(Handler)

    def url(self, path: str = "/hook", *, scheme: str = "http", login: str = "") -> str:
        """An address of it."""
        return f"{scheme}://{login}127.0.0.1:{self.port}{path}"
