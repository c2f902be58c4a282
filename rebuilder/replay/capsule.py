"""A capsule: all that published reports need to be run again, in one directory or one file.

It is an OCI image layout (https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md), so that tools for
container registries copy it as it is::

    oci-layout             the version of the layout
    index.json             an image index with a manifest for each report, in order of their digests
    blobs/sha256/DIGEST    manifests, documents, inputs, environments; each byte is there once

The layers of a manifest say by their titles what they are: ``report/…`` the documents of the report, ``inputs/DIGEST``
an input of a build, ``environments/TREE.tar`` a build environment (:mod:`rebuilder.environments.exchange`) by the
digest of its tree. Of every blob, size and digest are in the manifest, and those of the manifest in the index.

The file is a tar archive of the directory: the two documents, then blobs in the order in which index and manifests
first name them, so that what has to follow is known to the byte (:mod:`rebuilder.tar_members`). Nothing is unpacked to
a place that a capsule names: blobs are read by digest, and titles are looked up.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, Protocol, Self

from rebuilder import tar_members
from rebuilder.atomic_file import replacing, write_whole
from rebuilder.errors import UsageError
from rebuilder.foreign_json import JsonLimits, read_json
from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256, canonical_json, sha256_hex
from rebuilder.replay.published import Documents

LAYOUT = "oci-layout"
INDEX = "index.json"
_VERSION = canonical_json({"imageLayoutVersion": "1.0.0"})
_INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT_TYPE = "application/vnd.rebuilder.replay.v1"
ENVIRONMENT_TYPE = "application/vnd.rebuilder.environment.v1.tar"
_TITLE = "org.opencontainers.image.title"
_REFERENCE = "org.opencontainers.image.ref.name"
_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_MEDIA_TYPES = {
    "provenance": "application/vnd.dsse.envelope.v1+json",
    "verdict": "application/vnd.dsse.envelope.v1+json",
    "finishing": "application/json",
}
_MOST_INDEX, _MOST_MANIFEST, _MOST_DOCUMENT = 64 << 20, 8 << 20, 64 << 20
_MOST_BLOB = 8 << 30
_MOST_REPORTS, _MOST_LAYERS = 100_000, 20_000
_JSON = JsonLimits(values=4_000_000)
_CHUNK = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_ENVIRONMENT = re.compile(r"environments/([0-9a-f]{64})\.tar")


class BadCapsuleError(UsageError):
    """What is given as a capsule is none, or was changed."""

    def __init__(self, place: str, why: str) -> None:
        hint = "An archive that tar made of a capsule's directory has to be unpacked; name the directory."
        super().__init__(f"{place} is no capsule: {why}.", hint=hint if "where that has to be" in why else None)


@dataclass(frozen=True)
class Layer:
    """One file of a report."""

    title: str
    sha256: Sha256
    size: int
    media_type: str = "application/octet-stream"

    @property
    def descriptor(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        described = {"mediaType": self.media_type, "digest": f"sha256:{self.sha256}", "size": self.size}
        return described | ({"annotations": {_TITLE: self.title}} if self.title else {})


@dataclass(frozen=True)
class Manifest:
    """What one report needs."""

    layers: tuple[Layer, ...]

    @property
    def data(self) -> bytes:
        """The manifest as a blob."""
        config = Layer("", sha256_hex(_EMPTY), len(_EMPTY), _EMPTY_TYPE)
        return canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST_TYPE,
                "artifactType": ARTIFACT_TYPE,
                "config": config.descriptor,
                "layers": [each.descriptor for each in self.layers],
            }
        )

    @property
    def name(self) -> str:
        """What the index calls it: the digest of the provenance statement."""
        return next((each.sha256 for each in self.layers if each.title == "report/provenance"), "none")

    @property
    def environments(self) -> dict[str, Layer]:
        """Build environments, by the digest of their tree."""
        named = ((_ENVIRONMENT.fullmatch(each.title), each) for each in self.layers)
        return {found[1]: each for found, each in named if found is not None}


class _Opener(Protocol):
    """Gives a file of the layout by its path; the blobs behind it are not checked yet."""

    def __call__(self, path: str, size: int | None) -> BinaryIO:
        """Raises BadCapsuleError: there is none, or none of that size."""
        ...


@dataclass
class Capsule:
    """A capsule that is read; whatever is taken out of it has the digest by which it was asked for."""

    place: str
    manifests: tuple[Manifest, ...]
    _open: _Opener
    _layers: dict[str, Layer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._layers = {layer.sha256: layer for each in self.manifests for layer in each.layers}

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """Read the index and all manifests of a capsule: a directory, or a file that :func:`pack` wrote.

        Raises:
            UsageError: it is none, or something in it is not what its digest says.
        """
        place = clipped(str(path), 200)
        with ExitStack() as stack:
            if path.is_dir():
                opener: _Opener = _Directory(path, place)
            else:
                try:
                    file = stack.enter_context(path.open("rb"))
                except OSError as error:
                    raise UsageError(f"{place} cannot be read: {error.strerror}.") from None
                opener = _Tar(file, place)
            manifests = tuple(_manifests(opener, place))
            if isinstance(opener, _Tar):
                opener.follow(manifests)
            yield cls(place, manifests, opener)

    @property
    def environments(self) -> dict[str, Layer]:
        """Build environments of all reports, by the digest of their tree."""
        return {tree: layer for each in self.manifests for tree, layer in each.environments.items()}

    def documents(self, manifest: Manifest) -> Documents:
        """The documents of a report.

        Raises:
            UsageError: some are not there, or not what their digests say.
        """
        titles = {each.title: each for each in manifest.layers}
        found: dict[str, bytes] = {}
        for each in fields(Documents):
            layer = titles.get(f"report/{each.name}")
            if layer is not None and layer.size <= _MOST_DOCUMENT:
                found[each.name] = b"".join(self.chunks(layer.sha256))
        if not {"provenance", "verdict", "key"} <= found.keys():
            raise BadCapsuleError(self.place, "a report in it lacks its statements, or its key")
        return Documents(**found)

    def has(self, sha256: str) -> bool:
        """Whether it names bytes with that digest."""
        return sha256 in self._layers

    def size(self, sha256: str) -> int:
        """Of bytes that it names."""
        return self._layers[sha256].size

    def chunks(self, sha256: str) -> Iterator[bytes]:
        """The bytes with a digest; what comes last is an error if they are others.

        Raises:
            UsageError: they are not there, or were changed.
        """
        layer = self._layers[sha256]
        with self._open(f"blobs/sha256/{sha256}", layer.size) as file:
            yield from _checked(file, layer.sha256, layer.size, self.place)

    @contextmanager
    def file(self, sha256: str) -> Iterator[BinaryIO]:
        """The same as a file, every byte of which was read and checked before.

        Raises:
            UsageError: see :meth:`chunks`.
        """
        for _ in self.chunks(sha256):
            pass
        with self._open(f"blobs/sha256/{sha256}", self._layers[sha256].size) as file:
            yield file


class CapsuleWriter:
    """Adds reports to a capsule in a directory, made when it is missing.

    What is there already stays, and is not written again.

    Raises:
        UsageError: it has files, and is no capsule; or it cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._manifests: dict[str, Manifest] = {}
        try:
            if (root / INDEX).exists():
                with Capsule.open(root) as before:
                    self._manifests = {sha256_hex(each.data): each for each in before.manifests}
            elif root.is_dir() and any(root.iterdir()):
                raise UsageError(f"{root} holds other files; a capsule is not written among them.")
            (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(root, error) from None

    def environment(self, tree: str) -> Layer | None:
        """A build environment that is there already, by the digest of its tree."""
        return next((each.environments[tree] for each in self._manifests.values() if tree in each.environments), None)

    def put(self, title: str, chunks: Iterator[bytes], media_type: str = "application/octet-stream") -> Layer:
        """Keep bytes, once.

        Raises:
            UsageError: they cannot be written.
        """
        folder, digest, size = self.root / "blobs" / "sha256", hashlib.sha256(), 0
        draft = folder / "draft"
        try:
            with replacing(draft) as file:
                for chunk in chunks:
                    digest.update(chunk)
                    size += len(chunk)
                    file.write(chunk)
            draft.replace(folder / digest.hexdigest())
        except OSError as error:
            raise _unwritable(self.root, error) from None
        return Layer(title, Sha256(digest.hexdigest()), size, media_type)

    def documents(self, documents: Documents) -> list[Layer]:
        """Keep the documents of a report."""
        named = {each.name: getattr(documents, each.name) for each in fields(documents)}
        return [
            self.put(f"report/{name}", iter([data]), _MEDIA_TYPES.get(name, "text/plain"))
            for name, data in named.items()
            if data is not None
        ]

    def add(self, layers: list[Layer]) -> None:
        """Add a report; one that is there already is not added again."""
        manifest = Manifest(tuple(layers))
        self._manifests[self.put("", iter([manifest.data])).sha256] = manifest

    def finish(self) -> None:
        """Write the index, after which the capsule is whole.

        Raises:
            UsageError: it cannot be written.
        """
        self.put("", iter([_EMPTY]))
        try:
            write_whole(self.root / LAYOUT, _VERSION)
            write_whole(self.root / INDEX, _index(self._manifests))
        except OSError as error:
            raise _unwritable(self.root, error) from None


def _index(manifests: Mapping[str, Manifest]) -> bytes:
    described = [
        {
            "mediaType": _MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "digest": f"sha256:{digest}",
            "size": len(manifest.data),
            "annotations": {_REFERENCE: manifest.name},
        }
        for digest, manifest in sorted(manifests.items())
    ]
    return canonical_json({"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": described})


def pack(root: Path, out: BinaryIO) -> None:
    """Write a capsule that is in a directory into one file; the same capsule gives the same bytes.

    Raises:
        UsageError: the directory is no capsule.
        OSError: the file cannot be written.
    """
    with Capsule.open(root) as capsule:
        for name in (LAYOUT, INDEX):
            _pack(out, name, (root / name).read_bytes())
        for path, size in _order(capsule.manifests):
            out.write(tar_members.header(path.encode(), "f", 0o644, size))
            sha256 = path.rpartition("/")[2]
            with (root / path).open("rb") as file:
                out.writelines(_checked(file, sha256, size, str(root)))
            out.write(tar_members.padding(size))
    out.write(tar_members.END)


def _pack(out: BinaryIO, name: str, data: bytes) -> None:
    out.write(tar_members.header(name.encode(), "f", 0o644, len(data)) + data + tar_members.padding(len(data)))


def _order(manifests: tuple[Manifest, ...]) -> Iterator[tuple[str, int]]:
    """Path and size of each blob in the order of the file: manifests, then what they name first."""
    seen: dict[str, int] = {f"blobs/sha256/{sha256_hex(each.data)}": len(each.data) for each in manifests}
    seen.setdefault(f"blobs/sha256/{sha256_hex(_EMPTY)}", len(_EMPTY))
    for each in manifests:
        for layer in each.layers:
            seen.setdefault(f"blobs/sha256/{layer.sha256}", layer.size)
    return iter(seen.items())


class _Directory:
    """Opens what lies in a directory: plain files of the size that was promised, never what a link leads to."""

    def __init__(self, root: Path, place: str) -> None:
        self._root = root
        self._place = place

    def __call__(self, path: str, size: int | None) -> BinaryIO:
        try:
            folders = [each for each in Path(path).parents if each.name]
            if any((self._root / each).is_symlink() for each in folders):
                raise BadCapsuleError(self._place, f"a directory of {path} is a link")
            file = os.fdopen(os.open(self._root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise BadCapsuleError(self._place, f"{path} cannot be read ({error.strerror})") from None
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or (size is not None and status.st_size != size):
            file.close()
            raise BadCapsuleError(self._place, f"{path} is no file of the size that is written down")
        return file


class _Tar:
    """Opens what is in a file that :func:`pack` wrote; members are found in their order."""

    def __init__(self, file: BinaryIO, place: str) -> None:
        self._file = file
        self._place = place
        self._offsets: dict[str, int] = {}
        self._documents: dict[str, bytes] = {}
        with self._as_written():
            for name, most in ((LAYOUT, 1024), (INDEX, _MOST_INDEX)):
                self._documents[name] = tar_members.document(file, name, most)
            self._end = file.tell()

    def __call__(self, path: str, size: int | None) -> BinaryIO:
        if path in self._documents:
            return io.BytesIO(self._documents[path])
        with self._as_written():
            if path not in self._offsets:  # a manifest, which comes next
                self._next(path, size or 0)
        return io.BufferedReader(_Part(self._file, self._offsets[path], size or 0))

    def follow(self, manifests: tuple[Manifest, ...]) -> None:
        """Find all blobs; nothing else may be there.

        Raises:
            BadCapsuleError: one is not where it has to be, or something follows.
        """
        with self._as_written():
            for path, size in _order(manifests):
                if path not in self._offsets:
                    self._next(path, size)
            self._file.seek(self._end)
            tar_members.expect(self._file, tar_members.END)
            if self._file.read(1):
                raise tar_members.NotAsWrittenError("it goes on after its end")

    def _next(self, path: str, size: int) -> None:
        self._file.seek(self._end)
        tar_members.expect(self._file, tar_members.header(path.encode(), "f", 0o644, size))
        self._offsets[path] = self._file.tell()
        self._file.seek(size, os.SEEK_CUR)
        tar_members.expect(self._file, tar_members.padding(size))
        self._end = self._file.tell()

    @contextmanager
    def _as_written(self) -> Iterator[None]:
        try:
            yield
        except tar_members.NotAsWrittenError as error:
            raise BadCapsuleError(self._place, str(error)) from None
        except (OSError, OverflowError) as error:
            raise BadCapsuleError(self._place, f"it cannot be read ({error})") from None


class _Part(io.RawIOBase):
    """Some bytes of a file as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self._at, self._end = file, start, start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._at)
        data = self._file.read(min(len(buffer), self._end - self._at))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _checked(file: BinaryIO, sha256: str, size: int, place: str) -> Iterator[bytes]:
    """The bytes of a blob, with an error instead of an end where they are others."""
    digest, left = hashlib.sha256(), size
    while left:
        try:
            chunk = file.read(min(left, _CHUNK))
        except OSError as error:
            raise BadCapsuleError(place, f"it cannot be read ({error})") from None
        if not chunk:
            raise BadCapsuleError(place, "it is cut short")
        digest.update(chunk)
        left -= len(chunk)
        yield chunk
    if digest.hexdigest() != sha256:
        raise BadCapsuleError(place, f"the bytes that it calls {sha256} have another digest, {digest.hexdigest()}")


def _manifests(opener: _Opener, place: str) -> Iterator[Manifest]:
    """All manifests, each as our own form of it, to the byte."""
    if _document(opener, LAYOUT, 1024, place) != _VERSION:
        raise BadCapsuleError(place, f"its {LAYOUT} is not one of version 1.0.0")
    data = _document(opener, INDEX, _MOST_INDEX, place)
    found = read_index(data, place)
    manifests: dict[str, Manifest] = {}
    for sha256, (_, size) in found.items():
        with opener(f"blobs/sha256/{sha256}", size) as file:
            manifests[sha256] = read_manifest(b"".join(_checked(file, sha256, size, place)), place)
    if _index(manifests) != data:
        raise BadCapsuleError(place, f"its {INDEX} is not written as an index of a capsule is")
    sizes: dict[str, int] = {}
    for layer in (layer for each in manifests.values() for layer in each.layers):
        if sizes.setdefault(layer.sha256, layer.size) != layer.size:
            raise BadCapsuleError(place, f"it gives the bytes {layer.sha256} two sizes")
    yield from manifests.values()


def read_index(data: bytes, place: str) -> dict[Sha256, tuple[str, int]]:
    """Name and size of each manifest by its digest.

    Raises:
        BadCapsuleError: it is no index.
    """
    try:
        listed = read_json(data, _JSON)["manifests"]
        found = {
            _digest(each["digest"]): (str(each["annotations"][_REFERENCE]), _size(each["size"], _MOST_MANIFEST))
            for each in listed
        }
    except (ValueError, KeyError, TypeError):
        raise BadCapsuleError(place, f"its {INDEX} is not one of a capsule") from None
    if not 0 < len(found) <= _MOST_REPORTS or len(found) < len(listed):
        raise BadCapsuleError(place, "it has no reports, too many, or one twice")
    return found


def read_manifest(data: bytes, place: str) -> Manifest:
    """A manifest in our own form, to the byte.

    Raises:
        BadCapsuleError: it is none.
    """
    try:
        layers = tuple(
            Layer(
                str(each["annotations"][_TITLE]),
                _digest(each["digest"]),
                _size(each["size"], _MOST_BLOB),
                str(each["mediaType"]),
            )
            for each in read_json(data, _JSON)["layers"]
        )
        manifest = Manifest(layers)
        same = manifest.data == data
    except (ValueError, KeyError, TypeError):
        same = False
    if not same or len(layers) > _MOST_LAYERS or len({each.title for each in layers}) < len(layers):
        raise BadCapsuleError(place, "a manifest in it is not one of a report")
    return manifest


def _document(opener: _Opener, name: str, most: int, place: str) -> bytes:
    with opener(name, None) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BadCapsuleError(place, f"its {name} is too large")
    return data


def _digest(value: object) -> Sha256:
    found = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("no digest")
    return Sha256(found[1])


def _size(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("no size")
    return value


def _unwritable(root: Path, error: OSError) -> UsageError:
    return UsageError(f"The capsule {root} cannot be written: {error.strerror or error}.")
