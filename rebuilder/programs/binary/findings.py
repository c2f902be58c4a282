"""What is found in one image: one ELF or PE file, or one architecture of a Mach-O file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rebuilder.programs.binary.view import Notes, View, text

SECTIONS = 64
"""Most sections handed back; there are a few dozen in a library."""
NAMES = 64
"""Most names handed back of any one kind: libraries, exported symbols, directories, …"""
COMPILERS = 24
"""Most compilers handed back: each comes with what it wrote about itself, and its options."""
SYMBOLS = 500_000
"""Most entries of a symbol table that are looked at."""
_GUARDS = {b"stack_chk_fail", b"stack_chk_guard", b"stack_smash_handler", b"stack_chk_fail_local"}
"""Functions that check a stack frame, without the underscores that each format has in front."""
_FIELDS = (
    "architecture", "kind", "compilers", "tools", "crates", "directories", "needed", "search_paths", "needs",
    "own_name", "version", "build_id", "stripped", "debug", "exports", "exports_total", "imports_total", "protections",
)  # fmt: skip


class Section(NamedTuple):
    """A section of the file, as its table has it."""

    name: bytes
    view: View | None
    """None when it takes no room in the file."""
    size: int
    compressed: bool = False
    """Whether the first bytes say how the rest is compressed."""


class Findings:
    """Collects what is found, in the shape of ``rebuilder.model.binary.BinaryImage``."""

    def __init__(self, architecture: str, kind: str, order: str, *, wide: bool) -> None:
        self.architecture = architecture
        self.kind = kind
        self.order = order
        """``<`` or ``>``, as in :mod:`struct`."""
        self.wide = wide
        self.compilers: list[dict[str, Any]] = []
        self.tools: list[dict[str, Any]] = []
        self.crates: list[dict[str, str]] = []
        self.directories: list[str] = []
        self.needed: list[str] = []
        self.search_paths: list[dict[str, str]] = []
        self.needs: list[str] = []
        self.own_name: str | None = None
        self.version: str | None = None
        self.build_id: str | None = None
        self.stripped: bool | None = None
        self.debug = False
        self.exports: list[str] = []
        self.exports_total = 0
        self.imports_total = 0
        self.protections: list[dict[str, Any]] = []
        self.sections: list[Section] = []

    def section(self, *names: bytes) -> Section | None:
        """The first section that has one of these names and takes room in the file."""
        return next((each for name in names for each in self.sections if each.name == name and each.view), None)

    def compiler(self, name: str, version: str | None, evidence: str, where: str, **more: Any) -> None:
        """One more compiler, once for each text that says so."""
        found = {"name": name, "version": version, "evidence": evidence, "where": where, **more}
        if len(self.compilers) < COMPILERS and found not in self.compilers:
            self.compilers.append(found)

    def tool(self, name: str, version: str | None, evidence: str, where: str) -> None:
        """One more tool, once for each version."""
        known = {(each["name"], each["version"]) for each in self.tools}
        if (name, version) not in known and len(self.tools) < NAMES:
            self.tools.append({"name": name, "version": version, "evidence": evidence, "where": where})

    def protection(self, name: str, on: bool, detail: str | None = None) -> None:  # noqa: FBT001 - it is what is said
        """Whether a protection is on."""
        self.protections.append({"name": name, "on": on, "detail": detail})

    def symbols(self, found: Iterator[tuple[int, bool]], name: Callable[[int], bytes]) -> None:
        """Count what is exported and imported, keep the first names, and tell protections that show in the imports.

        Args:
            found: Of each symbol where its name is, and whether it is imported.
            name: Gives the name that is there.
        """
        imports: set[bytes] = set()
        for place, imported in found:
            if imported:
                self.imports_total += 1
                function = name(place).strip(b"_")
                if (function in _GUARDS or function.endswith(b"_chk")) and len(imports) < 1000:
                    imports.add(function)
            else:
                self.exports_total += 1
                if len(self.exports) < NAMES:
                    self.add(self.exports, name(place))
        guarded = bool(imports & _GUARDS)
        self.protection("stack-protector", guarded, None if guarded else "No function of it calls the check.")
        checked = sorted(imports - _GUARDS)
        names = ", ".join(text(each[:-4], 40) for each in checked[:6])
        more = f" and {len(checked) - 6} more" if len(checked) > 6 else ""
        plain = "No checked function is imported."
        self.protection("fortify", bool(checked), f"Checked: {names}{more}." if checked else plain)

    def add(self, into: list[str], raw: bytes) -> None:
        """One more text in a list, once, if there is room."""
        if raw and len(into) < NAMES:
            shown = text(raw)
            if shown not in into:
                into.append(shown)

    def document(self, notes: Notes) -> dict[str, Any]:
        """The fields of a ``BinaryImage``; sections get their digests now."""
        sections = [
            {"name": text(each.name, 60), "size": each.size, "sha256": notes.digest(each.view) if each.view else None}
            for each in self.sections[:SECTIONS]
        ]
        fields = {name: getattr(self, name) for name in _FIELDS}
        return {**fields, "sections": sections, "sections_total": len(self.sections)}
