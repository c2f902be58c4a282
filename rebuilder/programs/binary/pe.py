"""Reads PE files, the libraries and programs of Windows.

https://learn.microsoft.com/windows/win32/debug/pe-format; the Rich header is described by those who took it apart only.
"""

from __future__ import annotations

import re
import struct
import uuid
from typing import NamedTuple

from rebuilder.programs.binary.traces import read_compiler
from rebuilder.programs.binary.view import SYMBOLS, Findings, MalformedError, Notes, Section, View, text

MAGIC = b"MZ"

_MACHINES = {0x14C: "i386", 0x8664: "x86_64", 0xAA64: "arm64", 0x1C4: "arm", 0x1C0: "arm", 0xA641: "arm64ec"}
_SECTIONS, _LIBRARIES, _FUNCTIONS, _DEBUG_ENTRIES = 512, 1024, 20_000, 64
_EXPORT, _IMPORT, _RESOURCE, _SECURITY, _DEBUG, _LOAD_CONFIG, _DELAY = 0, 1, 2, 4, 6, 10, 13
_FIXED_VERSION = b"\xbd\x04\xef\xfe\x00\x00\x01\x00"
_GCC = re.compile(rb"GCC: \([^)\0]{1,100}\) \d[\w. ]{1,60}")


class _Row(NamedTuple):
    """One row of the section table."""

    name: bytes
    size: int
    address: int
    offset: int
    stored: int


def is_pe(file: View) -> bool:
    """Whether a file that begins with ``MZ`` is of Windows, and not of DOS."""
    try:
        (place,) = file.unpack("<I", 0x3C, "The header")
    except MalformedError:
        return False
    return file.raw(place, 4) == b"PE\0\0"


def read_pe(file: View, notes: Notes) -> Findings:
    """Read one file.

    Raises:
        MalformedError: its headers are not to be read; what is odd further on is in ``notes``.
    """
    what = "The PE header"
    (place,) = file.unpack("<I", 0x3C, what)
    machine, count, _, symbols_at, symbols, optional, characteristics = file.unpack("<HHIIIHH", place + 4, what)
    (magic,) = file.unpack("<H", place + 24, what)
    if magic not in {0x10B, 0x20B}:
        raise MalformedError("Its optional header is of no kind there is.")
    kind = "shared library" if characteristics & 0x2000 else "program"
    image = Findings(_MACHINES.get(machine, f"machine {machine:#x}"), kind, "<", wide=magic == 0x20B)
    reader = _Reader(file, image, notes, place, optional)
    reader.sections(place + 24 + optional, count, symbols_at + 18 * symbols if symbols_at else 0)
    image.stripped = not symbols
    notes.attempt(
        reader.rich,
        reader.gnu,
        reader.linker,
        reader.imports,
        reader.delayed,
        reader.exports,
        reader.debug,
        reader.version,
        reader.protections,
    )
    return image


class _Reader:
    def __init__(self, file: View, image: Findings, notes: Notes, place: int, optional: int) -> None:
        self._file = file
        self._findings = image
        self._notes = notes
        self._place = place
        self._head = file.part(place + 24, optional, "The optional header")
        self._rows: list[_Row] = []
        self._rich = False
        self._shadow_stack: bool | None = None

    def sections(self, at: int, count: int, strings_at: int) -> None:
        """Read the section table; GNU's linker puts long names into the table of strings behind the symbols."""
        for index in range(min(count, _SECTIONS)):
            row = self._file.unpack("<8sIIIIIIHHI", at + 40 * index, "The section table")
            name, size, address, stored, offset, flags = row[0].rstrip(b"\0"), row[1], row[2], row[3], row[4], row[9]
            if name.startswith(b"/") and name[1:].isdigit() and strings_at:
                name = self._file.string(strings_at + int(name[1:])) or name
            if flags & 0xA0000000 == 0xA0000000:
                self._notes.add(f"The section “{text(name, 60)}” can be written and executed.")
            content = None
            if offset and stored:
                content = self._notes.part(self._file, offset, stored, f"The section “{text(name, 60)}”")
            self._rows.append(_Row(name, size, address, offset, stored))
            self._findings.debug = self._findings.debug or name == b".debug_info"
            self._findings.sections.append(Section(name, content, size or stored))
        if count > _SECTIONS:
            self._notes.add(f"It has {count:,} sections; the first {_SECTIONS} were read.")

    def _directory(self, index: int) -> tuple[int, int]:
        """Address and size of a data directory; zeros when there is none."""
        at = 96 if not self._findings.wide else 112
        (count,) = self._head.unpack("<I", at - 4, "The table of data directories")
        if index >= count or at + 8 * index + 8 > self._head.size:
            return 0, 0
        address, size = self._head.unpack("<II", at + 8 * index, "The table of data directories")
        return int(address), int(size)

    def _at(self, address: int, what: str) -> View:
        """The bytes that are loaded to an address, up to the end of their section."""
        for row in self._rows:
            if row.address <= address < row.address + row.stored:
                inside = address - row.address
                return self._file.part(row.offset + inside, row.stored - inside, what)
        raise MalformedError(f"{what} is at an address that nothing of the file is loaded to.")

    def rich(self) -> None:
        """The header in which Microsoft's linker counts, by their builds, the tools that made what it links."""
        head = self._file.raw(0x40, min(max(self._place - 0x40, 0), 4096))
        end = head.find(b"Rich")
        if end < 0 or end + 8 > len(head):
            return
        key = head[end + 4 : end + 8]
        start = head.find(bytes(left ^ right for left, right in zip(b"DanS", key)))  # noqa: B905 - Python 3.9
        if start < 0 or start > end:
            self._notes.add("Its Rich header is damaged.")
            return
        words = [
            word ^ struct.unpack("<I", key)[0]
            for (word,) in struct.iter_unpack("<I", head[start : start + (end - start) // 4 * 4])
        ]
        builds = sorted({word & 0xFFFF for word in words[4::2]} - {0})
        if builds:
            shown = ", ".join(map(str, builds[-12:]))
            self._rich = True
            self._findings.compiler("MSVC", None, f"tools of build {shown}", "Rich header", flags=[])

    def gnu(self) -> None:
        """What GCC leaves in read-only data, since PE files have no section for comments."""
        section = self._findings.section(b".rdata")
        data = section.view.raw(0, 32 << 20) if section is not None and section.view is not None else b""
        for line in list(dict.fromkeys(_GCC.findall(data)))[:8]:
            read_compiler(self._findings, line.rstrip(), "text in .rdata")

    def linker(self) -> None:
        """The version that the linker writes; that of Microsoft's is the one of its compiler."""
        major, minor = self._head.unpack("<BB", 2, "The optional header")
        version = f"{major}.{minor:02}" if self._rich else f"{major}.{minor}"
        name = "Microsoft linker" if self._rich else "linker"
        self._findings.tool(name, version, f"linker version {version}", "optional header")

    def imports(self) -> None:
        """Libraries, and how many functions of each."""
        address, _ = self._directory(_IMPORT)
        if address:
            self._libraries(address, 20, 12, 0)

    def delayed(self) -> None:
        """The same of libraries that are loaded when they are first used."""
        address, _ = self._directory(_DELAY)
        if address:
            self._libraries(address, 32, 4, 16)

    def _libraries(self, address: int, step: int, name_at: int, functions_at: int) -> None:
        table = self._at(address, "The table of imports")
        for index in range(_LIBRARIES):
            row = table.part(index * step, step, "The table of imports")
            (name,) = row.unpack("<I", name_at, "The table of imports")
            if not name:
                return
            self._findings.add(self._findings.needed, self._at(name, "The name of a library").string(0))
            (functions,) = row.unpack("<I", functions_at, "The table of imports")
            if not functions:
                (functions,) = row.unpack("<I", 16 if step == 20 else 12, "The table of imports")
            self._findings.imports_total += self._functions(self._at(functions, "The functions of a library"))
        self._notes.add(f"It imports from more than {_LIBRARIES:,} libraries; the others were not read.")

    def _functions(self, table: View) -> int:
        layout = struct.Struct("<Q" if self._findings.wide else "<I")
        room = max(0, min(_FUNCTIONS, SYMBOLS - self._findings.imports_total))
        data = table.raw(0, room * layout.size)
        count = 0
        for (value,) in layout.iter_unpack(data[: len(data) // layout.size * layout.size]):
            if not value:
                break
            count += 1
        return count

    def exports(self) -> None:
        """Names of what it exports."""
        address, _ = self._directory(_EXPORT)
        if not address:
            return
        table = self._at(address, "The table of exports")
        name, _, _, count, _, names = table.unpack("<IIIIII", 12, "The table of exports")
        self._findings.own_name = text(self._at(name, "Its own name").string(0)) if name else None
        self._findings.exports_total = count
        if count:
            places = self._at(names, "The names of exports").raw(0, 4 * min(count, 64))
            for (place,) in struct.iter_unpack("<I", places[: len(places) // 4 * 4]):
                self._findings.add(self._findings.exports, self._at(place, "The name of an export").string(0))

    def debug(self) -> None:
        """Where the debugging information is, with its identity; and flags that are kept with it."""
        address, size = self._directory(_DEBUG)
        if not address:
            return
        table = self._at(address, "The debug directory")
        for index in range(min(size // 28, _DEBUG_ENTRIES)):
            _, _, _, _, kind, length, _, offset = table.unpack("<IIHHIIII", index * 28, "The debug directory")
            content = self._file.part(offset, length, "An entry of the debug directory") if offset else View(b"")
            if kind == 2 and content.raw(0, 4) == b"RSDS" and content.size > 24:
                identity = uuid.UUID(bytes_le=content.raw(4, 16))
                (age,) = content.unpack("<I", 20, "An entry of the debug directory")
                self._findings.build_id = f"{identity}-{age:x}"
                path = content.string(24)
                self._findings.add(
                    self._findings.directories,
                    re.split(rb"[/\\][^/\\]*$", path)[0] if re.search(rb"[/\\]", path) else b"",
                )
            elif kind == 20 and content.size >= 4:
                self._shadow_stack = bool(content.unpack("<I", 0, "An entry of the debug directory")[0] & 1)
            elif kind == 16:
                self._findings.tool("Microsoft linker", "/Brepro", "debug entry REPRO", "debug directory")

    def version(self) -> None:
        """The version in the resources (``VS_FIXEDFILEINFO``), found by its signature; no name in there is used."""
        address, size = self._directory(_RESOURCE)
        if not address:
            return
        content = self._at(address, "The resources")
        content = content.part(0, min(content.size, size), "The resources")
        place = content.find(_FIXED_VERSION)
        if place >= 0:
            upper, lower = content.unpack("<II", place + 8, "The version in the resources")
            self._findings.version = f"{upper >> 16}.{upper & 0xFFFF}.{lower >> 16}.{lower & 0xFFFF}"

    def protections(self) -> None:
        """Protections that the headers tell."""
        (flags,) = self._head.unpack("<H", 70, "The optional header")
        image = self._findings
        image.protection("aslr", bool(flags & 0x40), "with high entropy" if flags & 0x60 == 0x60 else None)
        image.protection("nx", bool(flags & 0x100))
        image.protection("cfg", bool(flags & 0x4000))
        image.protection(
            "signature",
            self._directory(_SECURITY)[0] != 0,
            "It was not checked." if self._directory(_SECURITY)[0] else None,
        )
        if self._shadow_stack is not None:
            image.protection("shadow-stack", self._shadow_stack)
        address, _ = self._directory(_LOAD_CONFIG)
        cookie = False
        if address:
            table = self._at(address, "The load configuration")
            layout, place = ("<Q", 0x58) if image.wide else ("<I", 0x3C)
            (size,) = table.unpack("<I", 0, "The load configuration")
            cookie = size >= place + struct.calcsize(layout) and bool(
                table.unpack(layout, place, "The load configuration")[0]
            )
        image.protection("stack-protector", cookie)
