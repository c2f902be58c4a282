"""``read_binaries ARCHIVE --result PATH``: write what the compiled files in an archive say about themselves, as JSON.

The result has the fields of ``rebuilder.model.binary.Binaries``. Only one member at a time is on disk, and none runs.
Names in the archive are names in the result and nothing else.

Libraries that a wheel brings along are known by the tool that put them there: auditwheel and delvewheel put them into
``NAME.libs`` and add a digest to their names, delocate into ``.dylibs``. PEP 770 says where bills of materials are.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import mmap
import re
import tempfile
from collections.abc import Callable
from typing import IO, Any

from rebuilder.programs.answer import answered
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import Entry, shown
from rebuilder.programs.binary import elf, macho, pe
from rebuilder.programs.binary.dwarf import read_dwarf
from rebuilder.programs.binary.traces import read_traces
from rebuilder.programs.binary.view import Buffer, Findings, MalformedError, Notes, View, text

BINARIES = 1000
"""Most compiled files of one archive that are looked into."""
SCRATCH = 256 << 20
"""Largest compiled file that is looked into."""
FACTS_BYTES = 4 << 20
"""What is handed back of all of them together, as JSON; a hundred libraries have less than a million bytes."""
_SBOM_BYTES = 4 << 20
_HEAD = 4


def main(argv: list[str]) -> int:
    """Read the archive; 0 whatever was found in it."""
    parser = argparse.ArgumentParser(prog="read_binaries")
    parser.add_argument("archive", metavar="ARCHIVE")
    return answered(parser, argv, lambda given: read_members(given.archive))


def read_members(path: str) -> dict[str, Any]:
    """Read every compiled member of an archive; gives the document of ``Binaries``."""
    members = _Members()
    reading = read_archive(path, members.keep, raw=False, receive=members.receive)
    names = [each.name for each in reading.archive.members] if reading.archive else []
    origins = read_origins(
        [content for index, content in sorted(reading.contents.items()) if content and _is_sbom(names[index])]
    )
    for each in members.found:
        kept = each["facts"]["vendored"]
        kept.update(origin_of(kept["original"], origins) or {}) if kept else None
    return {"members": members.found, "total": members.total, "problems": list(reading.problems)[:40]}


def _is_sbom(name: str) -> bool:
    return ".dist-info/sboms/" in name and name.endswith(".cdx.json")


class _Members:
    """Takes the members of an archive as they are read."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self.total = 0
        self._written = 0

    def keep(self, _index: int, name: str) -> int:
        """Bills of materials are read whole."""
        return _SBOM_BYTES if _is_sbom(name) else 0

    def receive(self, entry: Entry) -> IO[bytes] | None:
        """What a file's content is written to."""
        return _Spool(self, entry.name) if entry.kind == "file" else None  # type: ignore[return-value]

    def read(self, name: str, file: IO[bytes], size: int, digest: str) -> None:
        """One compiled member, whole, or as much of it as is looked into."""
        self.total += 1
        if self.total > BINARIES:
            return
        file.flush()
        with mmap.mmap(file.fileno(), min(size, SCRATCH), access=mmap.ACCESS_READ) as data:
            facts = read_facts(data, name) if size <= SCRATCH else _too_large(data)
        self.add(name, digest, facts)

    def add(self, name: str, digest: str, facts: dict[str, Any] | None) -> None:
        """One more compiled member; None for one that only begins as if it were."""
        if facts is None:
            self.total -= 1
            return
        self._written += len(json.dumps(facts))
        if self._written > FACTS_BYTES:
            facts = {**facts, "images": [], "problems": ["More is known of all files here than is kept in a report."]}
        shown = text(name.encode("utf-8", "backslashreplace"))
        self.found.append({"member": shown, "sha256": digest, "facts": facts})


class _Spool:
    """A file that goes to disk only when it begins as compiled code does."""

    def __init__(self, members: _Members, name: str) -> None:
        self._members = members
        self._name = name
        self._head = b""
        self._size = 0
        self._digest = hashlib.sha256()
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> int:
        """Take some more bytes."""
        self._size += len(data)
        if self._file is None and len(self._head) < _HEAD:
            self._head += data
            if len(self._head) >= _HEAD and is_compiled(self._head):
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this
                self._file.write(self._head)
                self._digest.update(self._head)
        elif self._file is not None:
            self._digest.update(data)
            if self._size <= SCRATCH + len(data):
                self._file.write(data[: max(0, SCRATCH + len(data) - self._size)])
        return len(data)

    def close(self) -> None:
        """Look into it, now that it is whole."""
        if self._file is not None:
            with self._file as file:
                self._members.read(self._name, file, self._size, self._digest.hexdigest())


def is_compiled(head: bytes) -> bool:
    """Whether a file begins as compiled code does; of some other files that is true too."""
    return head[:4] == elf.MAGIC or head[:2] == pe.MAGIC or head[:4] in macho.MAGICS or head[:4] in macho.FAT_MAGICS


def read_facts(data: Buffer, name: str) -> dict[str, Any] | None:
    """What one file says about itself, as the document of ``BinaryFacts``; None when it is no compiled code.

    Whatever is in the file, this ends with a document: what cannot be read is a sentence there.
    """
    file, notes = View(data), Notes(3 * len(data))
    known = _images(file, notes)
    if known is None:
        return None
    kind, read, views = known
    images = []
    for view in views:
        try:
            image = read(view, notes)
            read_dwarf(image, notes)
            read_traces(image, view)
        except MalformedError as error:
            notes.add(str(error))
            continue
        images.append(image)
    return {
        "format": kind,
        "images": [each.document(notes) for each in images],
        "vendored": _vendored(name, images),
        "problems": notes.sentences,
    }


def _too_large(data: Buffer) -> dict[str, Any] | None:
    known = _images(View(data), Notes(0))
    sentence = f"It is larger than {SCRATCH >> 20} MB; it was not looked into."
    return {"format": known[0], "images": [], "vendored": None, "problems": [sentence]} if known else None


def _images(file: View, notes: Notes) -> tuple[str, Callable[[View, Notes], Findings], list[View]] | None:
    head = file.raw(0, 8)
    if head[:4] == elf.MAGIC:
        return "elf", elf.read_elf, [file]
    if head[:4] in macho.MAGICS:
        return "macho", macho.read_macho, [file]
    if head[:2] == pe.MAGIC and pe.is_pe(file):
        return "pe", pe.read_pe, [file]
    if head[:4] in macho.FAT_MAGICS and int.from_bytes(head[4:8], "big") < macho.NO_CLASS_BELOW:
        try:
            return "macho", macho.read_macho, macho.fat_images(file, notes)
        except MalformedError as error:
            notes.add(str(error))
            return "macho", macho.read_macho, []
    return None


def _vendored(name: str, images: list[Findings]) -> dict[str, Any] | None:
    """Where a library that was brought along comes from; its header says its version better than its name."""
    found = vendored(name)
    if found is None:
        return None
    listed = next((each.version for each in images if each.version), None)
    if listed:
        found.update(version=listed, version_from="header")
    return found


_GRAFTED = re.compile(r"(?P<stem>.+?)(?:-[0-9a-f]{8})+(?P<rest>\.so(?:\.[\w.]+)?)$")
_GRAFTED_DLL = re.compile(r"(?P<stem>.+?)-[0-9a-f]{32}(?P<rest>\.dll)$", re.IGNORECASE)
_NUMBERED = re.compile(r"\.so\.(\d+(?:\.\d+)+)$|\.(\d+(?:\.\d+)+)\.dylib$")
_COMPONENTS = 500


def vendored(path: str) -> dict[str, Any] | None:
    """The library's origin as the path of the member tells it; None when it is none that was brought along."""
    parts = path.split("/")
    name, directories = parts[-1], parts[:-1]
    tool, original = None, name
    if ".dylibs" in directories or "__dot__dylibs" in directories:
        tool = "delocate"
    elif any(each.endswith(".libs") for each in directories):
        plain = _GRAFTED.match(name) or _GRAFTED_DLL.match(name)
        tool = "delvewheel" if name.lower().endswith(".dll") else "auditwheel"
        original = plain["stem"] + plain["rest"] if plain else name
    if tool is None:
        return None
    numbered = _NUMBERED.search(original)
    version = next((each for each in numbered.groups() if each), None) if numbered else None
    return {
        "tool": tool,
        "original": shown(original, 120),
        "version": shown(version, 40) if version else None,
        "version_from": "file name" if version else None,
        "origin": None,
    }


def stem(original: str) -> str:
    """What a library is called: ``png16`` of ``libpng16.so.16.50.0``."""
    name = re.split(r"\.(?:so|dll|dylib)\b|\.\d+(?:\.\d+)*\.dylib", original, maxsplit=1)[0]
    return name[3:] if name.startswith("lib") else name


def read_origins(documents: list[bytes]) -> dict[str, dict[str, str]]:
    """Components of bills of materials (CycloneDX, JSON) by their name; what cannot be read says nothing."""
    found: dict[str, dict[str, str]] = {}
    for document in documents:
        try:
            components = json.loads(document)["components"]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
        for each in components[:_COMPONENTS] if isinstance(components, list) else []:
            fields = [each.get(name) for name in ("name", "version", "purl")] if isinstance(each, dict) else [None]
            if all(isinstance(field, str) for field in fields):
                name, version, purl = map(str, fields)
                origin = {
                    "version": shown(version, 60),
                    "version_from": "bill of materials",
                    "origin": shown(purl, 200),
                }
                found.setdefault(name.lower(), origin)
    return found


def origin_of(original: str, origins: dict[str, dict[str, str]]) -> dict[str, str] | None:
    """What a bill of materials says of a library, if one of its components is called like it."""
    name = stem(original).lower()
    return origins.get(name) or origins.get(f"lib{name}")
