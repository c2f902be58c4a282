"""A registry of npm packages that serves exactly the tarballs it is given, on this machine's loopback.

Package managers of every version ask it as they ask any registry, so each installs by its own code. The file of a
release is named after package and version (:mod:`rebuilder.programs.npm.loopback`): whatever name a tarball itself
states counts for nothing. A package's document is made of the ``package.json`` in its tarballs when somebody asks for
it, unless one is given.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from rebuilder.programs.npm.loopback import ADDRESS, PORT

_TARBALL = re.compile(r"(?P<name>(?:@[^/@]+/)?[^/@]+)/-/(?:[^/]+/)?(?P<file>[^/]+\.tgz)")
_MANIFEST_BYTES = 16 << 20
_CHUNK = 1 << 20


class Releases:
    """Tarballs in a directory, and documents of packages in another."""

    def __init__(self, tarballs: str, documents: str | None = None) -> None:
        self.missing: set[str] = set()
        """What was asked for and is not there: names of packages, and ``NAME@VERSION`` for tarballs."""
        self._tarballs: dict[str, dict[str, str]] = {}
        self._made: dict[str, bytes] = {}
        self._documents = documents
        for each in sorted(os.listdir(tarballs)) if os.path.isdir(tarballs) else ():
            name, at, version = each.removesuffix(".tgz").rpartition("@")
            if at:
                self._tarballs.setdefault(name.replace("+", "/", 1), {})[version] = os.path.join(tarballs, each)

    def answer(self, path: str) -> tuple[str, IO[bytes]] | None:
        """Media type and content of a path, which the caller closes; None: there is nothing."""
        path = unquote(urlsplit(path).path).lstrip("/")
        found = _TARBALL.fullmatch(path)
        if found is not None:
            place = self._tarball(found["name"], found["file"])
            return None if place is None else ("application/octet-stream", open(place, "rb"))
        document = None if path.startswith("-/") else self._document(path)
        return None if document is None else ("application/json", io.BytesIO(document))

    def _tarball(self, name: str, file: str) -> str | None:
        version = file.removesuffix(".tgz").removeprefix(f"{name.rpartition('/')[2]}-")
        place = self._tarballs.get(name, {}).get(version)
        if place is None:
            self.missing.add(f"{name}@{version}")
        return place

    def _document(self, name: str) -> bytes | None:
        if self._documents is not None:
            try:
                with open(os.path.join(self._documents, f"{name.replace('/', '+')}.json"), "rb") as document:
                    return document.read()
            except OSError:
                pass
        if name not in self._tarballs:
            self.missing.add(name)
            return None
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> bytes:
        versions = {version: release(name, version, place) for version, place in self._tarballs[name].items()}
        latest = max(versions, key=lambda each: ("-" not in each, [int(n) for n in re.findall(r"\d+", each)[:3]]))
        return json.dumps({"name": name, "dist-tags": {"latest": latest}, "versions": versions}).encode()


def release(name: str, version: str, place: str) -> dict[str, Any]:
    """The entry of a release in the document of its package, made of its tarball."""
    sha512, sha1 = hashlib.sha512(), hashlib.sha1()  # noqa: S324 - what old package managers compare
    with open(place, "rb") as tarball:
        while chunk := tarball.read(_CHUNK):
            sha512.update(chunk)
            sha1.update(chunk)
    address = f"{ADDRESS}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    integrity = f"sha512-{base64.b64encode(sha512.digest()).decode()}"
    return {
        **_manifest(place),
        "name": name,
        "version": version,
        "dist": {"tarball": address, "integrity": integrity, "shasum": sha1.hexdigest()},
    }


def _manifest(place: str) -> dict[str, Any]:
    """The package.json that lands last when a tarball is unpacked, and whether a lock file is beside it."""
    manifest: Any = None
    shrinkwrap = False
    try:
        with tarfile.open(place, "r|*") as archive:
            for member in archive:
                path = member.name.partition("/")[2]
                shrinkwrap |= path == "npm-shrinkwrap.json"
                if path == "package.json" and member.isfile() and member.size <= _MANIFEST_BYTES:
                    content = archive.extractfile(member)
                    manifest = json.loads(content.read()) if content is not None else None
    except (tarfile.TarError, OSError, EOFError, ValueError, RecursionError):
        manifest = None  # the package manager says what is wrong with it
    found = dict(manifest) if isinstance(manifest, dict) else {}
    return found | {"_hasShrinkwrap": True} if shrinkwrap else found


class LoopbackRegistry(ThreadingHTTPServer):
    """Serves releases until it is shut down."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, releases: Releases) -> None:
        super().__init__(("127.0.0.1", PORT), _Answers)
        self.releases = releases


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LoopbackRegistry

    def do_GET(self) -> None:
        """Give a document or a tarball."""
        found = self.server.releases.answer(self.path)
        absent = ("application/json", io.BytesIO(b'{"error": "not among the inputs of this build"}'))
        self._send(200 if found is not None else 404, *(found or absent))

    do_HEAD = do_GET  # noqa: N815 - as the base has it

    def do_POST(self) -> None:
        """Nothing is to be had that way."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._send(404, "application/json", io.BytesIO(b"{}"))

    do_PUT = do_POST  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base has it
        """Say nothing: the log of a build does not depend on the order of requests."""

    def _send(self, status: int, media_type: str, content: IO[bytes]) -> None:
        with content:
            size = content.seek(0, os.SEEK_END)
            content.seek(0)
            self.send_response_only(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command != "HEAD":
                shutil.copyfileobj(content, self.wfile, _CHUNK)
