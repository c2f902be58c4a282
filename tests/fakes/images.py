"""Container images, made field by field so that tests can change one thing at a time."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tarfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_CONFIG = "application/vnd.oci.image.config.v1+json"


class Member(NamedTuple):
    """One entry of a layer; ``kind`` is a type of :mod:`tarfile`."""

    name: str
    content: bytes = b""
    mode: int = 0o644
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    pax: Mapping[str, str] = {}


def directory(name: str) -> Member:
    """A directory."""
    return Member(name, kind=tarfile.DIRTYPE, mode=0o755)


def link(name: str, target: str) -> Member:
    """A symbolic link."""
    return Member(name, kind=tarfile.SYMTYPE, link=target)


def hard_link(name: str, target: str) -> Member:
    """A hard link."""
    return Member(name, kind=tarfile.LNKTYPE, link=target)


SHELL = (directory("bin"), Member("bin/sh", b"#!shell\n", 0o755))
"""What no image can be without."""


def tar(*members: Member) -> bytes:
    """A layer, or what holds the layers."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in members:
            info = tarfile.TarInfo(each.name)
            info.type, info.mode, info.linkname, info.size = each.kind, each.mode, each.link, len(each.content)
            info.pax_headers = dict(each.pax)
            archive.addfile(info, io.BytesIO(each.content))
    return out.getvalue()


def plain(data: bytes) -> bytes:
    """As it is."""
    return data


def gzipped(data: bytes) -> bytes:
    """Compressed with gzip."""
    return gzip.compress(data, 6, mtime=0)


def zstandard(data: bytes, size: int = 1 << 17) -> bytes:
    """A frame of Zstandard that holds the data in blocks as they are (RFC 8878, 3.1.1)."""
    pieces = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    blocks = [
        struct.pack("<I", len(piece) << 3 | (index == len(pieces) - 1))[:3] + piece
        for index, piece in enumerate(pieces)
    ]
    return b"\x28\xb5\x2f\xfd" + bytes([0b11100000]) + struct.pack("<Q", len(data)) + b"".join(blocks)


def sha256(data: bytes) -> str:
    """Its digest."""
    return hashlib.sha256(data).hexdigest()


def blob(data: bytes) -> Member:
    """A blob of a layout."""
    return Member(f"blobs/sha256/{sha256(data)}", data)


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    """What names a blob."""
    return {"mediaType": media_type, "digest": f"sha256:{sha256(data)}", "size": len(data), **more}


def encoded(document: Any) -> bytes:
    """JSON."""
    return json.dumps(document).encode()


class Image(NamedTuple):
    """An image in pieces."""

    layers: Sequence[bytes]
    config: dict[str, Any]
    manifest: dict[str, Any]
    top: dict[str, Any]
    """The document ``index.json``."""

    def members(self) -> list[Member]:
        """The members of its archive."""
        blobs = {each.name: each for each in map(blob, (*self.layers, encoded(self.config), encoded(self.manifest)))}
        head = [
            Member("oci-layout", encoded({"imageLayoutVersion": "1.0.0"})),
            Member("index.json", encoded(self.top)),
        ]
        return [*head, *blobs.values()]

    def archive(self) -> bytes:
        """Its archive."""
        return tar(*self.members())

    def digest(self) -> str:
        """Of its manifest."""
        return sha256(encoded(self.manifest))


def image(
    *layers: bytes,
    compress: Callable[[bytes], bytes] = gzipped,
    variables: Sequence[str] = ("PATH=/usr/bin:/bin",),
    config: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
    index: Mapping[str, Any] | None = None,
) -> Image:
    """An image of layers; the last three take the place of fields."""
    packed = [compress(each) for each in layers]
    suffix = "+gzip" if compress is gzipped else "+zstd" if compress is zstandard else ""
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": list(variables)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha256(each)}" for each in layers]},
        **(config or {}),
    }
    described = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(_CONFIG, encoded(configuration)),
        "layers": [descriptor(f"{_LAYER}{suffix}", each) for each in packed],
        **(manifest or {}),
    }
    top = {"schemaVersion": 2, "manifests": [descriptor(MANIFEST, encoded(described))], **(index or {})}
    return Image(packed, configuration, described, top)


def saved_by_docker(*layers: bytes, config: Mapping[str, Any] | None = None) -> list[Member]:
    """The members of what ``docker save`` wrote before it wrote a layout, too."""
    whole = image(*layers, compress=plain, config=config)
    document = encoded(whole.config)
    names = [f"{sha256(each)}x/layer.tar" for each in layers]
    listed = [{"Config": f"{sha256(document)}.json", "RepoTags": ["x:1"], "Layers": names}]
    return [
        Member("manifest.json", encoded(listed)),
        Member(f"{sha256(document)}.json", document),
        *(Member(name, each) for name, each in zip(names, layers, strict=True)),
    ]
