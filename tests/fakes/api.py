"""Clients of the HTTP API, and a server to be one of."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from rebuilder.model.report import page_path
from rebuilder.service.api.app import make_app
from rebuilder.service.api.context import ApiContext
from rebuilder.service.api.server import HttpServer
from tests.fakes import reports
from tests.fakes.api_context import SECRET

TOKEN = {"Authorization": f"Bearer {SECRET}"}
SPINDLE = reports.artifact("spindle", "3.1.6")
PAGE = "/" + page_path("pypi", "spindle", "3.1.6", SPINDLE.filename, SPINDLE.sha256)


def raw(address: str, request: bytes) -> bytes:
    """What comes back for these very bytes, until the server closes."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def get(path: str) -> bytes:
    """A request as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()


@contextmanager
def serving(context: ApiContext) -> Iterator[httpx.Client]:
    """A server of its own, and a client of it."""
    server = HttpServer(make_app(context), "127.0.0.1:0")
    address = server.start()
    try:
        with httpx.Client(base_url=f"http://{address}", trust_env=False, timeout=60) as client:
            yield client
    finally:
        server.stop(5)
