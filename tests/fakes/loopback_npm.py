"""A registry of npm packages on this machine that remembers what it was asked for."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from tests.fakes.loopback_index import LoopbackIndex

SHORT = "application/vnd.npm.install-v1+json"


def tarball(name: str, version: str, more: Mapping[str, bytes] = {}, **manifest: object) -> bytes:
    """A package that exports its version, with more files and more in its manifest if they are given."""
    package = {"name": name, "version": version, "main": "index.js", **manifest}
    index = f"module.exports = {version!r}\n".encode()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for path, content in {"package.json": json.dumps(package).encode(), "index.js": index, **more}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size, member.mtime = len(content), 499162500
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(data.getvalue(), mtime=0)


def integrity(content: bytes) -> str:
    """Of a tarball, as registries and lock files write it."""
    return f"sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}"


@dataclass
class LoopbackNpm(LoopbackIndex):
    """Tarballs by package and version; ``more`` has further members of ``dist``, by the name of the file."""

    packages: dict[str, dict[str, bytes]] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of packages, besides ``latest``, which is the last version."""
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Further members of the entry of a version, by the name of the file."""

    @property
    def url(self) -> str:
        """Of the registry."""
        return self.address

    @property
    def fetched(self) -> list[str]:
        """Names of tarballs whose bytes were asked for."""
        return [each.rpartition("/")[2] for each in self.asked if each.endswith(".tgz")]

    def answer(self, path: str, accept: str) -> tuple[str, bytes | None]:
        """The document of a package, short where that is asked for, or a tarball."""
        name, _, file = unquote(path[1:]).partition("/-/")
        versions = self.packages.get(name)
        if file:
            found = {self.filename(name, version): content for version, content in (versions or {}).items()}
            return "application/octet-stream", found.get(file)
        document = self.packument(name, short=SHORT in accept) if versions else None
        return SHORT if SHORT in accept else "application/json", json.dumps(document).encode() if document else None

    @staticmethod
    def filename(name: str, version: str) -> str:
        """Of a tarball."""
        return f"{name.rpartition('/')[2]}-{version}.tgz"

    def packument(self, name: str, *, short: bool) -> dict[str, Any]:
        """The document of a package."""
        versions, latest = {}, ""
        for version, content in self.packages[name].items():
            file, latest = self.filename(name, version), version
            versions[version] = {
                "name": name,
                "version": version,
                **self.manifests.get(file, {}),
                "dist": {
                    "shasum": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
                    "tarball": f"{self.address}/{name}/-/{file}",
                    "integrity": integrity(content),
                    "signatures": [{"keyid": "SHA256:test", "sig": "MEUCIQ"}],
                    **self.more.get(file, {}),
                },
            }
        document = {"name": name, "dist-tags": {"latest": latest, **self.tags.get(name, {})}, "versions": versions}
        return document if short else {**document, "time": dict.fromkeys(versions, "2025-01-01T00:00:00.000Z")}
