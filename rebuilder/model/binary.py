"""What compiled files say about how they were made: information beside a verdict, which never changes one.

Programs inside the sandbox read it out of files that anybody may have written. So each text is cut, and hides nothing.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

from rebuilder.model.text import clipped
from rebuilder.model.value import Sha256Field, Value, Worded

_MANY = 1000
ForeignText = Annotated[str, AfterValidator(partial(clipped, most=400))]
"""A text out of a file: one line, in which every character is seen."""
LongText = Annotated[str, AfterValidator(partial(clipped, most=2400))]
"""The same, where options of a compiler are in it."""
Texts = Annotated[tuple[ForeignText, ...], Field(max_length=128)]


class BinaryFormat(Worded):
    """What kind of compiled file it is."""

    words: str

    ELF = "elf", "ELF"
    """Linux and most other Unix systems (System V ABI)."""
    MACHO = "macho", "Mach-O"
    """macOS (``mach-o/loader.h``)."""
    PE = "pe", "PE (Windows)"
    """Windows (Portable Executable)."""


class Compiler(Value):
    """A compiler that made some of the code, as the file tells it."""

    name: ForeignText
    """Such as ``GCC``, ``clang``, ``rustc`` or ``MSVC``; ``unknown`` when only the evidence says more."""
    version: ForeignText | None = None
    evidence: LongText
    """What the file has, such as ``GCC: (Debian 12.2.0-14) 12.2.0``."""
    where: ForeignText
    """Where in the file: ``.comment``, ``DW_AT_producer``, ``LC_BUILD_VERSION``, ``Rich header`` and the like."""
    language: ForeignText | None = None
    flags: Texts = ()
    """Options, where the debugging information has them; in their order."""
    units: int | None = Field(default=None, ge=0)
    """How many compilation units name it so; None when it is not the debugging information that does."""


class Tool(Value):
    """Another program or library that took part: the linker, Cython, pybind11, Python's headers."""

    name: ForeignText
    version: ForeignText | None = None
    evidence: ForeignText
    where: ForeignText


class Crate(Value):
    """A Rust crate whose path is in the file."""

    name: ForeignText
    version: ForeignText


class SearchPath(Value):
    """Where the loader looks for libraries because the file says so."""

    kind: ForeignText
    """``RPATH``, ``RUNPATH`` or ``LC_RPATH``."""
    path: ForeignText


class Protection(Worded):
    """What makes faults of a program harder to abuse."""

    words: str

    NX = "nx", "stack without code (NX)"
    """The stack holds no code."""
    PIE = "pie", "code at any address"
    """The code can be anywhere in memory."""
    ASLR = "aslr", "code at any address (ASLR)"
    """The same on Windows."""
    RELRO = "relro", "imports read-only (RELRO)"
    """The table of imported functions cannot be written once it is filled."""
    BIND_NOW = "bind-now", "imports bound at start"
    """It is filled when the file is loaded."""
    STACK_PROTECTOR = "stack-protector", "stack protector"
    FORTIFY = "fortify", "checked C functions (FORTIFY)"
    """Functions of the C library are called in the form that checks sizes."""
    CFG = "cfg", "Control Flow Guard"
    """Control Flow Guard of Windows."""
    IBT = "ibt", "indirect branch tracking (CET)"
    """Indirect branch tracking (Intel CET)."""
    SHADOW_STACK = "shadow-stack", "shadow stack (CET)"
    """Intel CET."""
    BTI = "bti", "branch targets (BTI)"
    """Branch target identification of AArch64."""
    PAC = "pac", "pointer authentication (PAC)"
    """Pointer authentication of AArch64."""
    SIGNATURE = "signature", "signature for the system"
    """A signature for the operating system is in the file; nobody checked it."""


class Hardening(Value):
    """Whether a protection is on; what cannot be told is not listed."""

    name: Protection
    on: bool
    detail: ForeignText | None = None


class Section(Value):
    """A section of the file."""

    name: ForeignText
    size: int = Field(ge=0)
    """Bytes, in memory where it takes none in the file."""
    sha256: Sha256Field | None = None
    """None when it takes no room in the file, or is not to be read."""


class BinaryImage(Value):
    """One ELF or PE file, or the code for one architecture in a Mach-O file."""

    architecture: ForeignText
    """``x86_64``, ``aarch64``, ``arm64``, …, as the format calls it."""
    kind: ForeignText
    """``shared library``, ``program``, ``object file``, …"""
    compilers: tuple[Compiler, ...] = Field(default=(), max_length=128)
    tools: tuple[Tool, ...] = Field(default=(), max_length=128)
    crates: tuple[Crate, ...] = Field(default=(), max_length=_MANY)
    directories: Texts = ()
    """Where it was compiled, as the debugging information says."""
    needed: Texts = ()
    """Libraries that are loaded with it."""
    search_paths: tuple[SearchPath, ...] = Field(default=(), max_length=128)
    needs: Texts = ()
    """What it needs of the system at least: ``GLIBC_2.17``, ``macOS 11.0``."""
    own_name: ForeignText | None = None
    """What it calls itself: SONAME, install name, name in the table of exports."""
    version: ForeignText | None = None
    """That its header or its resources say."""
    build_id: ForeignText | None = None
    """GNU build-id in hexadecimal, UUID (Mach-O), or identity and age of the debugging information (PE)."""
    stripped: bool | None = None
    """Whether the table of local symbols was taken away."""
    debug: bool = False
    """Whether it has debugging information."""
    exports: Texts = ()
    """The first ones."""
    exports_total: int = Field(default=0, ge=0)
    imports_total: int = Field(default=0, ge=0)
    protections: tuple[Hardening, ...] = Field(default=(), max_length=64)
    sections: tuple[Section, ...] = Field(default=(), max_length=128)
    """The first ones."""
    sections_total: int = Field(default=0, ge=0)


class Vendored(Value):
    """Where a library comes from that the archive brings along."""

    tool: ForeignText
    """``auditwheel``, ``delocate`` or ``delvewheel``: its way of naming directories."""
    original: ForeignText
    """Its file name before the tool added a digest."""
    version: ForeignText | None = None
    version_from: ForeignText | None = None
    """``file name`` (a version of the interface, often not of the library), ``header`` or ``bill of materials``."""
    origin: ForeignText | None = None
    """Package URL in a bill of materials of the archive, which nobody checked."""


class BinaryFacts(Value):
    """What one compiled file says about itself."""

    format: BinaryFormat
    images: tuple[BinaryImage, ...] = Field(default=(), max_length=32)
    """More than one only in a Mach-O file for several architectures; none when it cannot be read."""
    vendored: Vendored | None = None
    """None when it was not brought along from elsewhere."""
    problems: tuple[ForeignText, ...] = Field(default=(), max_length=64)
    """Sentences about what is malformed or odd."""


class BinaryMember(Value):
    """A compiled member of an archive."""

    member: ForeignText
    sha256: Sha256Field
    facts: BinaryFacts


class Binaries(Value):
    """The compiled members of one archive."""

    members: tuple[BinaryMember, ...] = Field(default=(), max_length=_MANY)
    total: int = Field(default=0, ge=0)
    """Before ``members`` was cut."""
    problems: tuple[ForeignText, ...] = Field(default=(), max_length=64)
    """Why not everything could be read, as sentences."""


class CodeComparison(Value):
    """How far a compiled file is the same as one that was compiled here: evidence, which explains nothing by itself.

    Addresses in instructions are replaced by what they stand for: the name or the text there, or else its section.
    """

    rebuilt_sha256: Sha256Field | None = None
    """Of the file that was compiled here."""
    problem: ForeignText | None = None
    """Why there is nothing but the digests, as a sentence."""
    named: bool = True
    """Whether the published file names its functions; without names none is compared."""
    functions: int = Field(default=0, ge=0)
    """Functions of the published file."""
    functions_rebuilt: int = Field(default=0, ge=0)
    functions_equal: int = Field(default=0, ge=0)
    """Those with equal instructions."""
    functions_different: Texts = ()
    """The first ones that both have."""
    functions_missing: Texts = ()
    """Only in the published file."""
    functions_added: Texts = ()
    """Only in the file that was compiled here."""
    sections_equal: Texts = ()
    sections_different: Texts = ()
    strings: tuple[int, int] = (0, 0)
    """Texts in read-only data: published, compiled here."""
    strings_published: Texts = ()
    """The first ones that only the published file has."""
    strings_rebuilt: Texts = ()
    imports: tuple[int, int] = (0, 0)
    imports_published: Texts = ()
    imports_rebuilt: Texts = ()
    relocations: tuple[int, int] = (0, 0)
    relocations_equal: bool = False
    """Whether there are as many of each kind for each symbol."""

    @property
    def sentence(self) -> str:
        """What came of it, as a sentence."""
        if self.problem is not None:
            return f"It was compiled here too, and has other bytes. {self.problem}"
        if not self.named or not self.functions:
            return (
                "It was compiled here too, and has other bytes; it does not name its functions, so none was compared."
            )
        different = self.functions - self.functions_equal
        told = f"{self.functions_equal:,} of {self.functions:,} functions have equal instructions"
        if different:
            told += f"; {f'these {different:,} differ' if different > 1 else 'this one differs'}: "
            listed = [*self.functions_different, *self.functions_missing][:8]
            told += ", ".join(listed) + (" and others" if different > len(listed) else "")
        return f"It was compiled here too, and has other bytes: {told}."


class CompiledMember(CodeComparison):
    """The same, with the name of the member."""

    member: ForeignText
