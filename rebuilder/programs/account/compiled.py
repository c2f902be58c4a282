"""Compiled code in a wheel: what the source asks for, and what something else in the wheel needs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from rebuilder.programs.account.members import COMPILED, QUOTED, SourceFiles, WheelMember, scan

_CODE = re.compile(
    r"\.(?:c|cc|cpp|cxx|c\+\+|m|mm|pyx|pxd|rs|go|f|f77|f90|f95|f03|for|cu|asm|s|pyf|i|swg|zig|d)(?:\.in|\.src)?$", re.I
)
_TAG = re.compile(r"\.(?:cpython-\d+[a-z]*(?:-[\w.-]+)?|cp\d+[a-z]*-[\w-]+|abi3|pypy\d+-pp\d+[\w-]*|graalpy[\w-]*)?$")
_ENDING = re.compile(r"(?:\.(?:so|pyd|dylib|dll|exe|a|lib|o|obj|node|wasm)(?:\.\d+)*)+$", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9_]+(?:[-+][A-Za-z0-9_]+)*")
_COMPILES_PYTHON = re.compile(r"\bmypycify\b|\bmypyc\b|\bcythonize\b|\bhatch-mypyc\b|\bCython\b|\bnuitka\b")
_PROGRAM = re.compile(
    r"(?:\b(?:add_executable|executable|project)\s*\(\s*[\"']?|^\s*name\s*=\s*[\"'])([A-Za-z0-9_.+-]{1,100})",
    re.I | re.M,
)
"""Names of programs and projects in files of CMake, Meson and Cargo."""
_MOST_NAMES = 2000


def check_compiled(path: str, members: list[WheelMember], source: SourceFiles, own_name: str) -> None:
    """Account for compiled code that is not in the source, as far as its name goes; its content is not settled by that.

    A module or library that the source does not name, and that nothing else needs, is one that was put in.

    Args:
        path: Of the wheel.
        members: All of them.
        source: Of the same release.
        own_name: Of the project.
    """
    found = [each for each in members if each.kind == COMPILED and not each.how]
    if not found:
        return
    words, stems = _words(source), {_stem(each) for each in source.by_path if _CODE.search(each)}
    texts = [text.decode("utf-8", "replace") for text in source.texts.values()]
    commands = {own_name} | {name for text in texts for name in _PROGRAM.findall(text)}
    compiles = any(_COMPILES_PYTHON.search(text) for text in texts)
    python = {each.path.rpartition(".")[0] for each in members if each.path.endswith(".py")}
    named, waiting = [], {}
    for each in found:
        base = base_name(each.path)
        beside = posixpath.join(posixpath.dirname(each.path), base)
        if beside in python and not compiles:
            each.accuse(
                "It would be imported in the place of the Python module beside it, which the source does not compile."
            )
        elif (beside in python and compiles) or (compiles and base.endswith("__mypyc")):
            each.settle("not-compiled", rule="compiled-python", detail="The source has its Python modules compiled.")
            named.append(each)
        elif each.scheme == "scripts" and base not in commands | stems:
            each.accuse("It is installed as a command, and the source has no program of this name.")
        elif base in stems or base in words or base.removeprefix("lib") in words | stems:
            each.settle(
                "not-compiled", rule="named-by-source", detail="The source has code or a build target of this name."
            )
            named.append(each)
        else:
            waiting[each.name] = each
    _needed(path, [each.name for each in named], waiting)
    for each in waiting.values():
        if not each.how:
            each.accuse("The source has nothing that would be compiled to it, and no other compiled code needs it.")


def base_name(path: str) -> str:
    """The name of a module or a library without the tags and the ending that say what it is for."""
    name = posixpath.basename(path)
    return _TAG.sub("", _ENDING.sub("", name))


def _needed(path: str, start: Iterable[str], waiting: dict[str, WheelMember]) -> None:
    """Account for libraries whose names stand in compiled code that is accounted for, or in such libraries.

    A loader finds a library by its file name, which stands in what needs it with a NUL behind it, in ELF, Mach-O and
    PE alike.
    """
    if not waiting or len(waiting) > _MOST_NAMES:
        return
    wanted = {posixpath.basename(each.path).encode(): each for each in waiting.values()}
    longest = max(map(len, wanted)) + 2
    needs: dict[str, set[bytes]] = {}
    tails: dict[str, bytes] = {}

    def receive(name: str, data: bytes) -> None:
        text = (tails.get(name, b"") + bytes(data)).lower()
        found = needs.setdefault(name, set())
        found.update(each for each in wanted if each not in found and each.lower() + b"\0" in text)
        tails[name] = text[-longest:]

    start = list(start)
    scan(path, {*start, *waiting}, receive)
    reached = list(start)
    while reached:
        name = reached.pop()
        for each in needs.get(name, ()):
            member = wanted[each]
            if not member.how and member.name != name:
                detail = f"A library that {posixpath.basename(name)} needs, copied in where the wheel was packed."
                member.settle("not-compiled", rule="grafted-library", detail=detail)
                reached.append(member.name)


def _words(source: SourceFiles) -> set[str]:
    """Words of the files that say how the source is built; of Python files, those that stand in texts."""
    found: set[str] = set()
    for path, content in source.texts.items():
        if path.endswith(("PKG-INFO", ".txt")) and not path.endswith("CMakeLists.txt"):
            continue
        text = content.decode("utf-8", "replace")
        for part in QUOTED.findall(text) if path.endswith(".py") else (text,):
            found.update(_WORD.findall(part))
    return found


def _stem(path: str) -> str:
    return posixpath.basename(path).partition(".")[0]
