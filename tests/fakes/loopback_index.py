"""A package index on this machine that remembers what it was asked for."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeVar

from tests.fakes.web_server import Quiet, WebServer

JSON = "application/vnd.pypi.simple.v1+json"


def wheel(name: str, version: str, more: Mapping[str, bytes] = {}) -> bytes:
    """A wheel that installs a module, and more files if they are given."""
    data, info = io.BytesIO(), f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    files = {
        f"{name}.py": b"VALUE = 1\n",
        **more,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(data, "w") as archive:
        for path, content in {**files, f"{info}/RECORD": rows.encode()}.items():
            archive.writestr(zipfile.ZipInfo(path, (2025, 1, 1, 0, 0, 0)), content)
    return data.getvalue()


@dataclass
class LoopbackIndex:
    """Files by name; what was asked for, in order."""

    files: dict[str, bytes] = field(default_factory=dict)
    more: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further members of the entry of a file."""
    asked: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def url(self) -> str:
        """Of the index."""
        return f"{self.address}/simple"

    def answer(self, path: str, accept: str) -> tuple[str, bytes | None]:
        """Media type and bytes of what is at an address; None: nothing."""
        _, place, *rest = path.split("/")
        if place == "simple":
            return JSON, self.page(rest[0])
        return "application/octet-stream", self.files.get(rest[-1])

    @property
    def fetched(self) -> list[str]:
        """Names of files whose bytes were asked for."""
        return [each.rpartition("/")[2] for each in self.asked if each.startswith("/f/") and ".metadata" not in each]

    def page(self, project: str) -> bytes | None:
        """The page of a project; addresses are relative to it."""
        rows = [
            {
                "filename": name,
                "url": f"../../f/{name}",
                "hashes": {"sha256": hashlib.sha256(data).hexdigest()},
                "size": len(data),
                "upload-time": "2025-01-01T00:00:00Z",
                "yanked": False,
                **self.more.get(name, {}),
            }
            for name, data in self.files.items()
            if name.split("-")[0].replace("_", "-") == project
        ]
        versions = sorted({row["filename"].split("-")[1] for row in rows})
        document = {"meta": {"api-version": "1.1"}, "name": project, "versions": versions, "files": rows}
        return json.dumps(document).encode() if rows else None


Index = TypeVar("Index", bound=LoopbackIndex)


@contextmanager
def serving(index: Index) -> Iterator[Index]:
    """The index on a port of this machine."""

    class Handler(Quiet, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            index.asked.append(self.path)
            kind, data = index.answer(self.path, self.headers["Accept"] or "")
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data or b"")

        do_HEAD = do_GET  # noqa: N815

    with WebServer(Handler) as server:
        index.address = server.address
        yield index
