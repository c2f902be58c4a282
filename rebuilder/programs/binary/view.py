"""Bytes of an untrusted file, read only inside their bounds, and what is found in them."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Union

from rebuilder.programs.archive.reading import shown

TEXT = 300
"""Longest text handed back, in characters."""
EVIDENCE = 2000
"""The same of what a compiler wrote about itself: its options are part of it."""
STRING_BYTES = 4096
"""Longest string in a file; what has no end within that is cut there."""
UNPACKED_BYTES = 48 << 20
"""All sections of one file that are kept compressed, decompressed."""

Buffer = Union[bytes, Any]
"""``bytes`` or an ``mmap``: both are sliced into bytes, and searched with ``find``."""


class MalformedError(Exception):
    """The file cannot be read any further, or not in this place; ``str()`` is the sentence for a person."""


class View:
    """A stretch of a file; offsets are counted from its beginning, and none leads out of it."""

    def __init__(self, data: Buffer, start: int = 0, size: int | None = None) -> None:
        self.data = data
        self.start = start
        self.size = len(data) - start if size is None else size

    def part(self, offset: int, size: int, what: str) -> View:
        """A stretch of this one.

        Raises:
            MalformedError: it is not inside.
        """
        if offset < 0 or size < 0 or offset + size > self.size:
            raise MalformedError(f"{what} lies outside the file.")
        return View(self.data, self.start + offset, size)

    def unpack(self, layout: str, offset: int, what: str) -> tuple[Any, ...]:
        """Numbers in the layout of :mod:`struct`.

        Raises:
            MalformedError: they are not inside.
        """
        size = struct.calcsize(layout)
        if offset < 0 or offset + size > self.size:
            raise MalformedError(f"{what} lies outside the file.")
        return struct.unpack_from(layout, self.data, self.start + offset)

    def raw(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes, as many as there are."""
        offset = min(max(offset, 0), self.size)
        end = self.size if size is None else min(self.size, offset + max(size, 0))
        return bytes(self.data[self.start + offset : self.start + end])

    def string(self, offset: int) -> bytes:
        """Bytes up to a NUL; nothing where the offset is outside."""
        if not 0 <= offset < self.size:
            return b""
        begin = self.start + offset
        limit = min(self.start + self.size, begin + STRING_BYTES)
        end = self.data.find(b"\0", begin, limit)
        return bytes(self.data[begin : limit if end < 0 else end])

    def find(self, what: bytes, offset: int = 0) -> int:
        """Where some bytes stand next; -1 for nowhere."""
        found = self.data.find(what, self.start + offset, self.start + self.size)
        return found - self.start if found >= 0 else -1

    def sha256(self) -> str:
        """Digest of all of it, in hexadecimal."""
        digest = hashlib.sha256()
        for at in range(self.start, self.start + self.size, 1 << 20):
            digest.update(self.data[at : min(at + (1 << 20), self.start + self.size)])
        return digest.hexdigest()


class Notes:
    """What is odd about a file, as sentences; and what reading it has cost so far."""

    def __init__(self, hashed: int) -> None:
        self.sentences: list[str] = []
        self._hashed = hashed
        self._unpacked = UNPACKED_BYTES

    def add(self, sentence: str) -> None:
        """One more sentence; the first forty are kept, each once."""
        if sentence not in self.sentences and len(self.sentences) < 40:
            self.sentences.append(sentence)

    def attempt(self, *parts: Callable[[], None]) -> None:
        """Do each; what is malformed ends its own part, with its sentence."""
        for part in parts:
            try:
                part()
            except MalformedError as error:
                self.add(str(error))

    def part(self, file: View, offset: int, size: int, what: str) -> View | None:
        """A stretch of a file; None, and a sentence, where it is not inside."""
        try:
            return file.part(offset, size, what)
        except MalformedError as error:
            self.add(str(error))
            return None

    def digest(self, view: View) -> str | None:
        """SHA-256 of a section; None once sections that overlap have been read several times over."""
        self._hashed -= view.size
        if self._hashed < 0:
            self.add("Its sections overlap: together they are larger than the file; not all have a digest here.")
            return None
        return view.sha256()

    def decompressed(self, data: bytes, size: int, what: str) -> bytes:
        """A section that is kept compressed with zlib.

        Raises:
            MalformedError: it cannot be decompressed, or is too large.
        """
        if size > self._unpacked:
            raise MalformedError(f"{what} decompresses to more than {UNPACKED_BYTES >> 20} MB (a bomb?).")
        try:
            plain = zlib.decompressobj().decompress(data, size or 1)
        except zlib.error:
            raise MalformedError(f"{what} cannot be decompressed.") from None
        self._unpacked -= len(plain)
        return plain


def text(raw: bytes, width: int = TEXT) -> str:
    """Bytes of a file as text: one line, nothing invisible, cut."""
    return shown(raw[: 4 * width].decode("utf-8", "backslashreplace"), width)


def uleb(view: View, offset: int) -> tuple[int, int]:
    """An unsigned LEB128 number (DWARF 5, 7.6), and the offset behind it.

    Raises:
        MalformedError: it does not end within 10 bytes or inside the section.
    """
    value = shift = 0
    for byte in view.raw(offset, 10):
        offset += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, offset
    raise MalformedError("A number in the debugging information has no end.")


SECTIONS = 64
"""Most sections handed back; there are a few dozen in a library."""
NAMES = 64
"""Most names handed back of any one kind: libraries, exported symbols, directories, …"""
COMPILERS = 24
"""Most compilers handed back: each comes with what it wrote about itself, and its options."""
SYMBOLS = 500_000
"""Most entries of a symbol table that are looked at."""
_GUARDS = {b"stack_chk_fail", b"stack_chk_guard", b"stack_smash_handler", b"stack_chk_fail_local"}
"""Functions that check a stack frame, without the underscores that each format has in front."""
_FIELDS = (
    "architecture", "kind", "compilers", "tools", "crates", "directories", "needed", "search_paths", "needs",
    "own_name", "version", "build_id", "stripped", "debug", "exports", "exports_total", "imports_total", "protections",
)  # fmt: skip


class Section(NamedTuple):
    """A section of the file, as its table has it."""

    name: bytes
    view: View | None
    """None when it takes no room in the file."""
    size: int
    compressed: bool = False
    """Whether the first bytes say how the rest is compressed."""


class Findings:
    """Collects what is found, in the shape of ``rebuilder.model.binary.BinaryImage``."""

    def __init__(self, architecture: str, kind: str, order: str, *, wide: bool) -> None:
        self.architecture = architecture
        self.kind = kind
        self.order = order
        """``<`` or ``>``, as in :mod:`struct`."""
        self.wide = wide
        self.compilers: list[dict[str, Any]] = []
        self.tools: list[dict[str, Any]] = []
        self.crates: list[dict[str, str]] = []
        self.directories: list[str] = []
        self.needed: list[str] = []
        self.search_paths: list[dict[str, str]] = []
        self.needs: list[str] = []
        self.own_name: str | None = None
        self.version: str | None = None
        self.build_id: str | None = None
        self.stripped: bool | None = None
        self.debug = False
        self.exports: list[str] = []
        self.exports_total = 0
        self.imports_total = 0
        self.protections: list[dict[str, Any]] = []
        self.sections: list[Section] = []

    def section(self, *names: bytes) -> Section | None:
        """The first section that has one of these names and takes room in the file."""
        return next((each for name in names for each in self.sections if each.name == name and each.view), None)

    def compiler(self, name: str, version: str | None, evidence: str, where: str, **more: Any) -> None:
        """One more compiler, once for each text that says so."""
        found = {"name": name, "version": version, "evidence": evidence, "where": where, **more}
        if len(self.compilers) < COMPILERS and found not in self.compilers:
            self.compilers.append(found)

    def tool(self, name: str, version: str | None, evidence: str, where: str) -> None:
        """One more tool, once for each version."""
        known = {(each["name"], each["version"]) for each in self.tools}
        if (name, version) not in known and len(self.tools) < NAMES:
            self.tools.append({"name": name, "version": version, "evidence": evidence, "where": where})

    def protection(self, name: str, on: bool, detail: str | None = None) -> None:  # noqa: FBT001 - it is what is said
        """Whether a protection is on."""
        self.protections.append({"name": name, "on": on, "detail": detail})

    def symbols(self, found: Iterator[tuple[int, bool]], name: Callable[[int], bytes]) -> None:
        """Count what is exported and imported, keep the first names, and tell protections that show in the imports."""
        imports: set[bytes] = set()
        for place, imported in found:
            if imported:
                self.imports_total += 1
                function = name(place).strip(b"_")
                if (function in _GUARDS or function.endswith(b"_chk")) and len(imports) < 1000:
                    imports.add(function)
            else:
                self.exports_total += 1
                if len(self.exports) < NAMES:
                    self.add(self.exports, name(place))
        guarded = bool(imports & _GUARDS)
        self.protection("stack-protector", guarded, None if guarded else "No function of it calls the check.")
        checked = sorted(imports - _GUARDS)
        names = ", ".join(text(each[:-4], 40) for each in checked[:6])
        more = f" and {len(checked) - 6} more" if len(checked) > 6 else ""
        plain = "No checked function is imported."
        self.protection("fortify", bool(checked), f"Checked: {names}{more}." if checked else plain)

    def add(self, into: list[str], raw: bytes) -> None:
        """One more text in a list, once, if there is room."""
        if raw and len(into) < NAMES:
            shown = text(raw)
            if shown not in into:
                into.append(shown)

    def document(self, notes: Notes) -> dict[str, Any]:
        """The fields of a ``BinaryImage``; sections get their digests now."""
        sections = [
            {"name": text(each.name, 60), "size": each.size, "sha256": notes.digest(each.view) if each.view else None}
            for each in self.sections[:SECTIONS]
        ]
        fields = {name: getattr(self, name) for name in _FIELDS}
        return {**fields, "sections": sections, "sections_total": len(self.sections)}
