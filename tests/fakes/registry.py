"""A package index on 127.0.0.1 that can be told to misbehave.

It serves the simple index as JSON (PEP 691, PEP 700, the ``provenance`` key of PEP 740), the metadata of wheels
(PEP 658) and the files; and npm packages: packument, tarball, attestations.
``registry.fault(path, Fault(…), times=2)`` makes the next two answers below a path go wrong.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
import socket
import ssl
import struct
import threading
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.projects import UPLOADED, Distribution
from tests.fakes.web_server import Quiet, WebServer

JSON = "application/vnd.pypi.simple.v1+json"
HANG_SECONDS = 30.0
"""A hanging answer is let go after this, or when the registry closes."""


@dataclass(frozen=True)
class Fault:
    """One way for an answer to go wrong."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    """Served instead of what is there."""
    truncate: int | None = None
    """The connection is closed after this many bytes of the promised body."""
    slow: float = 0.0
    """Seconds waited before each kilobyte of the body."""
    hang: bool = False
    """Nothing is answered until the registry closes."""
    reset: bool = False
    """The connection is reset (RST) without an answer."""


def server_error(status: int = 500) -> Fault:
    """An answer with an error status."""
    return Fault(status=status, body=b"trouble\n")


def too_many(retry_after: str | None = None) -> Fault:
    """429, with Retry-After when given."""
    return Fault(status=429, body=b"slow down\n", headers={} if retry_after is None else {"Retry-After": retry_after})


def redirect(location: str, status: int = 302) -> Fault:
    """A redirection to ``location``."""
    return Fault(status=status, body=b"", headers={"Location": location})


def gzip_bomb(size: int) -> Fault:
    """A small body that grows to ``size`` bytes when its Content-Encoding is undone."""
    return Fault(body=gzip.compress(bytes(size)), headers={"Content-Encoding": "gzip", "Content-Type": JSON})


@dataclass(frozen=True)
class Request:
    """One request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""


@dataclass(frozen=True)
class _Resource:
    body: bytes
    media_type: str


class Registry(WebServer):
    """The simulator; use it with ``with``."""

    def __init__(
        self,
        *,
        upload_times: bool = True,
        etags: bool = False,
        cache_control: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.etags = etags
        self.cache_control = cache_control
        self.last_modified: str | None = None
        self.requests: list[Request] = []
        self.not_modified = 0
        self.credentials: str | None = None
        """``user:password`` every request must carry, when set."""
        self.token: str | None = None
        """Bearer token every request must carry, when set."""
        self._upload_times = upload_times
        self._projects: dict[str, list[dict[str, Any]]] = {}
        self._packages: dict[str, dict[str, Any]] = {}
        self._resources: dict[str, _Resource] = {}
        self._faults: list[tuple[str, Fault]] = []
        self._lock = threading.Lock()
        super().__init__(_Handler, _Server)
        self.server.registry = self
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    @property
    def base(self) -> str:
        """URL of the server, without a path."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """URL of the index, as for pip's ``--index-url``."""
        return f"{self.base}/simple"

    def publish(self, *distributions: Distribution) -> None:
        """Publish files of a release together."""
        for each in distributions:
            self.add(each, uploaded=UPLOADED)

    def add(self, distribution: Distribution, *, uploaded: datetime | None = None, **options: Any) -> str:
        """Publish a distribution; see :meth:`add_file`."""
        return self.add_file(
            distribution.project, distribution.filename, distribution.data, uploaded=uploaded, **options
        )

    def add_file(
        self,
        project: str,
        filename: str,
        data: bytes,
        *,
        uploaded: datetime | None = None,
        requires_python: str | None = None,
        yanked: str | bool | None = None,
        provenance: str | None = None,
        sha256: str | None = None,
    ) -> str:
        """Publish a file and give its URL.

        Args:
            project: Project name, not necessarily normalised.
            filename: File name.
            data: What a download gives.
            uploaded: Upload time; 2024-03-02 when None.
            requires_python: Of the index entry.
            yanked: True or the reason.
            provenance: URL of the provenance object (PEP 740).
            sha256: What the index says, when it is to lie.
        """
        name = _normal(project)
        path = f"/files/{name}/{filename}"
        moment = uploaded or datetime(2024, 3, 2, tzinfo=UTC)
        entry: dict[str, Any] = {
            "filename": filename,
            "url": f"{self.base}{path}",
            "hashes": {"sha256": sha256 or hashlib.sha256(data).hexdigest()},
            "size": len(data),
            "yanked": False if yanked is None else yanked,
            "requires-python": requires_python,
        }
        if provenance is not None:
            entry["provenance"] = provenance
        if self._upload_times:
            entry["upload-time"] = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        metadata = _wheel_metadata(data) if filename.endswith(".whl") else None
        if metadata is not None:
            entry["core-metadata"] = {"sha256": hashlib.sha256(metadata).hexdigest()}
            self.serve(f"{path}.metadata", metadata)
        self.serve(path, data)
        with self._lock:
            entries = self._projects.setdefault(name, [])
            entries[:] = [each for each in entries if each["filename"] != filename] + [entry]
        return f"{self.base}{path}"

    @property
    def npm_url(self) -> str:
        """URL of the npm registry, as for npm's ``registry`` setting."""
        return f"{self.base}/npm"

    def add_package(
        self,
        name: str,
        version: str,
        tarball: bytes,
        *,
        attestations: bytes | None = None,
        signatures: list[dict[str, str]] | None = None,
        published: datetime | None = None,
        integrity: str | None = None,
        **more: Any,
    ) -> str:
        """Publish one version of an npm package and give the address of its packument.

        Args:
            name: With its scope.
            version: Of the release; it becomes the latest.
            tarball: What a download gives.
            attestations: The attestation document, as recorded.
            signatures: ``dist.signatures``.
            published: 2024-03-02 when None.
            integrity: What the packument says, when it is to lie.
            more: Further fields of the version, such as ``deprecated``.
        """
        path = f"/npm/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
        digest = base64.b64encode(hashlib.sha512(tarball).digest()).decode()
        dist: dict[str, Any] = {
            "tarball": self.serve(path, tarball),
            "integrity": integrity or f"sha512-{digest}",
            "shasum": hashlib.sha1(tarball).hexdigest(),  # noqa: S324 - registries give it
            "signatures": signatures or [],
        }
        if attestations is not None:
            address = f"/npm/-/npm/v1/attestations/{name}@{version}"
            url = self.serve(address, attestations, "application/json")
            dist["attestations"] = {"url": url, "provenance": {"predicateType": "https://slsa.dev/provenance/v1"}}
        moment = (published or datetime(2024, 3, 2, tzinfo=UTC)).astimezone(UTC)
        with self._lock:
            package = self._packages.setdefault(
                name, {"_id": name, "name": name, "dist-tags": {}, "versions": {}, "time": {}}
            )
            package["dist-tags"]["latest"] = version
            package["versions"][version] = {"name": name, "version": version, "dist": dist, **more}
            package["time"][version] = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
            document = json.dumps(package).encode()
        return self.serve(f"/npm/{name.replace('/', '%2F')}", document, "application/json")

    def serve(self, path: str, body: bytes, media_type: str = "application/octet-stream") -> str:
        """Serve any bytes at a path (a raw index document too); give the URL."""
        with self._lock:
            self._resources[path] = _Resource(body, media_type)
        return f"{self.base}{path}"

    def remove(self, path: str) -> None:
        """Answer 404 for a path that was served."""
        with self._lock:
            del self._resources[path]

    def fault(self, path: str, fault: Fault, *, times: int = 1) -> None:
        """Let the next ``times`` answers to paths that begin with ``path`` go wrong, after those already planned."""
        with self._lock:
            self._faults += [(path, fault)] * times

    def count(self, path: str = "/") -> int:
        """How many requests came for paths that begin with ``path``."""
        with self._lock:
            return sum(1 for each in self.requests if each.path.startswith(path))

    def _next_fault(self, path: str) -> Fault | None:
        with self._lock:
            for position, (prefix, fault) in enumerate(self._faults):
                if path.startswith(prefix):
                    del self._faults[position]
                    return fault
        return None

    def _find(self, path: str) -> _Resource | None:
        with self._lock:
            if path in self._resources:
                return self._resources[path]
            match = re.fullmatch(r"/simple/([^/]+)/", path)
            entries = self._projects.get(match[1]) if match else None
            if match is None or entries is None:
                return None
            return _Resource(json.dumps(_index_document(match[1], entries)).encode(), JSON)


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    registry: Registry

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not news."""


class _Handler(Quiet, BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = HANG_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        registry = self.server.registry
        headers = {name.lower(): value for name, value in self.headers.items()}
        path = self.path.split("?")[0].split("#")[0]
        with registry._lock:
            registry.requests.append(Request(self.command, path, headers))
        # A kept connection would keep its thread, and closing the registry waits for threads.
        self.close_connection = True
        fault = registry._next_fault(path)
        if fault is not None and fault.hang:
            registry.ended.wait(HANG_SECONDS)
            return
        if fault is not None and fault.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        if registry.credentials is not None and not _authorised(headers, registry.credentials):
            self._send(401, b"", {"WWW-Authenticate": 'Basic realm="index"'}, Fault())
            return
        if registry.token is not None and headers.get("authorization") != f"Bearer {registry.token}":
            self._send(401, b"", {}, Fault())
            return
        self._send_resource(path, headers, fault or Fault())

    def _send_resource(self, path: str, headers: dict[str, str], fault: Fault) -> None:
        registry = self.server.registry
        resource = registry._find(path)
        if resource is None and fault.body is None:
            self._send(404, b"not here\n", {}, Fault())
            return
        body = fault.body if fault.body is not None or resource is None else resource.body
        answer = {"Content-Type": resource.media_type if resource else "text/plain"}
        etag = f'"{hashlib.sha256(body or b"").hexdigest()[:16]}"'
        if fault.status == 200:
            answer |= {"ETag": etag} if registry.etags else {}
            answer |= {"Cache-Control": registry.cache_control} if registry.cache_control else {}
            answer |= {"Last-Modified": registry.last_modified} if registry.last_modified else {}
            same = registry.last_modified is not None and headers.get("if-modified-since") == registry.last_modified
            if (registry.etags and headers.get("if-none-match") == etag) or same:
                registry.not_modified += 1
                del answer["Content-Type"]
                self._send(304, b"", answer, Fault())
                return
        self._send(fault.status, body or b"", answer | fault.headers, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: Fault) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body)), "Connection": "close"} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or status == 304:
            return
        body = body if fault.truncate is None else body[: fault.truncate]
        if not fault.slow:
            self.wfile.write(body)
            return
        for start in range(0, len(body), 1024):
            if self.server.registry.ended.wait(fault.slow):
                return
            self.wfile.write(body[start : start + 1024])
            self.wfile.flush()


def _authorised(headers: dict[str, str], credentials: str) -> bool:
    return headers.get("authorization") == "Basic " + base64.b64encode(credentials.encode()).decode()


def _index_document(name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    versions = sorted({_version(each["filename"]) for each in entries})
    return {"meta": {"api-version": "1.1"}, "name": name, "versions": versions, "files": entries}


def _version(filename: str) -> str:
    if filename.endswith(".whl"):
        return filename.split("-")[1]
    return filename.removesuffix(".tar.gz").removesuffix(".zip").rpartition("-")[2]


def _normal(project: str) -> str:
    return re.sub(r"[-_.]+", "-", project).lower()


def _wheel_metadata(data: bytes) -> bytes | None:
    """``METADATA`` of a wheel; None when these bytes are no wheel, which a test may well want."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            return archive.read(names[0]) if names else None
    except (zipfile.BadZipFile, OSError):
        return None
