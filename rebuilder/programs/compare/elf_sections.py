"""What of two ELF files differs, section by section: code, data, build-id, or debugging information alone."""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

from rebuilder.programs.archive.reading import examples, shown

MAGIC = b"\x7fELF"
_SECTIONS = 4000
_LOADED, _NOTHING = 2, 8
"""Flag of sections that are part of the program; kind of those that take no room in the file."""
ONLY_BUILD_ID, ONLY_DEBUGGING = "Code and data are equal:", "Debugging information only:"
"""How sentences begin that say so."""
_BUILD_ID, _LINK = ".note.gnu.build-id", ".gnu_debuglink"
_DEBUGGING = (".debug_", ".zdebug_", _LINK, ".gnu_debugaltlink", ".symtab", ".strtab", ".shstrtab", ".comment")


class Section(NamedTuple):
    """A row of the section table."""

    name: str
    kind: int
    flags: int
    address: int
    at: int
    size: int

    @property
    def end(self) -> int:
        """The first byte behind it in the file."""
        return self.at if self.kind == _NOTHING else self.at + self.size


def described(published: str, rebuilt: str) -> str | None:
    """How far two ELF files are the same, as a sentence; None where one of them is none that can be read."""
    try:
        with open(published, "rb") as left, open(rebuilt, "rb") as right:
            sides = [mmap.mmap(each.fileno(), 0, access=mmap.ACCESS_READ) for each in (left, right)]
            return _compared(*sides)
    except (ValueError, struct.error, OSError):
        return None


def _compared(left: mmap.mmap, right: mmap.mmap) -> str | None:
    tables = [sections(each) for each in (left, right)]
    theirs, ours = ({each.name: each for each in table} for table in tables)
    if len(tables[0]) != len(theirs) or len(tables[1]) != len(ours):
        return None
    names = [*theirs, *(name for name in ours if name not in theirs)]
    differ = [name for name in names if not _same(theirs.get(name), ours.get(name), left, right)]
    loaded = [name for name in differ if any(side[name].flags & _LOADED for side in (theirs, ours) if name in side)]
    same = f"{len(names) - len(differ):,} of {len(names):,} sections are equal"
    if differ and set(differ) <= {_BUILD_ID, _LINK} and _rest_equal(left, right, tables, differ):
        return (
            f"{ONLY_BUILD_ID} all bytes but those of {' and '.join(differ)}, which commit to the debugging "
            "information and so to the compiler and the headers."
        )
    if differ and not loaded and all(name.startswith(_DEBUGGING) for name in differ) and _heads(left) == _heads(right):
        return f"{ONLY_DEBUGGING} code, data and build-id are equal; {same}."
    return f"{same}; these differ: {examples([shown(each) for each in differ], 12)}." if differ else None


def _same(first: Section | None, second: Section | None, left: mmap.mmap, right: mmap.mmap) -> bool:
    if first is None or second is None:
        return False
    alike = first[1:4] == second[1:4] and first.size == second.size
    return alike and left[first.at : first.end] == right[second.at : second.end]


def _rest_equal(left: mmap.mmap, right: mmap.mmap, tables: list[list[Section]], differ: list[str]) -> bool:
    """Whether all bytes outside of some sections are equal, headers and what is in no section too."""
    if len(left) != len(right) or tables[0] != tables[1]:
        return False
    at = 0
    for each in sorted((each for each in tables[0] if each.name in differ), key=lambda each: each.at):
        if left[at : each.at] != right[at : each.at]:
            return False
        at = max(at, each.end)
    return left[at:] == right[at:]


def _heads(data: mmap.mmap) -> bytes:
    """The ELF header and the program headers, without where the section table is."""
    order, wide = ("<" if data[5] == 1 else ">"), data[4] == 2
    (at,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", data, 54 if wide else 42)
    table = 40 if wide else 32
    width = 8 if wide else 4
    return data[:table] + data[table + width : table + width + 16] + data[at : at + size * count]


def sections(data: mmap.mmap | bytes) -> list[Section]:
    """The section table (System V ABI, "Sections").

    Raises:
        ValueError, struct.error: it is none, or leads out of the file.
    """
    if data[:4] != MAGIC or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise ValueError("no ELF file")
    order, wide = ("<" if data[5] == 1 else ">"), data[4] == 2
    (at,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 40 if wide else 32)
    size, count, strings = struct.unpack_from(f"{order}HHH", data, 58 if wide else 46)
    row = struct.Struct(f"{order}{'IIQQQQ' if wide else 'IIIIII'}")
    if size < row.size or not 0 < count <= _SECTIONS or strings >= count:
        raise ValueError("no section table")
    rows = [row.unpack_from(data, at + size * index) for index in range(count)]
    _, _, _, _, names, length = rows[strings]
    table = data[names : names + length]
    found = []
    for name, kind, flags, address, place, room in rows:
        if kind != _NOTHING and place + room > len(data):
            raise ValueError("a section outside of the file")
        end = table.find(b"\0", name)
        text = table[name:end] if end >= 0 else b""
        found.append(Section(text.decode("utf-8", "backslashreplace"), kind, flags, address, place, room))
    return found
