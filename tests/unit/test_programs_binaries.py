"""What compiled files say about themselves: of each format, and where somebody put them together to do harm."""

from __future__ import annotations

import json
import random
import struct
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebuilder.model.binary import Binaries, BinaryFacts, BinaryFormat, BinaryImage, Protection
from rebuilder.programs.binary import read_binaries
from rebuilder.programs.binary.read_binaries import main, origin_of, read_facts, read_members, read_origins, vendored
from tests.fakes.archives import Entry, zip_bytes
from tests.fakes.binaries import compiled, dwarf_elf, fat, macho, pe


def facts(data: bytes, name: str = "pkg/sample.so") -> BinaryFacts:
    """What the program says of some bytes; its document must fit the model, and so must the model's own."""
    document = read_facts(data, name)
    assert document is not None
    found = BinaryFacts.model_validate(document)
    assert found == BinaryFacts.model_validate(found.document())
    return found


def image(data: bytes) -> BinaryImage:
    """The one image, with nothing odd about it."""
    found = facts(data)
    assert () == found.problems
    (only,) = found.images
    return only


def protections(found: BinaryImage) -> dict[Protection, tuple[bool, str | None]]:
    """By name."""
    return {each.name: (each.on, each.detail) for each in found.protections}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A shared library with debugging information."""
    flags = ("-g", "-O2", "-D_FORTIFY_SOURCE=2", "-fstack-protector-all", "-Wl,-z,relro,-z,now", "-Wl,--build-id=sha1")
    return compiled(tmp_path_factory.mktemp("elf"), *flags, "-Wl,-rpath,$ORIGIN/../lib", "-Wl,-soname,libsample.so.1")


def test_elf_tells_how_it_was_made(library: bytes) -> None:
    """Compiler, options, directory, tools, libraries and identity of what the compiler here has just made."""
    found = image(library)
    version = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True).stdout.strip()
    comment, producer = (
        next(each for each in found.compilers if each.where == place) for place in (".comment", "DW_AT_producer")
    )
    assert ("GCC", version) == (comment.name, comment.version) == (producer.name, producer.version)
    assert comment.evidence.startswith("GCC: (")
    assert {"-g", "-O2", "-fPIC", "-fstack-protector-all"} <= set(producer.flags)
    assert 1 == producer.units
    assert found.directories[0].endswith("elf0")
    tools = {(each.name, each.version) for each in found.tools}
    assert {("Python headers", "3.11.4"), ("Python headers", "3.11"), ("Cython", "3.0.10")} <= tools
    assert ("libc.so.6",) == found.needed
    assert any(each.startswith("GLIBC_2.") for each in found.needs)
    assert ("RUNPATH", "$ORIGIN/../lib") == (found.search_paths[0].kind, found.search_paths[0].path)
    assert ("libsample.so.1", False, True) == (found.own_name, found.stripped, found.debug)
    assert "PyInit_sample" in found.exports
    assert 40 == len(found.build_id or "")
    text = next(each for each in found.sections if each.name == ".text")
    assert text.size > 0
    assert text.sha256 is not None


def test_elf_agrees_with_readelf(library: bytes, tmp_path: Path) -> None:
    """Sections, build-id and the number of symbols are those that another reader finds."""
    path = tmp_path / "a.so"
    path.write_bytes(library)
    said = subprocess.run(["readelf", "-nSW", "--dyn-syms", path], capture_output=True, text=True, check=True).stdout
    found = image(library)
    assert f"Build ID: {found.build_id}" in said
    assert f"There are {found.sections_total + 1} section headers" in said
    rows = [line.split() for line in said.splitlines() if " GLOBAL " in line or " WEAK " in line]
    assert found.imports_total == len([row for row in rows if row[6] == "UND"])
    assert found.exports_total == len([row for row in rows if row[6] != "UND"])
    assert len(found.sections) > 20
    for each in found.sections:
        assert f" {each.name} " in said


def test_elf_protections(library: bytes, tmp_path: Path) -> None:
    """On, and off, as the compiler was told."""
    on = protections(image(library))
    assert (True, "full") == on[Protection.RELRO]
    assert (True, "Checked: printf, strcpy.") == on[Protection.FORTIFY]
    assert all(on[name][0] for name in (Protection.NX, Protection.BIND_NOW, Protection.STACK_PROTECTOR, Protection.PIE))
    bare = (
        "-fno-stack-protector",
        "-U_FORTIFY_SOURCE",
        "-Wl,-z,norelro,-z,lazy,-z,execstack",
        "-s",
        "-fcf-protection=full",
    )
    found = image(compiled(tmp_path, *bare))
    off = protections(found)
    assert found.stripped
    assert not any(
        off[name][0]
        for name in (
            Protection.RELRO,
            Protection.NX,
            Protection.BIND_NOW,
            Protection.FORTIFY,
            Protection.STACK_PROTECTOR,
        )
    )
    assert "The stack holds code." == off[Protection.NX][1]


def test_a_program_is_told_from_a_library(tmp_path: Path) -> None:
    """PIE says something of a program only."""
    source = "int main(void) { return 0; }"
    for flag, position in (("-pie", True), ("-no-pie", False)):
        made = tmp_path / flag
        made.mkdir()
        (made / "m.c").write_text(source)
        subprocess.run(["gcc", flag, "m.c", "-o", "m"], cwd=made, check=True)
        found = image((made / "m").read_bytes())
        assert ("program", position) == (found.kind, protections(found)[Protection.PIE][0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_macho(order: str) -> None:
    """Load commands of one image, in both byte orders."""
    found = image(macho(order=order, cpu=0x0100000C if order == "<" else 18))
    assert "arm64" if order == "<" else "ppc" == found.architecture
    assert ("shared library", "@rpath/libsample.1.dylib", "1.2.3") == (found.kind, found.own_name, found.version)
    assert ("/usr/lib/libSystem.B.dylib",) == found.needed
    assert ("LC_RPATH", "@loader_path/.dylibs") == (found.search_paths[0].kind, found.search_paths[0].path)
    assert "00010203-0405-0607-0809-0a0b0c0d0e0f" == found.build_id
    assert [("Apple clang", "15.0.3")] == [(each.name, each.version) for each in found.compilers]
    tools = {(each.name, each.version) for each in found.tools}
    assert {("ld", "1053.12"), ("SDK", "14.5"), ("rustc", "1.83.0")} == tools
    assert ("macOS 11.0",) == found.needs
    assert (("_PyInit_sample",), 1, 1, True) == (
        found.exports,
        found.exports_total,
        found.imports_total,
        found.stripped,
    )
    on = protections(found)
    assert on[Protection.STACK_PROTECTOR][0]
    assert on[Protection.NX][0]
    assert not on[Protection.SIGNATURE][0]
    assert ["__text"] == [each.name for each in found.sections]


def test_fat_file() -> None:
    """One image for each processor; a class of Java begins with the same bytes and is none."""
    found = facts(fat((0x01000007, macho(cpu=0x01000007)), (0x0100000C, macho())))
    assert ["x86_64", "arm64"] == [each.architecture for each in found.images]
    assert read_facts(b"\xca\xfe\xba\xbe\x00\x00\x00\x3d" + bytes(100), "A.class") is None


def test_pe() -> None:
    """Headers, imports, exports, debugging information and version of a library for Windows."""
    found = image(pe())
    assert ("x86_64", "shared library", "sample.pyd", "2.1.4.3") == (
        found.architecture, found.kind, found.own_name, found.version,
    )  # fmt: skip
    assert (("python311.dll",), 2) == (found.needed, found.imports_total)
    assert (("PyInit_sample",), 1) == (found.exports, found.exports_total)
    assert "03020100-0504-0706-0809-0a0b0c0d0e0f-3" == found.build_id
    assert ("D:\\a\\sample\\build",) == found.directories
    compilers = {(each.name, each.where): (each.version, each.evidence) for each in found.compilers}
    assert (None, "tools of build 30795, 34120") == compilers["MSVC", "Rich header"]
    assert ("12.2.0", "GCC: (GNU) 12.2.0") == compilers["GCC", "text in .rdata"]
    assert [("Microsoft linker", "14.41")] == [(each.name, each.version) for each in found.tools]
    on = protections(found)
    assert (True, "with high entropy") == on[Protection.ASLR]
    assert all(
        on[name][0] for name in (Protection.NX, Protection.CFG, Protection.STACK_PROTECTOR, Protection.SHADOW_STACK)
    )
    off = protections(image(pe(flags=0, rich=False)))
    assert not any(off[name][0] for name in (Protection.ASLR, Protection.NX, Protection.CFG))


def test_a_program_of_dos_is_no_compiled_code() -> None:
    """It begins with the same two letters."""
    assert read_facts(b"MZ" + bytes(200), "x.exe") is None
    assert read_facts(b"MZ", "x.exe") is None


def test_traces_of_rust_and_of_the_build(tmp_path: Path) -> None:
    """Crates with versions, from paths of both kinds; nothing is looked for by the name of a project."""
    paths = (
        "/root/.cargo/registry/src/index.crates.io-6f17d22bba15001f/base64-0.22.1/src/lib.rs",
        "C:\\\\Users\\\\r\\\\.cargo\\\\registry\\\\src\\\\index.crates.io-1\\\\once_cell-1.20.2\\\\src\\\\lib.rs",
        "/rustc/f6e511eec7342f59a25f7c0534f1dbea00d01b14/library/core",
        "__pybind11_internals_v5_gcc_libstdcpp_cxxabi1016__",
    )
    source = "".join(f'const char t{index}[] = "{path}";\n' for index, path in enumerate(paths))
    found = image(compiled(tmp_path, source=source))
    assert [("base64", "0.22.1"), ("once_cell", "1.20.2")] == [(each.name, each.version) for each in found.crates]
    tools = {each.name: each for each in found.tools}
    assert "f6e511eec7342f59a25f7c0534f1dbea00d01b14" == tools["rustc"].version
    assert "__pybind11_internals_v5_gcc_libstdcpp_cxxabi1016__" == tools["pybind11"].evidence


def test_compressed_debugging_information(tmp_path: Path) -> None:
    """It is read as if it were not compressed."""
    plain, packed = (image(compiled(tmp_path, "-g", f"-gz={how}")) for how in ("none", "zlib"))
    assert any(each.where == "DW_AT_producer" for each in packed.compilers)
    assert [each.name for each in plain.compilers] == [each.name for each in packed.compilers]


def test_what_stands_in_a_file_is_cleaned(tmp_path: Path) -> None:
    """Characters that change what is seen are spelled; a text that is too long is cut."""
    directory = tmp_path / "a\u202eb\x1b[31m"
    directory.mkdir()
    found = image(compiled(directory, "-g", "-Wl,-rpath," + "x" * 5000))
    assert all(each.isprintable() for each in found.directories)
    assert len(found.search_paths[0].path) <= 400
    # A program that had been taken over could write anything: the model cleans again.
    document = read_facts(macho(), "x")
    assert document is not None
    document["images"][0]["own_name"] = "\u202e" * 900
    own = BinaryFacts.model_validate(document).images[0].own_name or ""
    assert own.startswith("⟨U+202E⟩")
    assert len(own) <= 400


# ---- archives


def test_members_of_an_archive(tmp_path: Path, library: bytes) -> None:
    """Compiled members with their digests, whatever they are called; others are not looked into."""
    sbom = {
        "components": [{"name": "libfoo", "version": "1.4-2", "purl": "pkg:rpm/almalinux/libfoo@1.4-2"}, {"name": 3}, 7]
    }
    path = tmp_path / "w.whl"
    path.write_bytes(
        zip_bytes(
            Entry("pkg/a.py", b"print()\n"),
            Entry("pkg/../../etc/x.so", library),
            Entry("pkg.libs/libfoo-0123abcd.so.1.2.3", library),
            Entry("pkg.libs/libbar-0123abcd-99999999.so.5", library),
            Entry("pkg-1.dist-info/sboms/auditwheel.cdx.json", json.dumps(sbom).encode()),
        )
    )
    result = tmp_path / "result"
    assert 0 == main([str(path), "--result", str(result)])
    found = Binaries.model_validate_json(result.read_bytes())
    assert ["pkg/../../etc/x.so", "pkg.libs/libfoo-0123abcd.so.1.2.3", "pkg.libs/libbar-0123abcd-99999999.so.5"] == [
        each.member for each in found.members
    ]
    assert found.problems  # the name with two dots
    plain, foo, bar = (each.facts.vendored for each in found.members)
    assert plain is None
    assert foo is not None
    assert ("auditwheel", "libfoo.so.1.2.3", "1.4-2") == (foo.tool, foo.original, foo.version)
    assert ("bill of materials", "pkg:rpm/almalinux/libfoo@1.4-2") == (foo.version_from, foo.origin)
    assert bar is not None
    assert ("libbar.so.5", None) == (bar.original, bar.version)


def test_libraries_that_were_brought_along() -> None:
    """By the ways of the three tools."""
    names = {
        "pkg.libs/foo-bf067cd6ff74ee0ad5f3ff52c7ef08c9.dll": ("delvewheel", "foo.dll", None),
        "pkg/.dylibs/libfoo.5.2.dylib": ("delocate", "libfoo.5.2.dylib", "5.2"),
        "pkg.libs/libfoo-0352e75f.so": ("auditwheel", "libfoo.so", None),
    }
    for name, expected in names.items():
        found = vendored(name) or {}
        assert expected == (found.get("tool"), found.get("original"), found.get("version"))
    assert vendored("pkg/libs/libfoo.so") is None


def test_bills_of_materials_that_are_none() -> None:
    """They say nothing, and end nothing."""
    for document in (b"", b"[" * 100_000, b"[]", b'{"components": 3}', b'{"components": [null, {"name": []}]}'):
        assert {} == read_origins([document])
    assert origin_of("libfoo.so", {}) is None


# ---- hostile files


def check(data: bytes) -> None:
    """Whatever the bytes are, there is a document that fits, and no other exception."""
    document = read_facts(data, "pkg.libs/lib.so")
    if document is not None:
        BinaryFacts.model_validate(document)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), changes=st.integers(1, 40), cut=st.one_of(st.none(), st.integers(0, 20_000)))
def test_damaged_files(library: bytes, seed: int, changes: int, cut: int | None) -> None:
    """Real headers with numbers in them changed, and ends cut off: a document, always."""
    chance = random.Random(seed)  # noqa: S311
    for whole in (library, macho(), fat((7, macho(cpu=7)), (12, macho())), pe()):
        data = bytearray(whole[:cut])
        for _ in range(changes):
            if len(data) > 8:
                near = 4096 if chance.random() < 0.8 else len(data)
                at = chance.randrange(4, min(len(data), near) - 3)
                value = chance.choice(
                    (0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.randrange(1 << 32), len(data))
                )
                struct.pack_into("<I", data, at, value)
        check(bytes(data))


@settings(max_examples=200, deadline=None)
@given(
    magic=st.sampled_from([b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe\0\0\0\x02"]),
    rest=st.binary(max_size=400),
)
def test_rubbish_behind_a_magic_number(magic: bytes, rest: bytes) -> None:
    """Nothing is believed that is not inside the file."""
    check(magic + rest)


@settings(max_examples=200, deadline=None)
@given(info=st.binary(max_size=200), abbreviations=st.binary(max_size=200), compressed=st.booleans())
def test_rubbish_as_debugging_information(info: bytes, abbreviations: bytes, compressed: bool) -> None:
    """Units and abbreviations that mean nothing."""
    length = struct.pack("<I", len(info)) + struct.pack("<HIB", 4, 0, 8)
    check(dwarf_elf(length + info, b"\x01" + abbreviations, compressed=compressed))


def cost(data: bytes) -> tuple[BinaryFacts, float, int]:
    """Facts, seconds of CPU time, and bytes of memory at most."""
    tracemalloc.start()
    begin = time.process_time()
    found = facts(data)
    seconds = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, seconds, peak


def test_debugging_information_as_a_bomb() -> None:
    """Compressed zeros are not decompressed beyond what is allowed, whatever size they claim."""
    zeros = bytes(60 << 20)
    honest, _, peak = cost(dwarf_elf(zeros, b"\0", compressed=True))
    assert any("48 MB (a bomb?)" in each for each in honest.problems)
    assert peak < 20 << 20
    liar, _, peak = cost(dwarf_elf(zeros, b"\0", compressed=True, claimed=100))
    assert peak < 20 << 20
    assert liar.problems


def test_units_without_end() -> None:
    """A million small units, and one abbreviation that is far back in its table: reading stops, which is said."""
    unit = struct.pack("<IHIBB", 8, 4, 0, 8, 99)
    table = b"".join(bytes((code, 0x11, 0, 0x25, 0x08, 0, 0)) for code in range(1, 100))
    found, seconds, _ = cost(dwarf_elf(unit * 300_000, table))
    assert seconds < 200
    assert any("of many units" in each for each in found.problems)


def test_a_hundred_thousand_symbols(tmp_path: Path) -> None:
    """They are counted; the first ones are handed back."""
    lines = "".join(f".globl f{number}\\nf{number}:\\n" for number in range(100_000))
    source = f'__asm__(".data\\n{lines}.text");'
    found, seconds, peak = cost(compiled(tmp_path, source=source))
    assert 100_000 <= found.images[0].exports_total
    assert 64 == len(found.images[0].exports)
    assert seconds < 200
    assert peak < 64 << 20


def test_sections_over_each_other() -> None:
    """Every section is the whole file: digests end after a few, and the file says so."""
    padding = 4 << 20
    names = b"\0.text\0"
    at = 64 + len(names) + padding
    row = struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, 0, at, 0, 0, 1, 0)
    strings = struct.pack("<IIQQQQIIQQ", 1, 3, 0, 0, 64, len(names), 0, 0, 1, 0)
    head = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, 60_000, 1)
    found, seconds, _ = cost(head + names + bytes(padding) + bytes(64) + strings + row * 59_998)
    assert any("overlap" in each for each in found.problems)
    assert any("sections; the first" in each for each in found.problems)
    assert seconds < 200


def test_segments_outside_the_file(library: bytes) -> None:
    """A program header that leads out of the file is a sentence; the rest is told all the same."""
    data = bytearray(library)
    place, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    dynamic = next(
        place + 56 * index for index in range(count) if struct.unpack_from("<I", data, place + 56 * index)[0] == 2
    )
    struct.pack_into("<Q", data, dynamic + 8, 1 << 62)
    found = facts(bytes(data))
    assert "The dynamic segment lies outside the file." in found.problems
    assert () == found.images[0].needed
    assert found.images[0].compilers


def test_a_section_table_that_lies(library: bytes) -> None:
    """The loader does not read it; where it names another dynamic section, that is said, and the loader's is told."""
    data = bytearray(library)
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for index in range(count):
        row = table + 64 * index
        if struct.unpack_from("<I", data, row + 4)[0] == 6:
            struct.pack_into("<Q", data, row + 24, 0)
    found = facts(bytes(data))
    assert any("another dynamic section" in each for each in found.problems)
    assert ("libc.so.6",) == found.images[0].needed


def test_many_symbol_tables_and_images() -> None:
    """A second symbol table is not read; images on top of each other are told; too many are refused."""
    data = bytearray(macho())
    table = struct.pack("<II", 0x02, 24)
    place = data.index(table)
    uuid = data.index(struct.pack("<II", 0x1B, 24))
    data[uuid : uuid + 24] = data[place : place + 24]
    assert any("second symbol table" in each for each in facts(bytes(data)).problems)
    one = macho()
    rows = b"".join(struct.pack(">IIIII", 12, 0, 4096, len(one), 12) for _ in range(3))
    over = (struct.pack(">II", 0xCAFEBABE, 3) + rows).ljust(4096, b"\0") + one
    assert any("overlaps" in each for each in facts(over).problems)
    many = facts(struct.pack(">II", 0xCAFEBABE, 40) + bytes(4096))
    assert (BinaryFormat.MACHO, ()) == (many.format, many.images)
    assert "40 architectures" in many.problems[0]


def test_rules_that_are_baited(tmp_path: Path) -> None:
    """Millions of anchors cost no more than looking for them."""
    bait = b"\x7fELF" + bytes(12) + (b"/rustc/" + b"__pybind11_internals_v" + b"/registry/src/") * 200_000
    begin = time.process_time()
    check(bait)
    check(macho(content=bait))
    assert time.process_time() - begin < 200
    path = tmp_path / "w.zip"
    path.write_bytes(zip_bytes(Entry("a.so", bait)))
    assert 1 == read_members(str(path))["total"]


def test_too_much_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many files, too large ones, and too much known of them: what is left out is said, digests stay right."""
    data = zip_bytes(*(Entry(f"{index}.so", macho(content=bytes(index))) for index in range(5)))
    path = tmp_path / "w.zip"
    path.write_bytes(data)
    whole = Binaries.model_validate(read_members(str(path)))
    monkeypatch.setattr(read_binaries, "BINARIES", 3)
    some = Binaries.model_validate(read_members(str(path)))
    assert (5, whole.members[:3]) == (some.total, some.members)
    monkeypatch.setattr(read_binaries, "FACTS_BYTES", 100)
    little = Binaries.model_validate(read_members(str(path)))
    assert [each.sha256 for each in some.members] == [each.sha256 for each in little.members]
    assert "More is known" in little.members[0].facts.problems[0]
    monkeypatch.undo()
    monkeypatch.setattr(read_binaries, "SCRATCH", 200)
    large = Binaries.model_validate(read_members(str(path)))
    assert [each.sha256 for each in whole.members] == [each.sha256 for each in large.members]
    assert "not looked into" in large.members[0].facts.problems[0]


def resources(*names: str, depth: int = 1) -> bytes:
    """A directory of resources (PE format, "The .rsrc Section") with entries of these names, each below the last."""
    data, texts = bytearray(), bytearray()
    head = 24 * depth * len(names)
    for level in range(depth * len(names)):
        name = names[level % len(names)]
        below = 0x80000000 | (24 * (level + 1)) % head
        data += struct.pack("<IIHHHH", 0, 0, 0, 0, 1, 0)
        data += struct.pack("<II", 0x80000000 | (head + len(texts)), below)
        texts += struct.pack("<H", len(name)) + name.encode("utf-16-le")
    return bytes(data + texts)


@pytest.mark.parametrize(
    "content", [resources("..", "../../etc/passwd", "a\\..\\b"), resources("..", depth=2000), resources("\0" * 9)]
)
def test_resources_with_odd_names(content: bytes) -> None:
    """Names of resources lead nowhere, and directories that contain themselves take no time: none is followed."""
    whole = bytearray(pe())
    version = struct.pack("<IIIIII", 0xFEEF04BD, 0x10000, 0x00020001, 0x00040003, 0, 0)
    assert whole.count(version) == 1
    at = len(whole)
    whole += content + version
    base, size = 0x1000 + at - 0x400, len(content) + len(version)
    table = 0x100 + 24 + 112 + 2 * 8
    struct.pack_into("<II", whole, table, base, size)
    section = whole.index(b".rdata")
    for place in (section + 8, section + 16):
        struct.pack_into("<I", whole, place, len(whole) - 0x400)
    found, seconds, _ = cost(bytes(whole))
    assert ("2.1.4.3", ()) == (found.images[0].version, found.problems)
    assert seconds < 2


def test_archives_in_archives(tmp_path: Path, library: bytes) -> None:
    """What lies in an archive within the archive is not opened: neither a wheel, nor a static library, nor a bomb."""
    inner = zip_bytes(Entry("x.so", library))
    for _ in range(20):
        inner = zip_bytes(Entry("inner.whl", inner), Entry("y.so", b"\x7fELF"))
    static = b"!<arch>\n" + b"x.o/".ljust(16) + b"0".ljust(32) + str(len(library)).encode().ljust(10) + b"`\n" + library
    path = tmp_path / "w.whl"
    path.write_bytes(zip_bytes(Entry("p/inner.whl", inner), Entry("p/lib.a", static), Entry("p/x.so", library)))
    result = tmp_path / "result"
    assert 0 == main([str(path), "--result", str(result)])
    found = Binaries.model_validate_json(result.read_bytes())
    assert ["p/x.so"] == [each.member for each in found.members]
    assert 1 == found.total


def test_an_archive_that_cannot_be_read(tmp_path: Path) -> None:
    """What came before the damage is told, with a sentence."""
    path = tmp_path / "w.zip"
    path.write_bytes(b"not an archive")
    found = Binaries.model_validate(read_members(str(path)))
    assert (0, 1) == (found.total, len(found.problems))
    assert "neither a ZIP nor" in found.problems[0]
