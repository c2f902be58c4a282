"""What compilers and generators leave in texts: how they name themselves, and paths of what they read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rebuilder.programs.binary.view import EVIDENCE, Findings, View, text

_NUMBER = r"(\d+(?:\.\d+)+[\w.+-]*)"
_COMPILERS = (
    (re.compile(rf"rustc version {_NUMBER}"), "rustc"),
    (re.compile(rf"^GNU AS {_NUMBER}"), "GNU as"),
    (re.compile(rf"^GNU \S+(?: \S+)?? {_NUMBER}"), "GCC"),
    (re.compile(rf"^GCC: \([^)]*\) {_NUMBER}"), "GCC"),
    (re.compile(rf"\bclang version {_NUMBER}"), "clang"),
    (re.compile(r"^Go cmd/compile go(\d[\w.]*)"), "Go"),
    (re.compile(rf"^Linker: LLD {_NUMBER}"), "LLD"),
)
_APART = {"GNU as", "LLD"}
"""These are no compilers, though they name themselves in the same places."""
_ANY = re.compile(r"^(?P<name>[^\d]{2,60}?)[ :]+v?(?P<version>\d+(?:\.\d+)+[\w.+-]*)")
_LANGUAGE = re.compile(r"^GNU ([A-Za-z+]+\d*)")
_CHUNK = 4 << 20
_REACH = 1024
"""Bytes that a rule may look at behind its anchor, and before it."""
_HITS = 2000
"""How often one rule is tried in one file: anchors can be repeated at no cost."""
_GO_MAGIC = b"\xff Go buildinf:"
_GO_VERSION = re.compile(rb"go(\d[\w.+-]{0,60})")
_PYX = b"__pyx_"


def read_compiler(image: Findings, line: bytes, where: str, **more: Any) -> None:
    """Note what names itself in a line of ``.comment`` or a ``DW_AT_producer``, with the line."""
    evidence = text(line, EVIDENCE)
    known = ((name, pattern.search(evidence)) for pattern, name in _COMPILERS)
    name, found = next(((name, found) for name, found in known if found), ("unknown", None))
    other = None if found else _ANY.match(evidence)
    if other:
        name, found = other["name"].strip(), other
    version = found[found.re.groups] if found else None
    if name in _APART:
        image.tool(name, version, evidence, where)
        return
    flags = _flags(evidence) if where == "DW_AT_producer" else []
    language = _LANGUAGE.match(evidence)
    image.compiler(name, version, evidence, where, flags=flags, language=language[1] if language else None, **more)


def _flags(evidence: str) -> list[str]:
    """The options that GCC, and clang when asked to, write behind their version."""
    words = evidence.split()
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    return words[first:][:120]


class _Rule(NamedTuple):
    name: str
    anchor: bytes
    """What is looked for; cheap, so everything that the pattern matches holds it."""
    pattern: re.Pattern[bytes]
    version: Callable[[bytes], bytes] | None = None
    """Makes a version of the first group; None when what is found has none."""


def _dotted(raw: bytes) -> bytes:
    return raw.replace(b"_", b".")


def _same(raw: bytes) -> bytes:
    return raw


_RULES = (
    _Rule("Cython", b"_cython_", re.compile(rb"_cython_(\d+(?:_\d+)+(?:(?:a|b|rc)\d+)?)"), _dotted),
    _Rule("f2py", b"generated with f2py", re.compile(rb"generated with f2py \(version:\s?([\w.+-]{1,40})\)"), _same),
    _Rule("pybind11", b"__pybind11_internals_v", re.compile(rb"__pybind11_internals_v\d+[\w.]{0,80}")),
    _Rule("nanobind", b"__nb_internals_v", re.compile(rb"__nb_internals_v\d+[\w.]{0,80}")),
    _Rule("Python headers", b"/include/python", re.compile(rb"/include/python(\d\.\d{1,2})"), _same),
    _Rule("Python headers", b"/cpython-", re.compile(rb"/cpython-(\d\.\d{1,2}\.\d{1,2}\w{0,4})/"), _same),
    _Rule("rustc", b"rustc version ", re.compile(rb"rustc version (\d+\.\d+\.\d+[\w.-]{0,20})"), _same),
    _Rule("rustc", b"/rustc/", re.compile(rb"/rustc/([0-9a-f]{40}|\d+\.\d+\.\d+)[/\\]"), _same),
)
_CRATE = re.compile(rb"[/\\]registry[/\\]src[/\\][^/\\\0]{1,80}[/\\]([\w-]{1,64}?)-(\d+\.\d+\.\d+[\w.+-]{0,40})[/\\]")
_CRATE_ANCHORS = (b"/registry/src/", b"\\registry\\src\\")
_CRATES = 400


def read_traces(image: Findings, file: View) -> None:
    """Look for everything in the whole file."""
    crates: dict[tuple[str, str], None] = {}
    hits = dict.fromkeys(range(len(_RULES) + len(_CRATE_ANCHORS)), 0)
    pyx = False
    for chunk, begin, end in _chunks(file):
        for index, rule in enumerate(_RULES):
            for at in _places(chunk, rule.anchor, begin, end):
                hits[index] += 1
                if hits[index] > _HITS:
                    break
                found = rule.pattern.match(chunk, at)
                if found:
                    version = text(rule.version(found[1]), 60) if rule.version else None
                    image.tool(rule.name, version, text(found[0]), "text in the file")
        for index, anchor in enumerate(_CRATE_ANCHORS, len(_RULES)):
            for at in _places(chunk, anchor, begin, end):
                hits[index] += 1
                if hits[index] > 50 * _HITS or len(crates) >= _CRATES:
                    break
                found = _CRATE.match(chunk, at)
                if found:
                    crates[text(found[1], 64), text(found[2], 60)] = None
        pyx = pyx or _PYX in chunk
        _go(image, chunk, begin, end)
    image.crates = [{"name": name, "version": version} for name, version in sorted(crates)]
    if pyx and not any(each["name"] == "Cython" for each in image.tools):
        image.tool("Cython", None, _PYX.decode(), "text in the file")


def _chunks(file: View) -> Iterator[tuple[bytes, int, int]]:
    """The file in pieces that overlap, and which part of each is looked at."""
    for at in range(0, file.size, _CHUNK):
        before = min(at, _REACH)
        chunk = file.raw(at - before, before + _CHUNK + _REACH)
        yield chunk, before, before + _CHUNK


def _places(chunk: bytes, anchor: bytes, begin: int, end: int) -> Iterator[int]:
    at = chunk.find(anchor, begin, end + len(anchor) - 1)
    while at >= 0:
        yield at
        at = chunk.find(anchor, at + 1, end + len(anchor) - 1)


def _go(image: Findings, chunk: bytes, begin: int, end: int) -> None:
    """What Go writes into every program: ``debug/buildinfo`` of its library reads the same."""
    for at in _places(chunk, _GO_MAGIC, begin, end):
        flags = chunk[at + 15 : at + 16]
        found = _GO_VERSION.search(chunk, at + 32, at + 32 + 80)
        if flags and flags[0] & 2 and found:
            image.compiler("Go", text(found[1], 60), text(found[0], 80), "build information of Go", flags=[])
        return
