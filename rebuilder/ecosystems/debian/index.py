"""What the signed lists of a suite say: binary packages (``Packages``) and source packages (``Sources``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from rebuilder import deb822
from rebuilder.deb822 import MalformedStanzaError
from rebuilder.ecosystems.debian.subject import is_architecture, is_name
from rebuilder.ecosystems.debian.version import is_version, without_rebuild
from rebuilder.model.value import Sha256, is_sha256

_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~_%:-]*", re.ASCII)
_SOURCE = re.compile(r"(?P<name>\S+)(?: \((?P<version>\S+)\))?")
_USING = re.compile(r"\s*(?P<name>\S+) \(= (?P<version>[^\s)]+)\)\s*")
_MOST_FILES = 1000


class IndexedFile(NamedTuple):
    """A file of the archive, bound by a signed list."""

    name: str
    path: str
    """Below the archive's address."""
    size: int
    """Bytes."""
    sha256: Sha256


class SourceName(NamedTuple):
    """A source package and its version."""

    name: str
    version: str


class BinaryPackage(NamedTuple):
    """One ``.deb``, as the list has it."""

    name: str
    version: str
    architecture: str
    file: IndexedFile
    source: SourceName
    built_using: tuple[SourceName, ...] = ()
    """Sources of which parts went into it (``Built-Using`` and ``Static-Built-Using``)."""

    @property
    def rebuild(self) -> str | None:
        """``+bN`` where it is another build of the same source, without a change of it."""
        return self.version[len(without_rebuild(self.version)) :] or None


class SourcePackage(NamedTuple):
    """One source package, as the list has it."""

    name: str
    version: str
    files: tuple[IndexedFile, ...]
    """All that it consists of, the ``.dsc`` among them."""
    fields: dict[str, str]
    """Of the stanza, names in small letters."""

    @property
    def dsc(self) -> IndexedFile | None:
        """The file that describes the others."""
        return next((each for each in self.files if each.name.endswith(".dsc")), None)


def binary_packages(data: bytes, name: str) -> Iterator[BinaryPackage]:
    """The entries of a package in a list of binary packages, in its order.

    Raises:
        MalformedStanzaError: one cannot be used.
    """
    for stanza in deb822.found(data, b"Package", name.encode()):
        yield binary_package(stanza)


def binary_package(stanza: bytes) -> BinaryPackage:
    """One entry of a list of binary packages.

    Raises:
        MalformedStanzaError: it cannot be used.
    """
    fields = deb822.fields(stanza)
    name, version, architecture = (fields.get(each, "") for each in ("package", "version", "architecture"))
    if not (is_name(name) and is_version(version) and is_architecture(architecture)):
        raise MalformedStanzaError("it has no name, version and architecture as Debian's packages have")
    source = _SOURCE.fullmatch(fields.get("source", name))
    from_source = SourceName(source["name"], source["version"] or version) if source else SourceName("", "")
    if not is_name(from_source.name) or not is_version(from_source.version):
        raise MalformedStanzaError("its source is named in no form that is known")
    return BinaryPackage(
        name=name,
        version=version,
        architecture=architecture,
        file=indexed_file(fields.get("filename", ""), fields.get("size", ""), fields.get("sha256", "")),
        source=from_source,
        built_using=tuple(_using(fields)),
    )


def source_package(data: bytes, wanted: SourceName) -> SourcePackage | None:
    """One source package in a list of them; None where it is not there.

    Raises:
        MalformedStanzaError: it cannot be used.
    """
    for stanza in deb822.found(data, b"Package", wanted.name.encode()):
        fields = deb822.fields(stanza)
        if fields.get("version") == wanted.version:
            return _source(fields)
    return None


def _source(fields: dict[str, str]) -> SourcePackage:
    directory = fields.get("directory", "")
    rows = listed(fields.get("checksums-sha256", ""))
    files = tuple(indexed_file(f"{directory}/{name}", size, sha256) for name, size, sha256 in rows)
    if not files:
        raise MalformedStanzaError("it lists no files with SHA-256")
    return SourcePackage(fields["package"], fields["version"], files, fields)


def listed(lines: str) -> Iterator[tuple[str, str, str]]:
    """Name, size and digest of each file in a field such as ``Checksums-Sha256``.

    Raises:
        MalformedStanzaError: a name leads into another directory, is there twice, or a line is none.
    """
    seen: set[str] = set()
    for number, line in enumerate(filter(None, lines.split("\n"))):
        words = line.split()
        if len(words) != 3 or number >= _MOST_FILES:
            raise MalformedStanzaError("a line of its list of files is none")
        digest, size, name = words
        if not _PART.fullmatch(name) or name in seen:
            raise MalformedStanzaError(f"it names a file {name[:80]!r}, which is no plain name or stands there twice")
        seen.add(name)
        yield name, size, digest


def written_dsc(source: SourcePackage) -> bytes:
    """The ``.dsc`` of a source package, without its signature, from what the signed list says of it.

    The list has the fields of the file (Debian Policy, 5.4), under ``Package`` instead of ``Source``, with the file
    itself among the others. ``dpkg-source`` takes it as it takes the file.
    """
    own = source.dsc.name if source.dsc else ""
    lines = ["Format: " + source.fields.get("format", "1.0"), f"Source: {source.name}"]
    kept = ("binary", "architecture", "version", "maintainer", "standards-version", "build-depends")
    lines += [f"{name.title()}: {source.fields[name]}".replace("\n", "\n ") for name in kept if name in source.fields]
    for name in ("checksums-sha256", "files"):
        rows = [row for row in source.fields.get(name, "").split("\n") if row and row.split()[-1] != own]
        if rows:
            lines += [f"{name.title()}:", *(f" {row}" for row in rows)]
    return "\n".join([*lines, ""]).encode()


def _using(fields: dict[str, str]) -> Iterator[SourceName]:
    for field in ("built-using", "static-built-using"):
        for each in filter(str.strip, fields.get(field, "").replace("\n", " ").split(",")):
            found = _USING.fullmatch(each)
            if found is None or not is_name(found["name"]) or not is_version(found["version"]):
                raise MalformedStanzaError(
                    f"what it was built with is named in no form that is known ({each.strip()[:60]!r})"
                )
            yield SourceName(found["name"], found["version"])


def indexed_file(path: str, size: str, sha256: str) -> IndexedFile:
    """A file of the archive as a list has it.

    Raises:
        MalformedStanzaError: its place leads out of the archive, or its size or digest is none.
    """
    parts = path.split("/")
    if not all(map(_PART.fullmatch, parts)):
        raise MalformedStanzaError(f"the place {path[:80]!r} of its file is none in the archive")
    if not _NUMBER.fullmatch(size) or not is_sha256(sha256):
        raise MalformedStanzaError("its file has no size or no SHA-256")
    return IndexedFile(parts[-1], path, int(size), Sha256(sha256))
