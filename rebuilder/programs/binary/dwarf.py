"""Reads of DWARF (versions 2 to 5) what each unit says of its compiler, its options and its directory.

https://dwarfstd.org/doc/DWARF5.pdf, 7.5. The first entry of each unit is read, and nothing below it.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from rebuilder.programs.binary.traces import read_compiler
from rebuilder.programs.binary.view import EVIDENCE, Findings, MalformedError, Notes, View, uleb

UNITS = 4000
"""Most units that are looked at."""
STEPS = 400_000
"""Most bytes of headers, abbreviations and attributes that are decoded, in small steps of a few each."""
_PRODUCER, _DIRECTORY, _OFFSETS_BASE = 0x25, 0x1B, 0x72
_FIXED = {
    0x05: 2, 0x06: 4, 0x07: 8, 0x0B: 1, 0x0C: 1, 0x11: 1, 0x12: 2, 0x13: 4, 0x14: 8, 0x19: 0, 0x1C: 4, 0x1E: 16,
    0x20: 8, 0x21: 0, 0x24: 8, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4,
}  # fmt: skip
"""Forms of a fixed size, and what that is: DW_FORM_data1, …"""
_OFFSETS = {0x0E, 0x17, 0x1F, 0x10, 0x1D, 0x1F20, 0x1F21}
"""Forms with the size of an offset: DW_FORM_strp, DW_FORM_sec_offset, DW_FORM_line_strp, …"""
_LEB = {0x0D, 0x0F, 0x15, 0x1A, 0x1B, 0x22, 0x23, 0x1F01, 0x1F02}
_BLOCKS = {0x0A: "B", 0x03: "H", 0x04: "I"}
_STRING_INDEX = {0x1A: 0, 0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4}


class _Unit(NamedTuple):
    version: int
    address_size: int
    offset_size: int
    abbreviations: int
    entry: int
    """Where its first entry is."""
    end: int


def read_dwarf(image: Findings, notes: Notes) -> None:
    """Note compilers with their options, and directories; what cannot be read is a sentence."""
    views = {}
    for name in (b"info", b"abbrev", b"str", b"line_str", b"str_offsets"):
        try:
            found = _section(image, name, notes)
        except MalformedError as error:
            notes.add(str(error))
            continue
        if found is not None:
            views[name] = found
    if b"info" in views and b"abbrev" in views:
        _Reader(image, notes, views).read()


def _section(image: Findings, name: bytes, notes: Notes) -> View | None:
    """The section with some of the debugging information, decompressed."""
    section = image.section(b".debug_" + name, b".zdebug_" + name, b"__debug_" + name)
    if section is None or section.view is None:
        return None
    view, what = section.view, f"The section “{section.name.decode('ascii', 'replace')}”"
    if section.name.startswith(b".zdebug"):
        magic, size = view.unpack(">4sQ", 0, what)
        return View(notes.decompressed(view.raw(12), size, what)) if magic == b"ZLIB" else None
    if section.compressed:
        kind, size = view.unpack(f"{image.order}I4xQ8x" if image.wide else f"{image.order}II4x", 0, what)
        if kind != 1:
            raise MalformedError(f"{what} is compressed in another way than with zlib; it was not read.")
        return View(notes.decompressed(view.raw(24 if image.wide else 12), size, what))
    return view


class _Reader:
    def __init__(self, image: Findings, notes: Notes, views: dict[bytes, View]) -> None:
        self._findings = image
        self._notes = notes
        self._views = views
        self._info = views[b"info"]
        self._order = image.order
        self._left = STEPS

    def read(self) -> None:
        """Go through the units."""
        at, units = 0, 0
        producers: Counter[bytes] = Counter()
        try:
            while at < self._info.size:
                unit = self._unit(at)
                if units >= UNITS or self._left <= 0:
                    self._notes.add(f"Its debugging information is of many units; the first {units:,} were read.")
                    break
                units, at = units + 1, unit.end
                producer, directory = self._first_entry(unit)
                producers[producer] += bool(producer)
                self._findings.add(self._findings.directories, directory)
        except MalformedError as error:
            self._notes.add(str(error))
        for producer, count in producers.most_common(40):
            if producer:
                read_compiler(self._findings, producer, "DW_AT_producer", units=count)

    def _unit(self, at: int) -> _Unit:
        what = "A unit of the debugging information"
        (length,) = self._info.unpack(f"{self._order}I", at, what)
        size, begin = 4, at + 4
        if length == 0xFFFFFFFF:
            (length,) = self._info.unpack(f"{self._order}Q", begin, what)
            size, begin = 8, at + 12
        if length < 7 or begin + length > self._info.size:
            raise MalformedError(f"{what} lies outside the file.")
        offset = "Q" if size == 8 else "I"
        (version,) = self._info.unpack(f"{self._order}H", begin, what)
        if not 2 <= version <= 5:
            raise MalformedError(f"{what} is of version {version}, which this does not read.")
        if version < 5:
            abbreviations, address = self._info.unpack(f"{self._order}{offset}B", begin + 2, what)
            entry = begin + 2 + size + 1
        else:
            kind, address, abbreviations = self._info.unpack(f"{self._order}BB{offset}", begin + 2, what)
            entry = begin + 4 + size + {2: 8 + size, 4: 8, 5: 8, 6: 8 + size}.get(kind, 0)
        return _Unit(version, address, size, abbreviations, entry, begin + length)

    def _first_entry(self, unit: _Unit) -> tuple[bytes, bytes]:
        """Producer and directory; of nothing where there are none."""
        code, at = uleb(self._info, unit.entry)
        found: dict[int, tuple[int, int]] = {}
        for attribute, listed in self._abbreviation(unit.abbreviations, code) if code else []:
            form, at = (listed, at) if listed != 0x16 else uleb(self._info, at)  # DW_FORM_indirect
            if attribute in {_PRODUCER, _DIRECTORY, _OFFSETS_BASE}:
                found[attribute] = form, at
            at = self._after(form, at, unit)
        base = (
            self._number(found[_OFFSETS_BASE][1], unit.offset_size) if _OFFSETS_BASE in found else 2 * unit.offset_size
        )
        return tuple(
            self._string(*found[each], unit, base) if each in found else b"" for each in (_PRODUCER, _DIRECTORY)
        )  # type: ignore[return-value]

    def _abbreviation(self, offset: int, wanted: int) -> list[tuple[int, int]]:
        """The attributes and forms of one abbreviation."""
        view, at = self._views[b"abbrev"], offset
        while self._left > 0:
            code, at = uleb(view, at)
            if code == 0:
                break
            _, at = uleb(view, at)
            at += 1
            pairs = []
            while self._left > 0:
                attribute, at = uleb(view, at)
                form, at = uleb(view, at)
                if form == 0x21:  # DW_FORM_implicit_const
                    _, at = uleb(view, at)
                self._left -= 4
                if not attribute and not form:
                    break
                pairs.append((attribute, form))
            if code == wanted:
                return pairs[:200]
        return []

    def _after(self, form: int, at: int, unit: _Unit) -> int:
        """The offset behind an attribute."""
        self._left -= 1
        what = "An attribute of the debugging information"
        if form in _FIXED:
            size = _FIXED[form]
        elif form == 0x01:
            size = unit.address_size
        elif form in _OFFSETS:
            size = unit.address_size if form == 0x10 and unit.version == 2 else unit.offset_size
        elif form in _LEB:
            size = uleb(self._info, at)[1] - at
        elif form == 0x08:
            size = len(self._info.string(at)) + 1
            self._left -= size // 16
        elif form in _BLOCKS:
            (length,) = self._info.unpack(self._order + _BLOCKS[form], at, what)
            size = {0x0A: 1, 0x03: 2, 0x04: 4}[form] + int(length)
        elif form in {0x09, 0x18}:
            length, at = uleb(self._info, at)
            size = length
        else:
            raise MalformedError(f"{what} has form {form:#x}, which this does not read.")
        return at + size

    def _number(self, at: int, size: int) -> int:
        raw = self._info.raw(at, size)
        return int.from_bytes(raw, "little" if self._order == "<" else "big")

    def _string(self, form: int, at: int, unit: _Unit, base: int) -> bytes:
        """The text of an attribute; of nothing when it is none."""
        text = b""
        if form == 0x08:
            text = self._info.string(at)
        elif form in {0x0E, 0x1F} and (b"str" if form == 0x0E else b"line_str") in self._views:
            table = self._views[b"str" if form == 0x0E else b"line_str"]
            text = table.string(self._number(at, unit.offset_size))
        elif form in _STRING_INDEX and b"str_offsets" in self._views and b"str" in self._views:
            index = self._number(at, _STRING_INDEX[form]) if form != 0x1A else uleb(self._info, at)[0]
            place = self._views[b"str_offsets"].raw(base + index * unit.offset_size, unit.offset_size)
            text = self._views[b"str"].string(int.from_bytes(place, "little" if self._order == "<" else "big"))
        return text[: 4 * EVIDENCE]
