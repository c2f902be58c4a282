"""Reads ELF files (System V ABI, gABI 4.3), as the loader does where it matters: by segments, not by sections.

https://gabi.xinuos.com/; GNU notes and properties: the Linux Extensions to gABI; AArch64 and x86-64 psABI.
"""

from __future__ import annotations

import re
import struct
from functools import partial
from typing import NamedTuple

from rebuilder.programs.binary.traces import read_compiler
from rebuilder.programs.binary.view import SYMBOLS, Findings, MalformedError, Notes, Section, View, text

MAGIC = b"\x7fELF"

_MACHINES = {
    2: "sparc", 3: "i386", 8: "mips", 20: "ppc", 21: "ppc64", 22: "s390x", 40: "arm", 42: "sh", 43: "sparc64",
    50: "ia64", 62: "x86_64", 183: "aarch64", 243: "riscv", 258: "loongarch",
}  # fmt: skip
_KINDS = {1: "object file", 2: "program", 3: "shared library", 4: "core dump"}
_LOAD, _DYNAMIC, _INTERP, _NOTE = 1, 2, 3, 4
_STACK, _RELRO, _PROPERTY = 0x6474E551, 0x6474E552, 0x6474E553
_NOBITS, _SYMTAB, _DYNSYM = 8, 2, 11
_COMPRESSED = 0x800
_MOST_SECTIONS, _MOST_SEGMENTS, _MOST_ENTRIES = 8192, 512, 4096
_NEEDED, _HASH, _STRTAB, _SYMTAB_AT, _STRSZ, _SONAME, _RPATH, _TEXTREL, _BIND_NOW = 1, 4, 5, 6, 10, 14, 15, 22, 24
_RUNPATH, _FLAGS, _GNU_HASH, _FLAGS_1, _VERNEED = 29, 30, 0x6FFFFEF5, 0x6FFFFFFB, 0x6FFFFFFE
_NAME_BYTES = 1024
_NUMBERED = re.compile(rb"([A-Za-z]+)_([0-9]+(?:\.[0-9]+)*)")
_NO_SEGMENT = "No segment says that the stack holds no code."


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    size: int
    align: int


class _Header(NamedTuple):
    kind: int
    phoff: int
    shoff: int
    phsize: int
    phnum: int
    shsize: int
    shnum: int
    names: int


class _Table(NamedTuple):
    """One row of the section header table."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


def read_elf(file: View, notes: Notes) -> Findings:
    """Read one file.

    Raises:
        MalformedError: its headers are not to be read; what is odd further on is in ``notes``.
    """
    wide, order = _identification(file)
    machine, header = _header(file, order, wide=wide)
    image = Findings(_MACHINES.get(machine, f"machine {machine}"), _KINDS.get(header.kind, "file"), order, wide=wide)
    if machine in {22, 243, 258, 8} and not wide:
        image.architecture += " (32 bit)"
    elif machine == 183 and order == ">":
        image.architecture += " (big-endian)"
    elif machine == 21 and order == "<":
        image.architecture = "ppc64le"
    _Reader(file, image, header, notes).read()
    return image


def _identification(file: View) -> tuple[bool, str]:
    magic, width, order = file.unpack("<4sBB", 0, "The ELF header")
    if magic != MAGIC or width not in {1, 2} or order not in {1, 2}:
        raise MalformedError("Its first bytes are of no ELF file there is.")
    return width == 2, "<" if order == 1 else ">"


def _header(file: View, order: str, *, wide: bool) -> tuple[int, _Header]:
    layout = f"{order}HHIQQQIHHHHHH" if wide else f"{order}HHIIIIIHHHHHH"
    kind, machine, _, _, phoff, shoff, _, _, phsize, phnum, shsize, shnum, names = file.unpack(
        layout, 16, "The ELF header"
    )
    return machine, _Header(kind, phoff, shoff, phsize, phnum, shsize, shnum, names)


class _Reader:
    def __init__(self, file: View, image: Findings, header: _Header, notes: Notes) -> None:
        self._file = file
        self._findings = image
        self._header = header
        self._notes = notes
        self._order = image.order
        self._wide = image.wide
        self._tables: list[_Table] = []
        self._segments: list[_Segment] = []
        self._dynamic: list[tuple[int, int]] = []

    def read(self) -> None:
        """Read everything; what is malformed ends its own part only."""
        self._notes.attempt(
            self._read_sections,
            self._read_segments,
            self._read_dynamic,
            self._read_symbols,
            self._read_versions,
            self._read_notes,
            self._read_comments,
        )
        self._judge()

    def _read_sections(self) -> None:
        header = self._header
        layout = f"{self._order}IIQQQQII" if self._wide else f"{self._order}IIIIIIII"
        if not header.shoff:
            return
        if header.shsize < struct.calcsize(layout):
            raise MalformedError("The rows of its section table are too short.")
        count, names = header.shnum, header.names
        if count == 0 or names == 0xFFFF:
            first = _Table(*self._file.unpack(layout, header.shoff, "The section table")[:7])
            count, names = count or first.size, first.link if names == 0xFFFF else names
        if count > _MOST_SECTIONS:
            self._notes.add(f"It has {count:,} sections; the first {_MOST_SECTIONS:,} were read.")
            count = _MOST_SECTIONS
        for index in range(count):
            row = self._file.unpack(layout, header.shoff + index * header.shsize, "The section table")
            self._tables.append(_Table(*row[:7]))
        table = self._tables[names] if names < len(self._tables) else None
        strings = self._file.part(table.offset, table.size, "The table of section names") if table else None
        for row in self._tables[1:]:
            name = strings.string(row.name) if strings else b""
            self._findings.sections.append(
                Section(name, self._content(row, name), row.size, bool(row.flags & _COMPRESSED))
            )

    def _content(self, row: _Table, name: bytes) -> View | None:
        if row.kind == _NOBITS:
            return None
        return self._notes.part(self._file, row.offset, row.size, f"The section “{text(name, 60)}”")

    def _read_segments(self) -> None:
        header = self._header
        layout = f"{self._order}IIQQQQQQ" if self._wide else f"{self._order}IIIIIIII"
        count = min(header.phnum, _MOST_SEGMENTS)
        if count and header.phsize < struct.calcsize(layout):
            raise MalformedError("The rows of its segment table are too short.")
        for index in range(count):
            row = self._file.unpack(layout, header.phoff + index * header.phsize, "The segment table")
            if self._wide:
                kind, flags, offset, address, _, size, _, align = row
            else:
                kind, offset, address, _, size, _, flags, align = row
            self._segments.append(_Segment(kind, flags, offset, address, size, align))
        if header.phnum > _MOST_SEGMENTS:
            self._notes.add(f"It has {header.phnum:,} segments; the first {_MOST_SEGMENTS} were read.")

    def _at(self, address: int, what: str, size: int | None = None) -> View:
        """The bytes that the loader puts at an address, up to the end of their segment."""
        for each in self._segments:
            if each.kind == _LOAD and each.address <= address < each.address + each.size:
                rest = each.size - (address - each.address)
                return self._file.part(each.offset + address - each.address, rest if size is None else size, what)
        raise MalformedError(f"{what} is at an address that nothing of the file is loaded to.")

    def _read_dynamic(self) -> None:
        segment = next((each for each in self._segments if each.kind == _DYNAMIC), None)
        if segment is None:
            return
        table = self._file.part(segment.offset, segment.size, "The dynamic segment")
        layout = f"{self._order}qQ" if self._wide else f"{self._order}iI"
        step = struct.calcsize(layout)
        for index in range(min(table.size // step, _MOST_ENTRIES)):
            tag, value = table.unpack(layout, index * step, "The dynamic segment")
            if tag == 0:
                break
            self._dynamic.append((tag, value))
        listed = next((row for row in self._tables if row.kind == 6), None)
        if listed is not None and listed.offset != segment.offset:
            self._notes.add(
                "Its section table names another dynamic section than the loader reads; this is what the loader reads."
            )
        strings = self._strings()
        if strings is None:
            return
        for tag, value in self._dynamic:
            if tag == _NEEDED:
                self._findings.add(self._findings.needed, strings.string(value))
            elif tag == _SONAME:
                self._findings.own_name = text(strings.string(value))
            elif tag in {_RPATH, _RUNPATH} and len(self._findings.search_paths) < 16:
                kind = "RPATH" if tag == _RPATH else "RUNPATH"
                self._findings.search_paths.append({"kind": kind, "path": text(strings.string(value))})

    def _value(self, tag: int) -> int | None:
        return next((value for each, value in self._dynamic if each == tag), None)

    def _strings(self) -> View | None:
        """The string table of the dynamic segment."""
        address, size = self._value(_STRTAB), self._value(_STRSZ)
        return self._at(address, "The dynamic string table", size) if address is not None else None

    def _read_symbols(self) -> None:
        self._findings.stripped = not any(row.kind == _SYMTAB for row in self._tables)
        address, strings = self._value(_SYMTAB_AT), self._strings()
        if address is None or strings is None:
            return
        layout = struct.Struct(f"{self._order}IBBHQQ" if self._wide else f"{self._order}IIIBBH")
        count = self._symbol_count(address)
        if count > SYMBOLS:
            self._notes.add(f"It has {count:,} dynamic symbols; the first {SYMBOLS:,} were read.")
            count = SYMBOLS
        table = self._at(address, "The dynamic symbol table", count * layout.size)
        data = table.raw()
        names = strings.raw()
        rows = layout.iter_unpack(data[: count * layout.size])
        fields = ((row[0], row[1], row[3]) if self._wide else (row[0], row[3], row[5]) for row in rows)
        self._findings.symbols(
            # global, weak, unique
            ((name, place == 0) for name, info, place in fields if name and info >> 4 in {1, 2, 10}),
            partial(_until_nul, names),
        )

    def _symbol_count(self, address: int) -> int:
        """How many symbols there are, which the dynamic segment itself does not say."""
        layout_size = 24 if self._wide else 16
        table = next((row for row in self._tables if row.kind == _DYNSYM and row.address == address), None)
        if table is not None:
            return table.size // layout_size
        plain, gnu = self._value(_HASH), self._value(_GNU_HASH)
        if plain is not None:
            return int(self._at(plain, "The hash table").unpack(f"{self._order}II", 0, "The hash table")[1])
        return self._gnu_count(gnu) if gnu is not None else 0

    def _gnu_count(self, address: int) -> int:
        """One more than the last index in the chains of a GNU hash table."""
        table = self._at(address, "The hash table")
        buckets, first, bloom, _ = table.unpack(f"{self._order}IIII", 0, "The hash table")
        at = 16 + bloom * (8 if self._wide else 4)
        if not 0 <= buckets <= SYMBOLS:
            raise MalformedError("The hash table lies outside the file.")
        last = max(table.unpack(f"{self._order}{buckets}I", at, "The hash table"), default=0)
        if last < first:
            return int(first)
        chains = at + 4 * buckets
        while last - first < SYMBOLS:
            (value,) = table.unpack(f"{self._order}I", chains + 4 * (last - first), "The hash table")
            last += 1
            if value & 1:
                break
        return int(last)

    def _read_versions(self) -> None:
        """The newest version that is needed of each library that numbers its symbols, such as ``GLIBC_2.17``."""
        address, strings = self._value(_VERNEED), self._strings()
        if address is None or strings is None:
            return
        table = self._at(address, "The table of versions")
        newest: dict[bytes, tuple[int, ...]] = {}
        at, steps = 0, 0
        while steps < _MOST_ENTRIES:
            _, count, _, inner, following = table.unpack(f"{self._order}HHIII", at, "The table of versions")
            inner += at
            for _ in range(count):
                steps += 1
                if steps > _MOST_ENTRIES:
                    break
                _, _, _, name, after = table.unpack(f"{self._order}IHHII", inner, "The table of versions")
                numbered = _NUMBERED.fullmatch(strings.string(name)[:100])
                if numbered:
                    number = tuple(int(each) for each in numbered[2].split(b".") if len(each) < 10)
                    newest[numbered[1]] = max(newest.get(numbered[1], ()), number)
                if not after:
                    break
                inner += after
            steps += 1
            if not following:
                break
            at += following
        for prefix, number in sorted(newest.items()):
            self._findings.add(self._findings.needs, prefix + b"_" + b".".join(b"%d" % each for each in number))

    def _read_notes(self) -> None:
        """Notes of segments, which the loader sees, and of sections, where there are no segments."""
        seen = False
        for each in self._segments:
            if each.kind == _NOTE:
                seen = True
                self._note_stretch(self._file.part(each.offset, each.size, "A segment of notes"), each.align)
        for section in () if seen else self._findings.sections:
            if section.name.startswith(b".note") and section.view is not None:
                self._note_stretch(section.view, 8 if self._wide and b"property" in section.name else 4)

    def _note_stretch(self, stretch: View, align: int) -> None:
        align, at = (8 if align == 8 else 4), 0
        for _ in range(64):
            if at + 12 > stretch.size:
                return
            owner_size, size, kind = stretch.unpack(f"{self._order}III", at, "A note")
            owner = stretch.part(at + 12, owner_size, "A note").raw().rstrip(b"\0") if owner_size < 64 else b""
            begin = at + (12 + owner_size + align - 1) // align * align
            content = stretch.part(begin, size, "A note")
            self._note(owner, kind, content)
            at = begin + (size + align - 1) // align * align

    def _note(self, owner: bytes, kind: int, content: View) -> None:
        if owner == b"GNU" and kind == 3 and 4 <= content.size <= 64:
            self._findings.build_id = content.raw().hex()
        elif owner == b"GNU" and kind == 5:
            self._properties(content)
        elif owner == b"Go" and kind == 4:
            self._findings.tool("Go", None, text(content.raw(0, 400), 200), "build id of Go")
        elif owner == b"FDO" and kind == 0xCAFE1A7E:
            self._findings.tool("package", None, text(content.raw(0, 2000).rstrip(b"\0")), "package note")

    def _properties(self, content: View) -> None:
        at, step = 0, 8 if self._wide else 4
        for _ in range(64):
            if at + 12 > content.size:
                return
            kind, size, value = content.unpack(f"{self._order}III", at, "A property")
            if kind == 0xC0000002 and not self._told("ibt"):  # GNU_PROPERTY_X86_FEATURE_1_AND
                self._findings.protection("ibt", bool(value & 1))
                self._findings.protection("shadow-stack", bool(value & 2))
            elif kind == 0xC0000000 and self._findings.architecture.startswith("aarch64") and not self._told("bti"):
                self._findings.protection("bti", bool(value & 1))
                self._findings.protection("pac", bool(value & 2))
            at += 8 + (size + step - 1) // step * step

    def _told(self, name: str) -> bool:
        return any(each["name"] == name for each in self._findings.protections)

    def _read_comments(self) -> None:
        comment = self._findings.section(b".comment")
        if comment is None or comment.view is None:
            return
        for line in list(dict.fromkeys(comment.view.raw(0, 1 << 16).split(b"\0")))[:32]:
            if line:
                read_compiler(self._findings, line, ".comment")

    def _judge(self) -> None:
        """Protections that the headers tell."""
        image, flags, flags_1 = self._findings, self._value(_FLAGS) or 0, self._value(_FLAGS_1) or 0
        image.debug = any(each.name in {b".debug_info", b".zdebug_info"} for each in image.sections)
        if image.kind == "object file":
            return
        stack = next((each for each in self._segments if each.kind == _STACK), None)
        no_code = stack is not None and not stack.flags & 1
        image.protection("nx", no_code, None if no_code else _NO_SEGMENT if stack is None else "The stack holds code.")
        if any(each.kind == _LOAD and each.flags & 3 == 3 for each in self._segments):
            self._notes.add("It has a segment that can be written and executed.")
        now = bool(flags & 8 or flags_1 & 1 or self._value(_BIND_NOW) is not None)
        relro = any(each.kind == _RELRO for each in self._segments)
        image.protection("relro", relro, ("full" if now else "partial") if relro else None)
        image.protection("bind-now", now)
        if self._header.kind == 3 and (flags_1 & 0x08000000 or any(each.kind == _INTERP for each in self._segments)):
            image.kind = "program" if flags_1 & 0x08000000 else image.kind
            image.protection("pie", on=True)
        else:
            image.protection(
                "pie", self._header.kind == 3, "It is a shared library." if self._header.kind == 3 else None
            )
        if flags & 4 or self._value(_TEXTREL) is not None:
            self._notes.add("Its code is changed when it is loaded (text relocations).")


def _until_nul(data: bytes, at: int) -> bytes:
    end = data.find(b"\0", at, at + _NAME_BYTES)
    return data[at : end if end >= 0 else at + _NAME_BYTES]
