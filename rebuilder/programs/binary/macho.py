"""Reads Mach-O files, of one architecture or of several (``mach-o/loader.h``, ``mach-o/fat.h``, ``mach/machine.h``)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from rebuilder.programs.binary.view import SYMBOLS, Findings, MalformedError, Notes, Section, View, text

MAGICS = {
    b"\xfe\xed\xfa\xce": (">", False),
    b"\xce\xfa\xed\xfe": ("<", False),
    b"\xfe\xed\xfa\xcf": (">", True),
    b"\xcf\xfa\xed\xfe": ("<", True),
}
"""First bytes of an image; byte order, and whether it is of 64 bits."""
FAT_MAGICS = {b"\xca\xfe\xba\xbe": False, b"\xca\xfe\xba\xbf": True}
"""First bytes of a file of several images, and whether its offsets are of 64 bits. Java's classes begin so too."""
NO_CLASS_BELOW = 45
"""A file of Java has a version in the place of the number of images: 45 or more."""
ARCHITECTURES = 16
"""Most images in one file."""

_CPUS = {
    7: "i386",
    0x01000007: "x86_64",
    12: "arm",
    0x0100000C: "arm64",
    0x0200000C: "arm64_32",
    18: "ppc",
    0x01000012: "ppc64",
}
_KINDS = {
    1: "object file",
    2: "program",
    6: "shared library",
    8: "shared library",
    7: "dynamic linker",
    10: "debug symbols",
}
_PLATFORMS = {1: "macOS", 2: "iOS", 3: "tvOS", 4: "watchOS", 6: "Mac Catalyst", 7: "iOS Simulator", 11: "visionOS"}
_TOOLS = {1: "Apple clang", 2: "Swift", 3: "ld", 4: "LLD", 1024: "Metal"}
_COMMANDS = 4096
_SECTIONS = 1024
_PIE, _STACK_EXECUTION, _NO_HEAP_EXECUTION = 0x200000, 0x20000, 0x1000000
_ZEROFILL = {1, 12, 18}


def fat_images(file: View, notes: Notes) -> list[View]:
    """The images of a file of several architectures.

    Raises:
        MalformedError: its header is not to be read.
    """
    wide = FAT_MAGICS[file.raw(0, 4)]
    (count,) = file.unpack(">I", 4, "The header")
    if count > ARCHITECTURES:
        raise MalformedError(f"It claims to hold code for {count:,} architectures; at most {ARCHITECTURES} are read.")
    layout, found, ends = ">IIQQI4x" if wide else ">IIIII", [], 0
    rows = [file.unpack(layout, 8 + index * struct.calcsize(layout), "The header") for index in range(count)]
    for _, _, offset, size, _ in sorted(rows, key=lambda row: int(row[2])):
        image = notes.part(file, offset, size, "The code for an architecture")
        if image is None:
            continue
        found.append(image)
        if offset < ends:
            notes.add("The code for one architecture overlaps that for another.")
        ends = max(ends, offset + size)
    return found


def read_macho(file: View, notes: Notes) -> Findings:
    """Read one image.

    Raises:
        MalformedError: its header is not to be read; what is odd further on is in ``notes``.
    """
    if file.raw(0, 4) not in MAGICS:
        raise MalformedError("Its first bytes are of no Mach-O file there is.")
    order, wide = MAGICS[file.raw(0, 4)]
    cpu, subtype, kind, count, size, flags = file.unpack(f"{order}IIIIII", 4, "The Mach-O header")
    name = _CPUS.get(cpu, f"processor {cpu}")
    if cpu == 0x0100000C and subtype & 0xFFFFFF == 2:
        name = "arm64e"
    image = Findings(name, _KINDS.get(kind, "file"), order, wide=wide)
    reader = _Reader(file, image, notes)
    notes.attempt(partial(reader.commands, 32 if wide else 28, count, size))
    if kind == 2:
        image.protection("pie", bool(flags & _PIE))
    elif kind in {6, 8}:
        image.protection("pie", on=True, detail="It is a shared library.")
    stack = bool(flags & _STACK_EXECUTION)
    image.protection("nx", not stack, "The stack holds code." if stack else None)
    image.protection("signature", reader.signed, "It was not checked." if reader.signed else None)
    return image


class _Reader:
    def __init__(self, file: View, image: Findings, notes: Notes) -> None:
        self.signed = False
        self._symbols_read = False
        self._file = file
        self._findings = image
        self._notes = notes
        self._order = image.order

    def commands(self, at: int, count: int, size: int) -> None:
        """Read the load commands."""
        table = self._file.part(at, size, "The table of load commands")
        if count > _COMMANDS:
            self._notes.add(f"It has {count:,} load commands; the first {_COMMANDS:,} were read.")
        read: dict[int, Callable[[View], None]] = {
            0x02: self._symbols, 0x01: self._segment, 0x19: self._segment, 0x0C: self._library, 0x18: self._library,
            0x1F: self._library, 0x20: self._library, 0x23: self._library, 0x0D: self._own_name, 0x1B: self._uuid,
            0x1C: self._search_path, 0x32: self._build_version, 0x24: self._oldest_system, 0x1D: self._signature,
        }  # fmt: skip
        at = 0
        for _ in range(min(count, _COMMANDS)):
            kind, length = table.unpack(f"{self._order}II", at, "A load command")
            if length < 8:
                raise MalformedError("A load command is too short.")
            command = table.part(at, length, "A load command")
            if kind & 0x7FFFFFFF in read:
                self._notes.attempt(partial(read[kind & 0x7FFFFFFF], command))
            at += length

    def _text_at(self, command: View) -> bytes:
        """The text of a command whose place is its third number."""
        (place,) = command.unpack(f"{self._order}I", 8, "A load command")
        return command.string(place)

    def _library(self, command: View) -> None:
        self._findings.add(self._findings.needed, self._text_at(command))

    def _own_name(self, command: View) -> None:
        self._findings.own_name = text(self._text_at(command))
        (version,) = command.unpack(f"{self._order}I", 16, "A load command")
        self._findings.version = _dotted(version) if version else None

    def _search_path(self, command: View) -> None:
        if len(self._findings.search_paths) < 16:
            self._findings.search_paths.append({"kind": "LC_RPATH", "path": text(self._text_at(command))})

    def _uuid(self, command: View) -> None:
        if command.size >= 24:
            digits = command.raw(8, 16).hex()
            self._findings.build_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))

    def _build_version(self, command: View) -> None:
        platform, oldest, sdk, count = command.unpack(f"{self._order}IIII", 8, "LC_BUILD_VERSION")
        self._system(_PLATFORMS.get(platform, f"platform {platform}"), oldest, sdk)
        for index in range(min(count, 16)):
            tool, version = command.unpack(f"{self._order}II", 24 + 8 * index, "LC_BUILD_VERSION")
            name, number = _TOOLS.get(tool, f"tool {tool}"), _dotted(version)
            if tool in {1, 2}:
                self._findings.compiler(name, number, f"{name} {number}", "LC_BUILD_VERSION", flags=[])
            else:
                self._findings.tool(name, number, f"{name} {number}", "LC_BUILD_VERSION")

    def _oldest_system(self, command: View) -> None:
        oldest, sdk = command.unpack(f"{self._order}II", 8, "LC_VERSION_MIN_MACOSX")
        self._system("macOS", oldest, sdk)

    def _system(self, platform: str, oldest: int, sdk: int) -> None:
        self._findings.add(self._findings.needs, f"{platform} {_dotted(oldest)}".encode())
        if sdk:
            self._findings.tool("SDK", _dotted(sdk), f"{platform} SDK {_dotted(sdk)}", "load command")

    def _signature(self, _command: View) -> None:
        self.signed = True

    def _segment(self, command: View) -> None:
        wide = self._findings.wide
        layout, at, row, step = (
            (f"{self._order}QQQQIIII", 24, f"{self._order}16s16sQQIIIII", 80)
            if wide
            else (f"{self._order}IIIIIIII", 24, f"{self._order}16s16sIIIIIII", 68)
        )
        name = command.raw(8, 16).rstrip(b"\0")
        _, _, _, _, most, _, count, _ = command.unpack(layout, at, "A segment")
        if most & 6 == 6:
            self._notes.add(f"The segment “{text(name, 20)}” can be written and executed.")
        at += struct.calcsize(layout)
        for index in range(count):
            if len(self._findings.sections) >= _SECTIONS:
                self._notes.add(f"It has more than {_SECTIONS:,} sections; the first ones were read.")
                return
            section, _, _, size, offset, _, _, _, flags = command.unpack(row, at + index * step, "A section")
            section, content = section.rstrip(b"\0"), None
            if flags & 0xFF not in _ZEROFILL:
                content = self._notes.part(self._file, offset, size, f"The section “{text(section, 20)}”")
            self._findings.debug = self._findings.debug or section == b"__debug_info"
            self._findings.sections.append(Section(section, content, size))

    def _symbols(self, command: View) -> None:
        if self._symbols_read:
            raise MalformedError("It has a second symbol table, which was not read.")
        self._symbols_read = True
        place, count, strings_at, strings_size = command.unpack(f"{self._order}IIII", 8, "The symbol table")
        strings = self._file.part(strings_at, strings_size, "The table of symbol names")
        layout = struct.Struct(f"{self._order}IBBhQ" if self._findings.wide else f"{self._order}IBBhI")
        if count > SYMBOLS:
            self._notes.add(f"It has {count:,} symbols; the first {SYMBOLS:,} were read.")
            count = SYMBOLS
        table = self._file.part(place, count * layout.size, "The symbol table")
        self._findings.stripped = True
        self._findings.symbols(self._shared(layout.iter_unpack(table.raw()), strings), strings.string)

    def _shared(self, rows: Iterator[tuple[Any, ...]], strings: View) -> Iterator[tuple[int, bool]]:
        """Those that other files see; notes what the others tell."""
        for name, kind, _, _, value in rows:
            if kind & 0xE0:  # written for debuggers
                self._findings.debug = True
                if kind == 0x64 and strings.string(name).endswith(b"/"):  # N_SO: a directory
                    self._findings.add(self._findings.directories, strings.string(name))
            elif not kind & 1:
                self._findings.stripped = False
            else:
                yield name, kind & 0x0E == 0 and not value


def _dotted(version: int) -> str:
    """A version packed into 32 bits: 16 for the first number, 8 each for the others."""
    last = version & 0xFF
    return f"{version >> 16}.{version >> 8 & 0xFF}" + (f".{last}" if last else "")
