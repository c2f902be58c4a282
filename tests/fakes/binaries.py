"""Compiled files for tests: ELF from the compiler of this machine, Mach-O and PE put together by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

SOURCE = """
#include <string.h>
#include <stdio.h>
static const char headers[] = "/opt/_internal/cpython-3.11.4/include/python3.11";
static const char generator[] = "_cython_3_0_10";
const char *PyInit_sample(const char *text) {
    char copy[64];
    strcpy(copy, text);
    printf("%s %s %s", copy, headers, generator);
    return headers;
}
"""


def compiled(directory: Path, *flags: str, source: str = SOURCE) -> bytes:
    """A shared library, unless flags say otherwise; needs a C compiler."""
    assert shutil.which("gcc"), "install a C compiler: apt-get install gcc"
    (directory / "sample.c").write_text(source)
    out = directory / "sample.so"
    command = ["gcc", "-shared", "-fPIC", *flags, "sample.c", "-o", out.name]
    subprocess.run(command, cwd=directory, check=True)
    return out.read_bytes()


def macho(
    *,
    cpu: int = 0x0100000C,
    order: str = "<",
    libraries: tuple[bytes, ...] = (b"/usr/lib/libSystem.B.dylib",),
    symbols: tuple[tuple[bytes, int, int], ...] = ((b"_PyInit_sample", 0x0F, 64), (b"___stack_chk_fail", 0x01, 0)),
    content: bytes = b"code and /rustc/1.83.0/library",
    flags: int = 0x85,
) -> bytes:
    """A shared library of 64 bits, as ``mach-o/loader.h`` describes it.

    Args:
        cpu: Kind of processor.
        order: ``<`` or ``>``.
        libraries: What it is linked with.
        symbols: Name, kind and value of each.
        content: Of its one section.
        flags: Of its header.
    """

    def text(kind: int, fields: bytes, string: bytes) -> bytes:
        size = (8 + len(fields) + len(string) + 8) // 8 * 8
        return (struct.pack(f"{order}II", kind, size) + fields + string).ljust(size, b"\0")

    commands = [text(0x0C, struct.pack(f"{order}IIII", 24, 2, 0x10000, 0x10000), each) for each in libraries]
    commands.append(text(0x0D, struct.pack(f"{order}IIII", 24, 2, 0x10203, 0x10000), b"@rpath/libsample.1.dylib"))
    commands.append(text(0x8000001C, struct.pack(f"{order}I", 12), b"@loader_path/.dylibs"))
    commands.append(struct.pack(f"{order}II16s", 0x1B, 24, bytes(range(16))))
    commands.append(struct.pack(f"{order}IIIIIIIIII", 0x32, 40, 1, 0x0B0000, 0x0E0500, 2, 1, 0x0F0003, 3, 0x041D0C00))
    strings, table = b"\0", b""
    for name, kind, value in symbols:
        table += struct.pack(f"{order}IBBhQ", len(strings), kind, 0, 0, value)
        strings += name + b"\0"
    size = sum(map(len, commands)) + 24 + 152
    content_at = 32 + size
    symbols_at = content_at + len(content)
    symtab = (0x02, 24, symbols_at, len(symbols), symbols_at + len(table), len(strings))
    commands.append(struct.pack(f"{order}IIIIII", *symtab))
    segment = struct.pack(f"{order}II16sQQQQIIII", 0x19, 152, b"__TEXT", 0, 4096, 0, 4096, 5, 5, 1, 0)
    section = (b"__text", b"__TEXT", 64, len(content), content_at, 0, 0, 0, 0, 0, 0, 0)
    commands.append(segment + struct.pack(f"{order}16s16sQQIIIIIIII", *section))
    magic = 0xFEEDFACF
    head = struct.pack(f"{order}IIIIIIII", magic, cpu, 0, 6, len(commands), size, flags, 0)
    return head + b"".join(commands) + content + table + strings


def fat(*images: tuple[int, bytes]) -> bytes:
    """Images for several processors in one file, each with its kind of processor."""
    rows, content, at = b"", b"", 4096
    for cpu, image in images:
        rows += struct.pack(">IIIII", cpu, 0, at, len(image), 12)
        padded = image + bytes(-len(image) % 4096)
        content, at = content + padded, at + len(padded)
    return (struct.pack(">II", 0xCAFEBABE, len(images)) + rows).ljust(4096, b"\0") + content


def pe(*, flags: int = 0x4160, rich: bool = True, text: bytes = b"GCC: (GNU) 12.2.0") -> bytes:
    """A library of 64 bits for Windows, with imports, exports, a PDB path, a version, and a Rich header.

    Args:
        flags: ``DllCharacteristics``.
        rich: Whether Microsoft's linker seems to have made it.
        text: At the end of the one section.
    """
    base = 0x1000
    data = bytearray(0x800)

    def put(at: int, raw: bytes) -> int:
        data[at : at + len(raw)] = raw
        return base + at

    put(0x000, struct.pack("<IIIII", base + 0x80, 0, 0, base + 0x60, base + 0x80) + bytes(20))
    put(0x060, b"python311.dll\0")
    put(0x080, struct.pack("<QQQ", 1 << 63 | 1, 1 << 63 | 2, 0))
    put(0x100, struct.pack("<IIHHIIIIIII", 0, 0, 0, 0, base + 0x140, 1, 1, 1, 0, base + 0x130, 0))
    put(0x130, struct.pack("<I", base + 0x150))
    put(0x140, b"sample.pyd\0")
    put(0x150, b"PyInit_sample\0")
    pdb = b"RSDS" + bytes(range(16)) + struct.pack("<I", 3) + b"D:\\a\\sample\\build\\sample.pdb\0"
    put(0x200, struct.pack("<IIHHIIII", 0, 0, 0, 0, 2, len(pdb), 0, 0x400 + 0x280))
    put(0x21C, struct.pack("<IIHHIIII", 0, 0, 0, 0, 20, 4, 0, 0x400 + 0x270))
    put(0x270, struct.pack("<I", 1))
    put(0x280, pdb)
    put(0x300, struct.pack("<IIIIII", 0xFEEF04BD, 0x10000, 0x00020001, 0x00040003, 0, 0))
    put(0x400, struct.pack("<I", 0x70) + bytes(0x54) + struct.pack("<Q", 0x180001000))
    put(0x500, text)
    directories = [(0, 0)] * 16
    directories[0], directories[1], directories[2] = (base + 0x100, 40), (base, 40), (base + 0x300, 0x40)
    directories[6], directories[10] = (base + 0x200, 56), (base + 0x400, 0x70)
    optional = struct.pack("<HBB", 0x20B, 14, 41) + bytes(66) + struct.pack("<H", flags) + bytes(36)
    optional += struct.pack("<I", 16) + b"".join(struct.pack("<II", *each) for each in directories)
    key = 0x12345678
    words = [int.from_bytes(b"DanS", "little"), 0, 0, 0, 0x01040000 | 34120, 5, 0x01050000 | 30795, 2]
    header = b"".join(struct.pack("<I", word ^ key) for word in words) + b"Rich" + struct.pack("<I", key)
    start = bytearray(0x100)
    start[:2], start[0x3C:0x40] = b"MZ", struct.pack("<I", 0x100)
    if rich:
        start[0x80 : 0x80 + len(header)] = header
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 1, 0, 0, 0, len(optional), 0x2022)
    section = struct.pack("<8sIIIIIIHHI", b".rdata", len(data), base, len(data), 0x400, 0, 0, 0, 0, 0x40000040)
    return (bytes(start) + coff + optional + section).ljust(0x400, b"\0") + bytes(data)


def dwarf_elf(info: bytes, abbreviations: bytes, *, compressed: bool = False, claimed: int | None = None) -> bytes:
    """An ELF object of 64 bits that has sections of debugging information and nothing else.

    Args:
        info: Content of ``.debug_info``.
        abbreviations: Content of ``.debug_abbrev``.
        compressed: Keep the first with zlib.
        claimed: The size it is said to have then.
    """
    flags = 0x800 if compressed else 0
    size = len(info) if claimed is None else claimed
    first = struct.pack("<IIQQ", 1, 0, size, 1) + zlib.compress(info, 1) if compressed else info
    names = b"\0.debug_info\0.debug_abbrev\0.shstrtab\0"
    parts = [(1, 1, flags, first), (13, 1, 0, abbreviations), (27, 3, 0, names)]
    content, rows, at = b"", bytes(64), 64
    for name, kind, bits, data in parts:
        rows += struct.pack("<IIQQQQIIQQ", name, kind, bits, 0, at, len(data), 0, 0, 1, 0)
        content, at = content + data, at + len(data)
    head = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, 4, 3)
    return head + content + rows
