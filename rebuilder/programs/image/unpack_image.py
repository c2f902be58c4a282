"""Make the tree of an image, and say what it is and has.

The image is read from standard input, a file. The tree goes to ``OUT/root``, what is told of it to ``OUT/image.json``.

What builds look for in it, such as interpreters, a compiler and auditwheel, is read; nothing of it is run.

An image is an archive with an OCI image layout, what ``docker save`` writes, or one tar of a tree. Of a layout, every
blob has to have the digest that it is named by, whether anything refers to it or not; descriptors have to give the
sizes; there has to be one image for this machine. Where an archive is both a layout and what Docker writes, both have
to name the same configuration. See the OCI image format specification, and for Docker's form
https://github.com/moby/docker-image-spec.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import posixpath
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, BinaryIO, NamedTuple, cast

from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.reading import CHUNK, Budget, Entry, UnreadableError, keep_nothing, shown
from rebuilder.programs.archive.stream import CompressedInput, Window, compression_of
from rebuilder.programs.archive.tar import read_tar
from rebuilder.programs.image.tree import Refused, Tree, resolved

MALFORMED = 65


def main(argv: list[str]) -> int:
    """Run the program: 0, or 65 with a sentence when the image is refused."""
    parser = argparse.ArgumentParser(prog="unpack_image", allow_abbrev=False)
    parser.add_argument("--out", required=True, help="directory to write to")
    parser.add_argument("--machine", required=True, help="architecture, as OCI calls it")
    parser.add_argument("--covered", required=True, help="directories that a sandbox covers, with commas")
    options = parser.parse_args(argv)
    try:
        told = unpack(sys.stdin.buffer, options.out, options.machine, options.covered.split(","))
    except UnreadableError as error:
        text = str(error)
        print(f"{text[:1].lower()}{text[1:].rstrip('.')}", file=sys.stderr)
        return MALFORMED
    except Refused as error:
        print(error, file=sys.stderr)
        return MALFORMED
    except (MemoryError, RecursionError):
        print("reading it takes more memory than any image does", file=sys.stderr)
        return MALFORMED
    with open(os.path.join(options.out, "image.json"), "x", encoding="utf-8") as file:
        json.dump(told, file)
    return 0


def unpack(file: BinaryIO, out: str, machine: str, covered: list[str]) -> dict[str, Any]:
    """Unpack; gives what is told of the image.

    Raises:
        Refused, UnreadableError: it is not taken.
        OSError: something cannot be written.
    """
    whole, given = plain(file, out)
    tree = Tree(os.path.join(out, "root"), covered)
    try:
        found = find(whole, given, machine)
        for layer in found.layers:
            tree.begin(layered=found.layered)
            _apply(whole, layer, tree)
    finally:
        tree.close()
        whole.close()
    tree.finish()
    return {
        "what": found.what,
        "sha256": found.sha256,
        "variables": dict(found.variables),
        "provides": _provided(os.path.join(out, "root")),
        "left_out": tree.left_out,
    }


def _apply(file: BinaryIO, layer: Layer, tree: Tree) -> None:
    content = _Content(file, layer, tree)
    reading = read_tar(cast("BinaryIO", content), None, keep_nothing, raw=False, receive=tree.receive)
    if not reading.readable:
        raise UnreadableError(f"A layer of it cannot be read: {reading.problems[0]}")
    said = contradictions(reading.archive)
    if said:
        raise Refused(f"readers disagree about a layer of it: {said[0]}")
    if layer.contents is not None and content.sha256.hexdigest() != layer.contents:
        raise Refused(f"a layer of it is, decompressed, not the one with the digest {shown(layer.contents)}")


class _Content:
    """A layer as a tar archive to read, counted and with its digest."""

    def __init__(self, file: BinaryIO, layer: Layer, tree: Tree) -> None:
        self._file, self._tree = file, tree
        self._source, self._kind = opened(Window(file, layer.part.at, layer.part.size), Budget(layer.part.size))
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data: bytes = self._source.read(size)
        self._tree.count(len(data))
        self.sha256.update(data)
        return data

    def fileno(self) -> int:
        """Of the file it comes from."""
        return self._file.fileno()


_TAG = re.compile(r"cp(3)(\d{1,2})-(?:cp|abi)\w{1,12}")
_SYSTEM = re.compile(r"python(3\.\d{1,2})")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,2}")
_TOOL = re.compile(r"(auditwheel|pip)-(\d{1,4}(?:\.\d{1,4}){0,3})(?:-[\w.]+)?\.(?:dist|egg)-info")


def _provided(root: str) -> dict[str, str]:
    """By rule: ``python`` of the system, interpreters below ``opt/python`` by their tag, ``gcc``, and some tools.

    Images of the manylinux and musllinux kind have interpreters as ``/opt/python/TAG/bin/python`` and tools in
    directories of their own below ``/opt/_internal`` (PEP 513 and those after it; https://github.com/pypa/manylinux).
    """
    found = {}
    for tag in _names(root, "opt/python"):
        match = _TAG.fullmatch(tag)
        if match is not None and _program(root, f"opt/python/{tag}/bin/python"):
            found[tag] = f"{match[1]}.{match[2]}"
    for directory in ("usr/bin", "usr/local/bin"):
        place = resolved(root, f"{directory}/python3")
        version = _SYSTEM.fullmatch(os.path.basename(place or ""))
        if "python" not in found and version is not None and _program(root, f"{directory}/python3"):
            found["python"] = version[1]
    compilers = [each for place in _compilers(root) for each in _names(root, place) if _VERSION.fullmatch(each)]
    if compilers:
        found["gcc"] = _newest(compilers)
    tools: dict[str, list[str]] = {}
    for place in _packages(root):
        for match in filter(None, map(_TOOL.fullmatch, _names(root, place))):
            tools.setdefault(match[1], []).append(match[2])
    return found | {name: _newest(versions) for name, versions in tools.items()}


def _newest(versions: list[str]) -> str:
    return max(versions, key=lambda each: [int(part) for part in each.split(".")])


def _compilers(root: str) -> list[str]:
    tops = ["usr", *(f"opt/rh/{each}/root/usr" for each in _names(root, "opt/rh"))]
    return [f"{top}/lib/gcc/{each}" for top in tops for each in _names(root, f"{top}/lib/gcc")]


def _packages(root: str) -> list[str]:
    tools = [f"opt/_internal/{each}" for each in _names(root, "opt/_internal")]
    tools += [f"opt/_internal/pipx/venvs/{each}" for each in _names(root, "opt/_internal/pipx/venvs")]
    places = [f"{top}/lib/{each}" for top in ("usr", "usr/local", *tools) for each in _names(root, f"{top}/lib")]
    return [f"{place}/{kind}" for place in places for kind in ("site-packages", "dist-packages") if "/python3" in place]


def _names(root: str, path: str) -> list[str]:
    place = resolved(root, path)
    return sorted(os.listdir(place)) if place is not None and os.path.isdir(place) else []


def _program(root: str, path: str) -> bool:
    place = resolved(root, path)
    return place is not None and os.path.isfile(place) and bool(os.stat(place).st_mode & 0o111)


MOST_LAYERS = 256
_DOCUMENT_BYTES = 4 << 20
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_BLOB = re.compile(r"blobs/([^/]+)/([^/]+)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,99})=([^\0\n]{0,4000})")
_MOST_VARIABLES = 100
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_LAYERS = re.compile(
    r"application/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)"
)


class Part(NamedTuple):
    """One member of the archive."""

    at: int
    """Where its content begins in the file."""
    size: int
    sha256: str


class Layer(NamedTuple):
    """One layer, the lowest first."""

    part: Part
    contents: str | None
    """SHA-256 of it decompressed; None: nobody said."""


class Found(NamedTuple):
    """What an image is."""

    what: str
    """In words."""
    sha256: str
    """Of its manifest; for what Docker wrote, of its configuration; for one tar, of the file."""
    layers: tuple[Layer, ...]
    layered: bool
    """Whether names may say that something below is not there."""
    variables: Mapping[str, str]
    """Those that programs in it are given."""


def opened(window: Window, budget: Budget) -> tuple[Any, str | None]:
    """What is read from a stretch, decompressed if it is compressed, and how it is."""
    kind = compression_of(window.begins(8))
    return (CompressedInput(window, kind, budget, raw=False) if kind else window), kind


def plain(file: BinaryIO, scratch: str) -> tuple[BinaryIO, str]:
    """The file as it is, or decompressed into a file of no name; and the digest it was given with.

    Raises:
        UnreadableError: it cannot be decompressed.
    """
    size = os.fstat(file.fileno()).st_size
    source, kind = opened(Window(file, 0, size), Budget(size))
    file.seek(0)
    sha256 = hashlib.sha256()
    while data := file.read(CHUNK):
        sha256.update(data)
    file.seek(0)
    if kind is None:
        return file, sha256.hexdigest()
    whole = cast("BinaryIO", tempfile.TemporaryFile(dir=scratch))  # noqa: SIM115 - as long as the program
    try:
        while data := source.read(CHUNK):
            whole.write(data)
    except BaseException:
        whole.close()
        raise
    whole.seek(0)
    return whole, sha256.hexdigest()


def find(file: BinaryIO, given: str, machine: str) -> Found:
    """What the archive is, without what is in its layers.

    Args:
        file: Not compressed, at its start.
        given: SHA-256 of what was given.
        machine: ``amd64`` or what else OCI calls the processors that the image has to be for.

    Raises:
        Refused: it is no image, or not one.
        UnreadableError: it is no tar archive that can be read.
    """
    parts = _parts(file)
    blobs = _Blobs(file, parts)
    if "oci-layout" in parts or "index.json" in parts:
        found = _of_layout(blobs, machine)
        if "manifest.json" in parts:
            written = _of_docker(blobs)
            if written[1:3] != (found[1], found[2]):
                raise Refused("its index.json and its manifest.json name two different images")
        digest, config, layers = found
        return Found("an image of OCI's format, with the digest", digest, *_configured(blobs, config, layers, machine))
    if "manifest.json" in parts:
        _, config, layers = _of_docker(blobs)
        what = "an image as Docker saves it, with the digest of its configuration"
        return Found(what, parts[config].sha256, *_configured(blobs, config, layers, machine))
    whole = Part(0, os.fstat(file.fileno()).st_size, "")
    return Found(
        "a tar archive of a root file system, with the digest",
        given,
        (Layer(whole, None),),
        layered=False,
        variables={},
    )


def _parts(file: BinaryIO) -> dict[str, Part]:
    """Every member that may matter, by name; links of Docker's older form lead to other members."""
    places: list[tuple[str, str, int, str]] = []

    def receive(entry: Entry) -> IO[bytes] | None:
        places.append((entry.name, entry.kind, file.tell(), entry.link))
        return None

    reading = read_tar(file, None, keep_nothing, raw=False, receive=receive)
    _whole(reading)
    layout = {"oci-layout", "index.json", "manifest.json"} & {posixpath.normpath(name) for name, *_ in places}
    if not layout:
        return {}
    found: dict[str, Part] = {}
    links: dict[str, str] = {}
    for (name, kind, at, link), member in zip(places, reading.archive.members):  # noqa: B905 - Python 3.9
        path = posixpath.normpath(name)
        if path.startswith(("/", "../")) or path == "..":
            raise Refused(f"“{shown(name)}” in it leads out of it")
        if path in found or path in links:
            raise Refused(f"it has “{shown(path)}” twice")
        if kind == "file":
            found[path] = Part(at, member.size, member.sha256)
        elif kind in {"symlink", "hardlink"}:
            links[path] = posixpath.normpath(posixpath.join(posixpath.dirname(path) if kind == "symlink" else "", link))
        elif kind != "directory":
            raise Refused(f"“{shown(name)}” in it is a {kind}")
    for path, part in found.items():
        blob = _BLOB.fullmatch(path)
        if blob is not None and blob[1] != "sha256":
            raise Refused(f"its blob “{shown(path)}” is named by a digest of a kind that is not read here")
        if blob is not None and blob[2] != part.sha256:
            raise Refused(f"its blob {shown(blob[2], 80)} has other bytes: their SHA-256 is {part.sha256}")
    return {**found, **{path: found[link] for path, link in links.items() if link in found}}


def _whole(reading: Any) -> None:
    if not reading.readable:
        raise UnreadableError(reading.problems[0])
    said = contradictions(reading.archive)
    if said:
        raise Refused(f"readers disagree about it: {said[0]}")


class _Blobs:
    """Documents of the archive."""

    def __init__(self, file: BinaryIO, parts: Mapping[str, Part]) -> None:
        self.file, self.parts = file, parts

    def document(self, name: str) -> Any:
        """A JSON document by the name of its member."""
        part = self.parts.get(name)
        if part is None:
            raise Refused(f"it has no “{shown(name)}”")
        if part.size > _DOCUMENT_BYTES:
            raise Refused(f"its “{shown(name)}” has {part.size:,} bytes, more than any image needs")
        try:
            text = Window(self.file, part.at, part.size).read(part.size).decode("utf-8")
            return json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            raise Refused(f"its “{shown(name)}” is not JSON") from None

    def name(self, descriptor: Any) -> str:
        """The member that a descriptor names, which has its size."""
        found = _SHA256.fullmatch(_text(descriptor, "digest"))
        if found is None:
            raise Refused("a digest in it is no SHA-256")
        name = f"blobs/sha256/{found[1]}"
        if name not in self.parts:
            raise Refused(f"it has no blob {found[1]}, which it names")
        if descriptor.get("size") != self.parts[name].size:
            raise Refused(f"its blob {found[1]} has not the size that is given for it")
        return name


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _text(document: Any, key: str) -> str:
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


def _list(document: Any, key: str) -> list[Any]:
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, list) else []


def _of_layout(blobs: _Blobs, machine: str) -> tuple[str, str, list[str]]:
    """Digest of the manifest, name of the configuration, names of the layers."""
    if _text(blobs.document("oci-layout"), "imageLayoutVersion") != "1.0.0":
        raise Refused("its oci-layout is of no version that is read here (1.0.0)")
    manifests = list(_manifests(blobs, blobs.document("index.json"), machine, depth=0))
    names = {_text(each, "digest") for each in manifests}
    if len(names) != 1:
        raise Refused(f"it has {len(names) or 'no'} image{'s' * (len(names) != 1)} for {machine}, and one is taken")
    name = blobs.name(manifests[0])
    manifest = blobs.document(name)
    if not isinstance(manifest, dict) or manifest.get("schemaVersion") != 2:
        raise Refused("its manifest is of no version that is read here (2)")
    layers = []
    for each in _list(manifest, "layers"):
        if not _LAYERS.fullmatch(_text(each, "mediaType")) or "urls" in each:
            raise Refused(f"a layer of it is “{shown(_text(each, 'mediaType'))}”, which is not read here")
        layers.append(blobs.name(each))
    return name.rpartition("/")[2], blobs.name(manifest.get("config")), layers


def _manifests(blobs: _Blobs, index: Any, machine: str, depth: int) -> Iterator[Any]:
    for each in _list(index, "manifests"):
        platform = each.get("platform") if isinstance(each, dict) else None
        if isinstance(platform, dict) and (_text(platform, "os"), _text(platform, "architecture")) != (
            "linux",
            machine,
        ):
            continue
        if _text(each, "mediaType") in _INDEXES:
            if depth > 2:
                raise Refused("its indexes name each other without an end")
            yield from _manifests(blobs, blobs.document(blobs.name(each)), machine, depth + 1)
        elif _text(each, "mediaType") in _MANIFESTS:
            yield each
        else:
            raise Refused(f"it holds “{shown(_text(each, 'mediaType'))}”, which is no image")


def _of_docker(blobs: _Blobs) -> tuple[str, str, list[str]]:
    """The same of ``manifest.json``, without a digest."""
    images = blobs.document("manifest.json")
    if not isinstance(images, list) or len(images) != 1:
        number = len(images) if isinstance(images, list) else "no"
        raise Refused(f"its manifest.json names {number} images, and one is taken")
    config, layers = _text(images[0], "Config"), _list(images[0], "Layers")
    if not all(isinstance(each, str) and each in blobs.parts for each in (config, *layers)):
        raise Refused("its manifest.json names what it does not have")
    named = re.fullmatch(r"(?:blobs/sha256/)?([0-9a-f]{64})(?:\.json)?", config)
    if named is None or named[1] != blobs.parts[config].sha256:
        raise Refused("its configuration has other bytes than its name says")
    return "", config, layers


def _configured(
    blobs: _Blobs, config: str, layers: list[str], machine: str
) -> tuple[tuple[Layer, ...], bool, dict[str, str]]:
    """The layers with the digests that the configuration gives, and its variables."""
    document = blobs.document(config)
    found = (_text(document, "os"), _text(document, "architecture"))
    if found != ("linux", machine):
        raise Refused(f"it is for {shown('/'.join(found), 40)}, and this machine is linux/{machine}")
    digests = _list(document.get("rootfs"), "diff_ids")
    if len(digests) != len(layers) or not layers:
        raise Refused(f"its configuration tells of {len(digests)} layers, and it has {len(layers)}")
    if len(layers) > MOST_LAYERS:
        raise Refused(f"it has more than {MOST_LAYERS} layers")
    contents = [_SHA256.fullmatch(each if isinstance(each, str) else "") for each in digests]
    if not all(contents):
        raise Refused("a digest in its configuration is no SHA-256")
    told = [each[1] for each in contents if each is not None]
    made = tuple(Layer(blobs.parts[name], sha256) for name, sha256 in zip(layers, told))  # noqa: B905 - Python 3.9
    variables: dict[str, str] = {}
    for each in _list(document.get("config"), "Env"):
        variable = _VARIABLE.fullmatch(each if isinstance(each, str) else "")
        if variable is None or variable[1] in variables or len(variables) >= _MOST_VARIABLES:
            raise Refused("a variable in its configuration is none, or is there twice, or there are too many")
        variables[variable[1]] = variable[2]
    return made, True, variables
