"""What a page says of compiled files: in words, and escaped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from rebuilder.model.accounting import Accounting, Content, How, MemberAccount
from rebuilder.model.binary import BinaryFacts, CodeComparison
from rebuilder.programs.binary.read_binaries import read_facts
from rebuilder.site.rendering import Renderer
from rebuilder.site.sections.binaries import BinariesSection, binaries_section
from tests.fakes.binaries import compiled, fat, macho, pe


def section(*files: tuple[str, bytes]) -> BinariesSection:
    """The section about some compiled files, and one that was not looked into."""
    members = [
        MemberAccount(
            path=path,
            sha256="0" * 64,
            size=len(data),
            kind=Content.COMPILED,
            how=How.NOT_COMPILED,
            binary=BinaryFacts.model_validate(read_facts(data, path)),
        )
        for path, data in files
    ]
    plain = MemberAccount(path="a.py", sha256="1" * 64, size=1, kind=Content.PYTHON, how=How.SOURCE)
    found = binaries_section(Accounting(members=(*members, plain)))
    assert found is not None
    return found


def html(found: BinariesSection) -> str:
    """As on a page."""
    return Renderer("v").html("binaries.html", SimpleNamespace(binaries=found)).decode()


def test_each_file_has_a_fold_out(tmp_path: Path) -> None:
    """With what made it in the summary, every fact in words, protections with and without, sections with digests."""
    library = compiled(tmp_path, "-g", "-O2", "-Wl,-z,norelro", "-Wl,--build-id=sha1")
    both = fat((0x01000007, macho(cpu=0x01000007)), (0x0100000C, macho()))
    found = section(("p/a.so", library), ("p/.dylibs/libb.1.5.dylib", both), ("p/c.pyd", pe()))
    assert found.summary.startswith(
        "3 compiled files say this about how they were made. Compilers that name themselves: "
    )
    assert "1 is a library brought along from elsewhere." in found.summary
    page = html(found)
    assert 3 == page.count('<details class="binary">')
    assert "ELF, x86_64 shared library · GCC " in page
    assert (
        "Mach-O, x86_64 shared library, arm64 shared library · Apple clang 15.0.3 · brought along by delocate" in page
    )
    assert "libb.1.5.dylib, put there as delocate does" in page
    assert "version 1.2.3, by its header" in page
    assert "imports read-only (RELRO): off" in page
    assert "stack without code (NX)" in page
    assert "<h3>arm64</h3>" in page
    assert "D:\\a\\sample\\build" in page
    assert "<code>-O2" not in page
    assert " -O2" in page
    assert "change no verdict" in page


def test_what_compiling_it_here_gave() -> None:
    """Stands first in the fold-out: how many functions are equal, and what only one side has."""
    data = macho()
    found = CodeComparison(
        rebuilt_sha256="2" * 64,
        functions=129,
        functions_rebuilt=129,
        functions_equal=116,
        functions_different=("pack", "<b>unpack</b>"),
        sections_equal=(".init", ".fini"),
        imports_published=("system",),
        relocations=(17, 15),
    )
    member = MemberAccount(
        path="p/a.so",
        sha256="0" * 64,
        size=len(data),
        kind=Content.COMPILED,
        how=How.COMPILED_DIFFERENT,
        binary=BinaryFacts.model_validate(read_facts(data, "p/a.so")),
        recompiled=found,
    )
    shown = binaries_section(Accounting(members=(member,)))
    assert shown is not None
    page = html(shown)
    assert (
        "116 of 129 functions have equal instructions; these 13 differ: pack, &lt;b&gt;unpack&lt;/b&gt; and others."
        in page
    )
    assert "only published: system" in page
    assert ".init, .fini" in page
    assert "17 published, 15 compiled here; not the same" in page
    bare = found.replace(functions_equal=129, problem=None)
    assert bare.sentence.endswith("129 of 129 functions have equal instructions.")
    assert (
        "1 of 2 functions have equal instructions; this one differs: pack."
        in found.replace(functions=2, functions_equal=1, functions_different=("pack",)).sentence
    )


def test_words_of_files_are_escaped(tmp_path: Path) -> None:
    """Markup in a file is text on a page."""
    evil = '<script>alert("x")</script>\u202e'
    library = compiled(tmp_path, f"-Wl,-rpath,{evil}", f"-Wl,-soname,{evil}")
    page = html(section((f"p/{evil}.so", library)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page
    assert "⟨U+202E⟩" in page


def test_odd_and_unreadable_files() -> None:
    """What is wrong stands first, and shows without folding out."""
    page = html(section(("p/a.so", b"\x7fELF\x02\x01" + bytes(4)), ("p/b.so", macho()[:200])))
    assert "ELF, not readable" in page
    assert 2 == page.count('<span class="mark tone-warn">odd</span>')
    assert "lies outside the file" in page


def test_nothing_compiled() -> None:
    """There is no section."""
    assert binaries_section(None) is None
    plain = MemberAccount(path="a.py", sha256="1" * 64, size=1, kind=Content.PYTHON, how=How.SOURCE)
    assert binaries_section(Accounting(members=(plain,))) is None


def test_many_files() -> None:
    """A page has the first ones and says so."""
    found = section(*((f"p/{index}.so", macho()) for index in range(250)))
    assert 200 == len(found.files)
    assert found.hidden == "The first 200 of 250 are shown; report.json has all."
