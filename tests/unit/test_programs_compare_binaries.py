"""How far two compiled files are the same: functions by their instructions, wherever they lie."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from rebuilder.model.binary import CompiledMember
from rebuilder.programs.binary import code
from rebuilder.programs.binary.compare_binaries import compare
from rebuilder.programs.binary.view import View
from tests.fakes.archives import Entry, zip_bytes
from tests.fakes.binaries import compiled

NAME = "p/m.so"
SOURCE = """
#include <stdio.h>
#include <string.h>
static int helper(const char *s) { return puts(s) + (int)strlen(s); }
int one(int x) { return helper("a text") + x; }
int two(int x) {
    switch (x) { case 0: return 3; case 1: return 9; case 2: return 77; case 3: return 5; case 4: return 8; }
    return printf("%d\\n", x); }
int three(double x) { return x * 3.5 > 2; }
"""
FLAGS = ("-O2", "-fno-inline", "-fno-ipa-cp", "-fcf-protection=none")


def pair(directory: Path, published: bytes, rebuilt: bytes) -> CompiledMember:
    """How two files compare; the document must fit the model."""
    paths = [directory / "published.whl", directory / "rebuilt.whl"]
    for path, data in zip(paths, (published, rebuilt), strict=True):
        path.write_bytes(zip_bytes(Entry(NAME, data), Entry(f"only-{path.stem}.so", data)))
    work = directory / "work"
    work.mkdir(exist_ok=True)
    for each in work.iterdir():
        for file in each.iterdir():
            file.unlink()
        each.rmdir()
    [member] = compare(str(paths[0]), str(paths[1]), str(work))["members"]
    return CompiledMember.model_validate(member)


def variant(directory: Path, *changes: tuple[str, str], flags: tuple[str, ...] = FLAGS) -> bytes:
    """The library with something else in its source."""
    source = SOURCE
    for old, new in changes:
        source = source.replace(old, new)
    return compiled(directory, *flags, source=source)


def test_the_same_file(tmp_path: Path) -> None:
    """Everything is equal, and only members that both have are compared."""
    data = variant(tmp_path)
    found = pair(tmp_path, data, data)
    assert (NAME, 4, 4, ()) == (found.member, found.functions, found.functions_equal, found.functions_different)
    assert ".text" in found.sections_equal
    assert () == found.sections_different
    assert found.relocations_equal


def test_functions_that_were_moved(tmp_path: Path) -> None:
    """A function before the others moves all: their addresses differ, their instructions mean the same."""
    moved = variant(tmp_path, ("int one(", "int extra(int a) { return a * 7; }\nint one("))
    found = pair(tmp_path, variant(tmp_path), moved)
    assert (4, 5, 4) == (found.functions, found.functions_rebuilt, found.functions_equal)
    assert ("extra",) == found.functions_added
    assert ".text" in found.sections_different


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (("x * 3.5 > 2", "x * 3.5 >= 2"), "three"),
        (("a text", "A text"), "one"),
        (("return 77", "return 78"), "two"),
        (("puts(s)", "remove(s)"), "helper"),
    ],
)
def test_one_function_differs(change: tuple[str, str], name: str, tmp_path: Path) -> None:
    """By an instruction, a text, a table of constants, or a function that it calls."""
    found = pair(tmp_path, variant(tmp_path), variant(tmp_path, change))
    assert (4, 3, (name,)) == (found.functions, found.functions_equal, found.functions_different)


def test_one_byte_is_patched(tmp_path: Path) -> None:
    """The comparison of an attack: one instruction of the published file was changed by hand."""
    data = bytearray(variant(tmp_path))
    read = code.Code(View(bytes(data)))
    place = next(each for each in read.places if each.name == b".text")
    function = read.functions[b"one", 0]
    data[place.content.start + function.address - place.address] ^= 0x01
    found = pair(tmp_path, bytes(data), variant(tmp_path))
    assert ("one",) == found.functions_different


def test_strings_and_imports(tmp_path: Path) -> None:
    """What only one of them has is named."""
    other = variant(tmp_path, ("a text", "an address"), ("puts(s)", "remove(s)"))
    found = pair(tmp_path, variant(tmp_path), other)
    assert (("a text",), ("an address",)) == (found.strings_published, found.strings_rebuilt)
    assert (("puts",), ("remove",)) == (found.imports_published, found.imports_rebuilt)
    assert not found.relocations_equal


def test_without_names(tmp_path: Path) -> None:
    """A stripped file is compared by its sections only, which is said."""
    found = pair(tmp_path, variant(tmp_path, flags=(*FLAGS, "-s")), variant(tmp_path))
    assert (False, 0) == (found.named, found.functions)
    assert ".text" in found.sections_equal
    assert "does not name its functions" in found.sentence


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    """Another format, nothing at all, too much code: a sentence."""
    data = variant(tmp_path)
    for other in (b"", b"\x7fELF" + bytes(60), b"MZ", data[:300]):
        assert pair(tmp_path, other, data).problem


def test_functions_over_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that says each function is all of the code: a limit ends it."""
    data = bytearray(variant(tmp_path))
    read = code.Code(View(bytes(data)))
    symbols = next(each for each in read.places if each.kind == 2)
    text = next(each for each in read.places if each.name == b".text")
    for at in range(0, symbols.content.size, 24):
        place = symbols.content.start + at
        if data[place + 4] & 15 == 2 and struct.unpack_from("<H", data, place + 6)[0]:
            struct.pack_into("<QQ", data, place + 8, text.address, text.content.size)
    assert pair(tmp_path, bytes(data), bytes(data)).problem is None
    monkeypatch.setattr("rebuilder.programs.binary.compare_binaries.CODE_BYTES", 1000)
    assert "MB of code" in (pair(tmp_path, bytes(data), bytes(data)).problem or "")


def test_sections_over_each_other(tmp_path: Path) -> None:
    """A table in which many sections are the whole file is not gone through."""
    data = bytearray(variant(tmp_path))
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    for index in range(1, count - 1):
        if struct.unpack_from("<I", data, table + 64 * index + 4)[0] == 1:
            struct.pack_into("<QQ", data, table + 64 * index + 24, 0, len(data))
    assert "over each other" in (pair(tmp_path, bytes(data), bytes(data)).problem or "")


def test_damaged_files(tmp_path: Path) -> None:
    """Numbers in tables changed: an answer, always."""
    whole = variant(tmp_path)
    table = struct.unpack_from("<Q", whole, 40)[0]
    for seed in range(40):
        chance, data = random.Random(seed), bytearray(whole)  # noqa: S311
        for _ in range(6):
            at = chance.choice((chance.randrange(16, 64), chance.randrange(table, len(data) - 4)))
            struct.pack_into(
                "<I", data, min(at, len(data) - 4), chance.choice((0, 1, 0xFFFFFFFF, len(data), 0x7FFFFFFF))
            )
        for published, rebuilt in ((bytes(data), whole), (whole, bytes(data))):
            assert pair(tmp_path, published, rebuilt).rebuilt_sha256
