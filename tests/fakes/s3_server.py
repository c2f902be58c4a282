"""S3 on loopback: SeaweedFS, a real server; and a small one that keeps none of its promises."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

BUCKET = "fleet"
_PROGRAM = Path(sys.executable).parent / "weed"
_TRIES = 240


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; below 20000, since SeaweedFS listens 10000 above each, too."""
    found: list[int] = []
    for port in range(10_000 + os.getpid() % 5000, 20_000):
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


def credentials(endpoint: str) -> dict[str, str]:
    """What an S3 client reads from its environment."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "tests",
        "AWS_SECRET_ACCESS_KEY": "tests",
    }


@contextmanager
def seaweed() -> Iterator[str]:
    """A server with an empty bucket; gives its endpoint."""
    assert _PROGRAM.exists(), "SeaweedFS is not installed; run `make .venv/.installed`."
    directory = Path(tempfile.mkdtemp(prefix="rebuilder-seaweed-"))
    s3, master, volume, filer = free_ports(4)
    options = {"ip": "127.0.0.1", "ip.bind": "127.0.0.1", "dir": directory, "s3.port": s3, "master.port": master}
    options |= {"volume.port": volume, "filer.port": filer, "volume.max": 30, "master.volumeSizeLimitMB": 64}
    options |= {"s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false"}
    command = [str(_PROGRAM), "server", "-s3", "-filer", *(f"-{name}={value}" for name, value in options.items())]
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        for _ in range(_TRIES):
            if _made(s3):
                break
            assert server.poll() is None, (directory / "log").read_text()
            time.sleep(0.25)  # it is another program: nothing tells when it is ready
        else:
            raise AssertionError((directory / "log").read_text())
        yield f"http://127.0.0.1:{s3}"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _made(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("PUT", f"/{BUCKET}")
        return connection.getresponse().status == 200
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

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Nobody listens."""

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

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        store.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield store
        finally:
            server.shutdown()
