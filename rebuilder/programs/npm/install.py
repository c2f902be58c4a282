"""Run a package manager with a registry that has the tarballs among the inputs, and nothing else.

``install [options] -- COMMAND…``: a lock file may be put in place for that time; afterwards the one of the source is
there again, or none, as it was. What was asked for and is not among the inputs is printed, in order of names.

The registry is on this machine's loopback. Package managers of every version ask it as they ask any, so each installs
by its own code. The file of a release is named after package and version (:mod:`rebuilder.programs.npm.loopback`):
whatever name a tarball itself states counts for nothing. A package's document is made of the ``package.json`` in its
tarballs when somebody asks for it, unless one is given.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from rebuilder.programs.npm.loopback import ADDRESS, PORT, TARBALLS

_CACHE = "/build/package-cache"
"""On the file system of the source, so that what is installed may be links to it."""
_MOST_NAMED = 20

ENVIRONMENT = {
    "npm_config_registry": f"{ADDRESS}/",
    "npm_config_cache": f"{_CACHE}/npm",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_fetch_retries": "0",
    "npm_config_ignore_scripts": "true",
    "npm_config_offline": "false",
    "npm_config_package_lock": "true",
    "npm_config_progress": "false",
    "npm_config_store_dir": f"{_CACHE}/pnpm",
    "npm_config_update_notifier": "false",
    "npm_config_manage_package_manager_versions": "false",
    "YARN_CACHE_FOLDER": "/build/yarn-cache",  # stays: what yarn installs without node_modules is read from there
    "YARN_ENABLE_GLOBAL_CACHE": "false",
    "YARN_ENABLE_SCRIPTS": "false",
    "YARN_ENABLE_TELEMETRY": "false",
    "YARN_IGNORE_PATH": "1",
    "YARN_NPM_REGISTRY_SERVER": ADDRESS,
    "YARN_UNSAFE_HTTP_WHITELIST": "127.0.0.1",
}
"""What npm, pnpm and yarn are told. No script runs: those that are needed are steps of their own."""


_CLASSIC = {"YARN_REGISTRY": ADDRESS}


def told(command: str) -> dict[str, str]:
    """What a package manager is told: Yarn 2 and later refuse to run with a setting that only Yarn 1 has."""
    return ENVIRONMENT if "/cli-dist-" in command else ENVIRONMENT | _CLASSIC


def main(argv: list[str]) -> int:
    """Run the program: what the package manager said, or 64."""
    parser = argparse.ArgumentParser(prog="install", allow_abbrev=False)
    parser.add_argument("--tarballs", default=TARBALLS, help="directory of tarballs, NAME@VERSION.tgz")
    parser.add_argument("--documents", help="directory of documents of packages, NAME.json")
    parser.add_argument("--lock", help="lock file to be put in place")
    parser.add_argument("--at", help="where it belongs")
    parser.add_argument("--directory", required=True, help="to install in")
    parser.add_argument("--missing", help="JSON file to write with what is not among the inputs")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(argv)
    if (options.lock is None) != (options.at is None):
        parser.error("--lock and --at belong together")
    releases = Releases(options.tarballs, options.documents)
    with _serving(releases), _in_place(options.lock, options.at):
        code = subprocess.run(
            options.command, cwd=options.directory, env={**os.environ, **told(options.command[0])}, check=False
        ).returncode
    shutil.rmtree(_CACHE, ignore_errors=True)
    missing = sorted(releases.missing)
    for each in missing[:_MOST_NAMED]:
        print(f"install: {each!a} was asked for and is not among the inputs", file=sys.stderr)
    if len(missing) > _MOST_NAMED:
        print(f"install: and {len(missing) - _MOST_NAMED} more", file=sys.stderr)
    if options.missing:
        with open(options.missing, "w", encoding="utf-8") as file:
            json.dump(missing, file)
    return code


@contextlib.contextmanager
def _serving(releases: Releases) -> Iterator[None]:
    server = LoopbackRegistry(releases)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _in_place(lock: str | None, at: str | None) -> Iterator[None]:
    """Have another lock file there for a while; the source's own is moved aside, with its times."""
    if lock is None or at is None:
        yield
        return
    aside = f"{at}.aside"
    had = os.path.lexists(at)
    if had:
        os.rename(at, aside)
    shutil.copyfile(lock, at)
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(at)
        if had:
            os.rename(aside, at)


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
