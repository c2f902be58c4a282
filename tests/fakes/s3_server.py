"""S3 on loopback: SeaweedFS, a real server; and a small one that keeps none of its promises."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.fakes.web_server import Quiet, WebServer

BUCKET = "fleet"
_PROGRAM = Path(sys.executable).parent / "weed"
_TRIES = 240


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; below 20000, since SeaweedFS listens 10000 above each, too.

    Processes that run tests at once begin to look at places of their own.
    """
    found: list[int] = []
    for port in range(10_000 + os.getpid() * 37 % 9_900, 20_000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("No ports are free.")


def credentials(endpoint: str, identity: Mapping[str, Any] | None = None) -> dict[str, str]:
    """What an S3 client reads from its environment; for an identity as SeaweedFS has it."""
    [keys] = identity["credentials"] if identity is not None else [{"accessKey": "tests", "secretKey": "tests"}]
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys["accessKey"],
        "AWS_SECRET_ACCESS_KEY": keys["secretKey"],
    }


class Seaweed:
    """SeaweedFS with a bucket, on loopback; what it stores outlives a kill."""

    def __init__(self) -> None:
        assert _PROGRAM.exists(), "SeaweedFS is not installed; run `make .venv/.installed`."
        self._directory = Path(tempfile.mkdtemp(prefix="rebuilder-seaweed-"))
        self._port, master, volume, filer = free_ports(4)
        options = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": self._directory, "s3.port": self._port}
        options |= {"master.port": master, "volume.port": volume, "filer.port": filer, "volume.max": 30}
        options |= {
            "master.volumeSizeLimitMB": 64,
            "master.telemetry": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
        }
        words = (f"-{name}={value}" for name, value in options.items())
        self._command = [str(_PROGRAM), "server", "-s3", "-filer", *words]
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self.start()

    def start(self) -> None:
        """Start it, and wait until the bucket is there."""
        with (self._directory / "log").open("ab") as log:
            self._server = subprocess.Popen(
                self._command,
                cwd=self._directory,
                env={"PATH": os.environ["PATH"], "HOME": str(self._directory)},  # credentials would lock the bucket
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        for _ in range(_TRIES):
            if _made(self._port):
                return
            assert self._server.poll() is None, (self._directory / "log").read_text()
            time.sleep(0.25)  # it is another program: nothing tells when it is ready
        raise AssertionError((self._directory / "log").read_text())

    def guard(self, *identities: Mapping[str, Any]) -> None:
        """Start it anew: nobody but these may do anything, and each only what it says."""
        self.stop()
        config = self._directory / "identities.json"
        config.write_text(json.dumps({"identities": identities}))
        self._command = [each for each in self._command if not each.startswith("-s3.config")]
        self._command.append(f"-s3.config={config}")
        self.start()

    def stop(self) -> None:
        """Kill it."""
        self._server.kill()
        self._server.wait()

    def close(self) -> None:
        """Stop it for good."""
        self._server.terminate()
        try:
            self._server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)


@contextmanager
def seaweed() -> Iterator[str]:
    """A server with an empty bucket; gives its endpoint."""
    server = Seaweed()
    try:
        yield server.endpoint
    finally:
        server.close()


def _made(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("PUT", f"/{BUCKET}")
        return connection.getresponse().status in {200, 403, 409}  # made now, or before
    except OSError:
        return False
    finally:
        connection.close()


class CarelessS3:
    """Answers like S3 as far as clients can tell: conditions are ignored, and bytes may be others than were stored."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: list[str] = []
        self.conditions = 0
        self.changed: dict[str, bytes] = {}
        """What is given in the place of an object, by the end of its name."""
        self.endpoint = ""

    def given(self, key: str) -> bytes | None:
        """The bytes of an object as they are given out."""
        for end, other in self.changed.items():
            if key.endswith(end):
                return other
        return self.objects.get(key)


@contextmanager
def careless() -> Iterator[CarelessS3]:
    """A server that keeps no promise."""
    store = CarelessS3()

    class Handler(Quiet, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _key(self) -> str:
            return unquote(urlsplit(self.path).path).removeprefix(f"/{BUCKET}/")

        def _answer(self, status: int, body: bytes = b"", *, head: bool = False) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"same for all"')
            self.send_header("Last-Modified", "Sun, 01 Nov 2026 12:00:00 GMT")
            self.end_headers()
            if not head:
                self.wfile.write(body)

        def do_PUT(self) -> None:
            data = self._body()
            store.conditions += "If-None-Match" in self.headers
            store.objects[self._key()] = data
            store.written.append(self._key())
            self._answer(200)

        def _body(self) -> bytes:
            if (length := self.headers.get("Content-Length")) is not None:
                return self.rfile.read(int(length))
            data = b""
            while size := int(re.split(rb"[;\r]", self.rfile.readline())[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data

        def _get(self, *, head: bool) -> None:
            found = store.given(self._key())
            self._answer(404 if found is None else 200, found or b"", head=head)

        def do_GET(self) -> None:
            self._get(head=False)

        def do_HEAD(self) -> None:
            self._get(head=True)

    with WebServer(Handler) as server:
        store.endpoint = server.address
        yield store


@contextmanager
def refusing() -> Iterator[str]:
    """Answers everything as S3 answers whose clock is a day off; gives its endpoint."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403, "RequestTimeTooSkewed")

        def do_GET(self) -> None:
            self.do_HEAD()

    with WebServer(Handler) as server:
        yield server.address
