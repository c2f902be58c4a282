"""A git server on loopback that hands out local repositories, or misbehaves."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

from tests.fakes.repositories import git_program
from tests.fakes.web_server import Quiet, WebServer

Fault = Callable[[BaseHTTPRequestHandler], bool]
"""Answers a request wrongly; True when it did."""


class GitServer(WebServer):
    """``git http-backend`` behind a web server; ``old`` speaks protocol 0 only, which hands out what refs name.

    With a certificate, whose key is beside it, it speaks TLS. Used as a proxy, it makes no tunnel.
    """

    def __init__(
        self, root: Path, *, old: bool = False, fault: Fault | None = None, certificate: Path | None = None
    ) -> None:
        self.requests: list[str] = []
        """Methods and paths, in order."""
        self.authorizations: list[str] = []
        server = self

        class Handler(Quiet, BaseHTTPRequestHandler):
            """One request."""

            def do_GET(self) -> None:
                """Ask or fetch."""
                server.requests.append(f"{self.command} {self.path}")
                server.authorizations += self.headers.get_all("Authorization") or []
                if fault is None or not fault(self):
                    _backend(self, root, old=old)

            do_POST = do_CONNECT = do_GET  # noqa: N815 - the names are the library's

        super().__init__(Handler)
        self.url = self.address
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_name("key.pem"))
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.url = self.address.replace("http://", "https://")


def status(code: int) -> Fault:
    """Every request gets this answer."""

    def answer(request: BaseHTTPRequestHandler) -> bool:
        request.send_response(code)
        request.send_header("Content-Length", "0")
        if code == 401:
            request.send_header("WWW-Authenticate", 'Basic realm="x"')
        request.end_headers()
        return True

    return answer


def redirect(target: str) -> Fault:
    """Every request below ``/old`` is sent to ``target`` with the rest of its path."""

    def answer(request: BaseHTTPRequestHandler) -> bool:
        if not request.path.startswith("/old"):
            return False
        request.send_response(301)
        request.send_header("Location", target + request.path.removeprefix("/old"))
        request.send_header("Content-Length", "0")
        request.end_headers()
        return True

    return answer


def _backend(request: BaseHTTPRequestHandler, root: Path, *, old: bool) -> None:
    parts = urlsplit(request.path)
    body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(root),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "REQUEST_METHOD": request.command,
        "PATH_INFO": parts.path,
        "QUERY_STRING": parts.query,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "GIT_PROTOCOL": "" if old else request.headers.get("Git-Protocol", ""),
    }
    done = subprocess.run(
        [git_program(), "http-backend"], input=body, env=environment, capture_output=True, check=False, timeout=300
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = [line.partition(": ")[::2] for line in head.decode("latin-1").split("\r\n")]
    code = next((value.split()[0] for name, value in headers if name == "Status"), "200")
    request.send_response(int(code))
    for name, value in headers:
        if name != "Status":
            request.send_header(name, value)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content)
