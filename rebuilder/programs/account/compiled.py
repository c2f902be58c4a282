"""Compiled code in a wheel: what the source asks for, and what something else in the wheel needs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator

from rebuilder.programs.account.dist_info import read_toml, required_texts, table
from rebuilder.programs.account.members import COMPILED, PYTHON, QUOTED, SourceFiles, WheelMember, read_texts, scan

_CODE = re.compile(
    r"\.(?:c|cc|cpp|cxx|c\+\+|m|mm|pyx|pxd|rs|go|f|f77|f90|f95|f03|for|cu|asm|s|pyf|i|swg|zig|d)(?:\.in|\.src)?$", re.I
)
_TAG = re.compile(r"\.(?:cpython-\d+[a-z]*(?:-[\w.-]+)?|cp\d+[a-z]*-[\w-]+|abi3|pypy\d+-pp\d+[\w-]*|graalpy[\w-]*)?$")
_ENDING = re.compile(r"(?:(?:\.\d+)*\.(?:so|pyd|dylib|dll|exe|a|lib|o|obj|node|wasm)(?:\.\d+)*)+$", re.IGNORECASE)
_VERSIONED = re.compile(r"-\d+(?:_\d+)*(?:-(?:x64|x86|arm64))?$")
"""How libraries of Windows have their version in their name."""
_LIBRARY = re.compile(r"\.(?:dll|dylib|so\.[\d.]+)$", re.I)
"""No Python imports these."""
_WORD = re.compile(r"[A-Za-z0-9_]+(?:[-+][A-Za-z0-9_]+)*")
_PATH = re.compile(r"[A-Za-z0-9_]+(?:[./][A-Za-z0-9_]+)+")
"""Whole names of modules, as paths or with dots."""
_REQUIRES = re.compile(r"^Requires-Dist:(.+)$", re.M)
_COMPILES_PYTHON = re.compile(r"\bmypycify\b|\bmypyc\b|\bcythonize\b|\bhatch-mypyc\b|\bCython\b|\bnuitka\b")
_PROGRAM = re.compile(
    r"(?:\b(?:add_executable|executable|project)\s*\(\s*[\"']?|^\s*name\s*=\s*[\"'])([A-Za-z0-9_.+-]{1,100})",
    re.I | re.M,
)
"""Names of programs and projects in files of CMake, Meson and Cargo."""
_MOST_NAMES = 2000
_SCRIPT = re.compile(r"(?:^|/)(?:Makefile[^/]*|SConstruct|[^/]+\.(?:sh|bat|cmd|mk|gyp|gypi|vcxproj))$", re.I)
"""Files that compile, and that a build script may call."""
_OUTPUT = re.compile(r"(?<![\w$%{}])([\w$%{}-]{4,100})\.(?:so|dll|dylib|pyd|exe)\b")
_VARIABLE = re.compile(r"\$\{?\w+\}?|%\w+%|\{\w*\}")
_IMPORT = re.compile(r"^\s*(?:from|import)\s+([A-Za-z_]\w*)", re.M)
_MOST_HELPERS = 200


class _Named:
    """What a source says that compiled code is called, and where it lies."""

    def __init__(self, source: SourceFiles, members: list[WheelMember]) -> None:
        self._words = _words(source.texts)
        self._stems: dict[str, set[str]] = {}
        for path in filter(_CODE.search, source.by_path):
            self._stems.setdefault(posixpath.basename(path).partition(".")[0], set()).add(posixpath.dirname(path))
        own = (each for each in members if each.kind == PYTHON and each.how and not each.accuses)
        self._packages = {each.path.partition("/")[0] for each in own if "/" in each.path}
        self._required = {_plain(each) for each in _required(source, members)}
        self._outputs: list[re.Pattern[str]] = []

    def read(self, texts: dict[str, bytes]) -> None:
        """Take names from files that a build script imports or calls, too."""
        self._words |= _words(texts)
        for content in texts.values():
            for name in _OUTPUT.findall(content.decode("utf-8", "replace")):
                parts = _VARIABLE.split(name)
                if 1 < len(parts) < 5 and max(map(len, parts)) > 3:
                    self._outputs.append(re.compile("[A-Za-z0-9_]{1,16}".join(map(re.escape, parts))))

    def __contains__(self, member: WheelMember) -> bool:
        """Whether the source has code, a build target or an output of this name, for this place.

        In a package of the wheel's own the name is enough, since only its own code looks there. Elsewhere other
        distributions could be meant: what lies at the top is no name of something that is required, and what lies in
        another package is written down with the whole path.
        """
        base, folder = base_name(member.path), posixpath.dirname(member.path)
        unversioned = _VERSIONED.sub("", base) if member.path.lower().endswith(".dll") else base
        names = {base, unversioned, base.removeprefix("lib")}
        whole = f"{folder}/{base}" if folder else base
        if {whole, whole.replace("/", ".")} & self._words and folder:
            return True
        top = member.path.partition("/")[0]
        if folder and top not in self._packages and member.scheme == "platlib":
            if _LIBRARY.search(member.path) and top in self._words and _plain(top) not in self._required:
                return bool(names & self._words)
            return any(place.endswith(folder) for name in names for place in self._stems.get(name, ()))
        if not folder and _plain(base) in self._required:
            return False
        return bool(names & (self._words | self._stems.keys())) or any(each.fullmatch(base) for each in self._outputs)

    def is_program(self, name: str) -> bool:
        """Whether code has this name."""
        return name in self._stems


def check_compiled(path: str, members: list[WheelMember], source: SourceFiles, own_name: str) -> None:
    """Account for compiled code that is not in the source, as far as its name goes; its content is not settled by that.

    A module or library that the source does not name, and that nothing else needs, is one that was put in.
    """
    found = [each for each in members if each.kind == COMPILED and not each.how]
    if not found:
        return
    names = _Named(source, members)
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
            named.append(each.name)
        elif each.scheme == "scripts" and base not in commands and not names.is_program(base):
            each.accuse("It is installed as a command, and the source has no program of this name.")
        else:
            waiting[each.name] = each
    named += _settled(names, waiting)
    _needed(path, named, waiting)
    if any(not each.how for each in waiting.values()):
        names.read(read_texts(source.archive, _helpers(source)))
        _needed(path, _settled(names, waiting), waiting)
    for each in waiting.values():
        if not each.how:
            each.accuse("The source has nothing that would be compiled to it, and no other compiled code needs it.")


def _settled(names: _Named, waiting: dict[str, WheelMember]) -> list[str]:
    """Account for those whose names the source has; gives them."""
    found = [each for each in waiting.values() if not each.how and each in names]
    for each in found:
        each.settle(
            "not-compiled", rule="named-by-source", detail="The source has code or a build target of this name."
        )
    return [each.name for each in found]


def _helpers(source: SourceFiles) -> list[str]:
    """Files of the source that a build script at its top imports, and those that compile something."""
    imported = {
        name
        for path, content in source.texts.items()
        if path.endswith(".py") and "/" not in path
        for name in _IMPORT.findall(content.decode("utf-8", "replace"))
    }
    return [
        path
        for path in source.by_path
        if _SCRIPT.search(path) or (path.endswith(".py") and path.partition("/")[0].removesuffix(".py") in imported)
    ][:_MOST_HELPERS]


def _required(source: SourceFiles, members: list[WheelMember]) -> Iterator[str]:
    """What the release needs, to run or to be built: names of other distributions, perhaps with versions."""
    for each in members:
        if each.name.endswith(".dist-info/METADATA") and each.content is not None:
            yield from _REQUIRES.findall(each.content.decode("utf-8", "replace"))
    yield from required_texts(source)
    requires = table(read_toml(source.texts.get("pyproject.toml", b"")), "build-system").get("requires")
    yield from (each for each in requires if isinstance(each, str)) if isinstance(requires, list) else ()


def _plain(requirement: str) -> str:
    """The name in a requirement as it could be that of a module."""
    return re.sub(r"[-_.]+", "_", re.split(r"[^\w.-]", requirement.strip(), maxsplit=1)[0]).lower()


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


def _words(texts: dict[str, bytes]) -> set[str]:
    """Words of the files that say how the source is built; of Python files, those that stand in texts."""
    found: set[str] = set()
    for path, content in texts.items():
        if path.endswith(("PKG-INFO", ".txt")) and not path.endswith("CMakeLists.txt"):
            continue
        text = content.decode("utf-8", "replace")
        for part in QUOTED.findall(text) if path.endswith(".py") else (text,):
            found.update(_WORD.findall(part))
            found.update(_PATH.findall(part))
    return found
