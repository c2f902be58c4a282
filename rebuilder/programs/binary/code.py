"""The functions in an ELF file of 64 bits, and what the addresses in their instructions stand for."""

from __future__ import annotations

import hashlib
import re
import struct
from bisect import bisect_right
from collections import Counter
from typing import NamedTuple

from rebuilder.programs.binary.elf import MAGIC
from rebuilder.programs.binary.view import MalformedError, View

FUNCTIONS = 50_000
"""Most functions of one file that are compared."""
CODE_BYTES = 8 << 20
"""Most code of one file that is compared."""
_SYMBOLS = 300_000
_SECTIONS = 1000
_RELOCATIONS = 300_000
_STRING = 200
_CONSTANT = 4096
"""Bytes of a constant that are part of what its address means."""
_NUMBER = re.compile(rb"\.\d+(?=$|\.)")
_EXECUTABLE = 4
_FUNCTION, _OBJECT, _INDIRECT = 2, 1, 10
_NOTHING = 8
"""Kind of a section that takes no room in the file."""
MACHINES = {62: "i386:x86-64"}
"""Number of a processor, and what objdump calls it."""


class Place(NamedTuple):
    """A section with the address it is loaded to."""

    name: bytes
    kind: int
    flags: int
    address: int
    content: View
    link: int


class Function(NamedTuple):
    """A stretch of code that the symbol table names."""

    address: int
    size: int
    code: bytes


class Relocation(NamedTuple):
    """What the loader writes to an address."""

    kind: int
    symbol: bytes
    addend: int


class Code:
    """One file, read as far as comparing its code needs."""

    def __init__(self, file: View) -> None:
        """Read it.

        Raises:
            MalformedError: it is no ELF file of a processor that this compares, or its tables lead out of it.
        """
        magic, wide, order = file.unpack("<4sBB", 0, "The ELF header")
        kind, machine = file.unpack("<HH", 16, "The ELF header")
        if magic != MAGIC or (wide, order) != (2, 1) or machine not in MACHINES or kind != 3:
            raise MalformedError("It is no shared library for a processor whose code is compared here.")
        self.machine = MACHINES[machine]
        self.places = self._sections(file)
        self._starts = sorted((each.address, index) for index, each in enumerate(self.places) if each.address)
        self.functions: dict[tuple[bytes, int], Function] = {}
        self.names: dict[int, tuple[bytes, int]] = {}
        """Name and size of what is at an address; without the numbers by which the compiler tells locals apart."""
        self.imports: set[bytes] = set()
        self.exports: set[bytes] = set()
        self.relocations: dict[int, Relocation] = {}
        dynamic = self._table(11)
        names = self._symbols(dynamic, local=False) if dynamic else []
        symbols = self._table(2)
        if symbols:
            self._symbols(symbols, local=True)
        self.named = symbols is not None
        for each in self.places:
            if each.kind == 4:
                self._relocations(each, names)

    def _sections(self, file: View) -> list[Place]:
        (at,) = file.unpack("<Q", 40, "The ELF header")
        size, count, names = file.unpack("<HHH", 58, "The ELF header")
        if size != 64 or not 0 < count <= _SECTIONS or names >= count:
            raise MalformedError("Its section table is none that this compares.")
        rows = [file.unpack("<IIQQQQI", at + 64 * index, "The section table") for index in range(count)]
        if sum(row[5] for row in rows if row[1] != _NOTHING) > 2 * file.size:
            raise MalformedError("Its sections lie over each other; its code was not compared.")
        strings = file.part(rows[names][4], rows[names][5], "The table of section names")
        empty = View(b"")
        return [
            Place(
                strings.string(row[0]),
                row[1],
                row[2],
                row[3],
                empty if row[1] == _NOTHING else file.part(row[4], row[5], "A section"),
                row[6],
            )
            for row in rows
        ]

    def _table(self, kind: int) -> Place | None:
        return next((each for each in self.places if each.kind == kind), None)

    def _symbols(self, table: Place, *, local: bool) -> list[bytes]:
        """Read a symbol table; gives the names in it, by their index."""
        if table.link >= len(self.places):
            raise MalformedError("A symbol table has no names.")
        strings, seen, names = self.places[table.link].content, Counter[bytes](), []
        data = table.content.raw()
        for row in struct.iter_unpack("<IBBHQQ", data[: min(len(data) // 24, _SYMBOLS) * 24]):
            name_at, info, _, section, address, size = row
            name = strings.string(name_at)[:_STRING]
            names.append(name)
            if section == 0:
                self.imports.add(name.partition(b"@")[0])
            elif not local:
                self.exports.add(name)
            if section == 0 or not name:
                continue
            if info & 15 in {_FUNCTION, _OBJECT, _INDIRECT}:
                self.names.setdefault(address, (_NUMBER.sub(b"", name), size))
            if local and info & 15 in {_FUNCTION, _INDIRECT} and size and section < len(self.places):
                self._function(self.places[section], name, seen, address, size)
        self.imports.discard(b"")
        return names

    def _function(self, place: Place, name: bytes, seen: Counter[bytes], address: int, size: int) -> None:
        offset = address - place.address
        if not place.flags & _EXECUTABLE or offset < 0 or offset + size > place.content.size:
            return
        if len(self.functions) >= FUNCTIONS:
            raise MalformedError(f"It has more than {FUNCTIONS:,} functions, which are not compared.")
        name = _NUMBER.sub(b"", name)
        self.functions[name, seen[name]] = Function(address, size, place.content.raw(offset, size))
        seen[name] += 1

    def _relocations(self, place: Place, names: list[bytes]) -> None:
        data = place.content.raw()
        for at, info, addend in struct.iter_unpack("<QQq", data[: min(len(data) // 24, _RELOCATIONS) * 24]):
            index = info >> 32
            symbol = names[index] if index < len(names) else b""
            self.relocations[at] = Relocation(info & 0xFFFFFFFF, symbol, addend)

    def place_of(self, address: int) -> Place | None:
        """The section that is loaded to an address."""
        index = bisect_right(self._starts, (address, len(self.places))) - 1
        if index < 0:
            return None
        place = self.places[self._starts[index][1]]
        return place if place.address <= address else None

    def stands_for(self, address: int) -> str:
        """What an address means whatever the layout: the name of what is there, the text there, or its section."""
        relocation = self.relocations.get(address)
        if relocation is not None and relocation.symbol:
            return f"import {relocation.symbol!r}"
        place = self.place_of(address)
        if place is None:
            return "nowhere"
        if place.name.startswith(b".plt"):
            return self._stub(place, address)
        constant = place.name.startswith(b".rodata")
        if address in self.names:
            name, size = self.names[address]
            content = place.content.raw(address - place.address, min(size, _CONSTANT)) if constant else b""
            return f"symbol {name!r} {hashlib.sha256(content).hexdigest() if constant else ''}"
        if constant:
            found = place.content.string(address - place.address)[:_STRING]
            if found and found.isascii() and found.decode("ascii").isprintable():
                return f"text {found!r}"
        return f"section {place.name!r}"

    def _stub(self, place: Place, address: int) -> str:
        """The import that a stub of the procedure linkage table jumps to (x86-64 psABI, 5.2)."""
        stub = place.content.raw(address - place.address, 16)
        at = stub.find(b"\xff\x25")
        if at < 0 or at + 6 > len(stub):
            return f"section {place.name!r}"
        (distance,) = struct.unpack_from("<i", stub, at + 2)
        relocation = self.relocations.get(address + at + 6 + distance)
        return f"import {relocation.symbol!r}" if relocation is not None else f"section {place.name!r}"
