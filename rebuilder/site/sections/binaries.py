"""What the compiled files in a published archive say about how they were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rebuilder.model.accounting import Accounting, MemberAccount
from rebuilder.model.binary import (
    BinaryFacts,
    BinaryImage,
    CodeComparison,
    Compiler,
    Hardening,
    Vendored,
)
from rebuilder.site.display import SHORT, count, visible

MOST_SHOWN = 200
"""Files that a page has; the report has all."""
_LISTED = 40
"""Names of one kind that a page has."""


@dataclass(frozen=True, slots=True)
class FactRow:
    """A label and what is to be said to it, one line each."""

    label: str
    lines: tuple[str, ...]
    code: bool = False
    """Whether the lines are words of the file."""


@dataclass(frozen=True, slots=True)
class BinaryView:
    """One compiled file."""

    path: str
    brief: str
    problems: tuple[str, ...]
    facts: tuple[FactRow, ...]
    images: Sequence[BinaryImage]


@dataclass(frozen=True, slots=True)
class BinariesSection:
    """All compiled files."""

    summary: str
    files: tuple[BinaryView, ...]
    hidden: str | None


def binaries_section(accounting: Accounting | None) -> BinariesSection | None:
    """The section; None where no file was looked into."""
    found = [each for each in accounting.members if each.binary is not None] if accounting is not None else []
    if not found:
        return None
    shown = [_file(each, each.binary) for each in found[:MOST_SHOWN] if each.binary is not None]
    hidden = (
        f"The first {MOST_SHOWN} of {len(found):,} are shown; report.json has all." if len(found) > len(shown) else None
    )
    return BinariesSection(_summary([each.binary for each in found if each.binary is not None]), tuple(shown), hidden)


def _summary(found: Sequence[BinaryFacts]) -> str:
    """How many, made by what, and how many were brought along."""
    makers = Counter(name for each in found for name in {_maker(image) for image in each.images} - {None})
    many = f"{len(found):,} compiled files say this about how they were made."
    sentences = [many if len(found) > 1 else "The one compiled file says this about how it was made."]
    if makers:
        listed = ", ".join(f"{name} ({number:,})" for name, number in makers.most_common(6))
        sentences.append(f"Compilers that name themselves: {listed}.")
    vendored = sum(each.vendored is not None for each in found)
    if vendored:
        sentences.append(f"{count(vendored, 'is a library', 'are libraries')} brought along from elsewhere.")
    return " ".join(sentences)


def _maker(image: BinaryImage) -> str | None:
    """The compiler with its version, of what names itself first; debugging information before the rest."""
    first = sorted(image.compilers, key=lambda each: (each.where != "DW_AT_producer", each.version is None))
    return visible(" ".join(filter(None, (first[0].name, first[0].version))), SHORT) if first else None


def _file(member: MemberAccount, facts: BinaryFacts) -> BinaryView:
    kinds = dict.fromkeys(f"{visible(each.architecture, 40)} {visible(each.kind, 40)}" for each in facts.images)
    makers = dict.fromkeys(filter(None, map(_maker, facts.images)))
    parts = [f"{facts.format.words}, {', '.join(kinds) or 'not readable'}", *makers]
    if facts.vendored is not None:
        parts.append(f"brought along by {visible(facts.vendored.tool, 40)}")
    return BinaryView(
        path=visible(member.path, 200),
        brief=" · ".join(parts),
        problems=tuple(visible(each) for each in facts.problems),
        facts=(
            *(_recompiled(member.recompiled) if member.recompiled is not None else ()),
            *(_vendored(facts.vendored) if facts.vendored is not None else ()),
        ),
        images=facts.images,
    )


def _recompiled(found: CodeComparison) -> Iterator[FactRow]:
    """How far compiling it here gave the same."""
    yield FactRow("Compiled here", (visible(found.sentence),))
    if found.problem is not None:
        return
    yield FactRow(
        "Equal sections", _lines((", ".join(found.sections_equal),) if found.sections_equal else ()), code=True
    )
    for label, theirs, ours in (
        ("Texts", found.strings_published, found.strings_rebuilt),
        ("Imports", found.imports_published, found.imports_rebuilt),
    ):
        lines = [*(f"only published: {each}" for each in theirs), *(f"only compiled here: {each}" for each in ours)]
        yield FactRow(label, _lines(lines or ["the same on both sides"]))
    same = "the same on both sides" if found.relocations_equal else "{:,} published, {:,} compiled here; not the same"
    yield FactRow("Relocations", (same.format(*found.relocations),))


def _vendored(vendored: Vendored) -> tuple[FactRow, ...]:
    lines = [f"{visible(vendored.original, SHORT)}, put there as {visible(vendored.tool, 40)} does"]
    if vendored.version is not None:
        lines.append(
            f"version {visible(vendored.version, 60)}, by its {visible(vendored.version_from or 'own word', 60)}"
        )
    if vendored.origin is not None:
        lines.append(f"the wheel’s bill of materials says {visible(vendored.origin, 200)}; nobody checked that")
    return (FactRow("Brought along", tuple(lines)),)


def image_facts(image: BinaryImage) -> list[FactRow]:
    """What one architecture of a file says."""
    rows = [
        FactRow("Made by", _lines(map(_compiler, image.compilers)), code=True),
        FactRow("Options", _lines(_flags(image.compilers)), code=True),
        FactRow("Compiled in", _lines(image.directories), code=True),
        FactRow("With", _lines(f"{each.name} {each.version or ''}".strip() for each in image.tools)),
        FactRow("Rust crates", _lines(f"{each.name} {each.version}" for each in image.crates), code=True),
        FactRow("Needs", _lines(image.needs)),
        FactRow("Loads", _lines(image.needed), code=True),
        FactRow("Looks in", _lines(f"{each.path} ({each.kind})" for each in image.search_paths), code=True),
        FactRow("Calls itself", _lines(filter(None, (image.own_name,))), code=True),
        FactRow("Version", _lines(filter(None, (image.version,)))),
        FactRow("Identity", _lines(filter(None, (image.build_id,))), code=True),
        FactRow("Symbols", (_symbols(image),)),
        FactRow("Protections", _lines(map(_protection, image.protections))),
    ]
    return [row for row in rows if row.lines]


def _compiler(compiler: Compiler) -> str:
    """What it calls itself in the file, without its options."""
    words = compiler.evidence.split(" -", 1)[0] if compiler.flags else compiler.evidence
    units = f", {count(compiler.units, 'unit', 'units')}" if compiler.units else ""
    return f"{words} ({compiler.where}{units})"


def _protection(protection: Hardening) -> str:
    name = protection.name.words
    told = f"✓ {name}" if protection.on else f"– {name}: off"
    return f"{told} ({protection.detail.rstrip('.')})" if protection.detail else told


def _flags(compilers: Iterable[Compiler]) -> list[str]:
    return [" ".join(each.flags) for each in compilers if each.flags]


def _symbols(image: BinaryImage) -> str:
    exported = ", ".join(visible(each, 80) for each in image.exports[:5])
    more = " and more" if exported and image.exports_total > 5 else ""
    names = f" ({exported}{more})" if exported else ""
    left = (
        ""
        if image.stripped is None
        else "; names of local ones were taken away"
        if image.stripped
        else "; local ones too"
    )
    debug = "; with debugging information" if image.debug else ""
    return f"{image.exports_total:,} exported{names}, {image.imports_total:,} imported{left}{debug}"


def _lines(texts: Iterable[str]) -> tuple[str, ...]:
    """The first ones, and how many more there are."""
    found = list(dict.fromkeys(texts))
    lines = [visible(each) for each in found[:_LISTED]]
    return tuple(lines if len(found) <= _LISTED else [*lines, f"and {len(found) - _LISTED:,} more"])
