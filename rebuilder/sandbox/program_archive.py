"""Packs a family of :mod:`rebuilder.programs` as one zip application, always the same bytes."""

from __future__ import annotations

import ast
import io
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

import rebuilder.programs
from rebuilder.model.definition import Input, Role
from rebuilder.store.protocol import Blobs

_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR_0644 = 0o100644 << 16
_UNIX = 3
_IMPORT = re.compile(
    r"^[ ]*from rebuilder\.programs(?P<module>[.\w]*) import (?P<names>\([^)]*\)|[^(\n]*)", re.MULTILINE
)


@cache
def program_archive(family: str) -> bytes:
    """The zip application of a family, such as ``archive`` or ``pypi``."""
    return pack(Path(next(iter(rebuilder.programs.__path__))), family)


def program_input(blobs: Blobs, family: str) -> Input:
    """The zip application of a family as an input for any build definition; stored as a blob."""
    name = f"{family}.pyz"
    return Input(role=Role.PROGRAM, name=name, sha256=blobs.put(program_archive(family)), path=f"/tools/{name}")


def pack(package: Path, family: str) -> bytes:
    """Make the zip application: stored members in order of their names, one time, one mode.

    In it are the family's ``__main__``, the modules of its programs, and what those import. The packages they are in
    are empty stand-ins, so that nothing else changes the bytes.

    Args:
        package: The directory of :mod:`rebuilder.programs`, or of a copy.
        family: A folder there that has a ``__main__``.

    Raises:
        FileNotFoundError: there is no such family, or no module that its table names.
    """
    main = (package / family / "__main__.py").read_bytes()
    modules = _modules(package, main)
    places = {f"rebuilder/programs/{name}": content for name, content in modules.items()}
    packages = {str(parent) for name in places for parent in PurePosixPath(name).parents} - {"."}
    members = {"__main__.py": main, **{f"{name}/__init__.py": b"" for name in packages}, **places}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(members.items()):
            member = zipfile.ZipInfo(name, _TIME)
            member.external_attr = _REGULAR_0644
            member.create_system = _UNIX
            archive.writestr(member, content)
    return buffer.getvalue()


def _modules(package: Path, main: bytes) -> dict[str, bytes]:
    """Every module a family needs, by its path below the package."""
    found: dict[str, bytes] = {}
    waiting = [*(_path(module) for module in _programs(main)), *_imported(package, main)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = (package / path).read_bytes()
            waiting.extend(_imported(package, found[path]))
    return found


def _programs(main: bytes) -> list[str]:
    """The modules in the table of a family."""
    assigned = (node for node in ast.parse(main).body if isinstance(node, ast.Assign))
    table = next(node.value for node in assigned if ast.unparse(node.targets[0]) == "PROGRAMS")
    return list(ast.literal_eval(table).values())


def _imported(package: Path, source: bytes) -> Iterator[str]:
    """The modules that a source file imports from the package; names that are no modules are in one that is."""
    for found in _IMPORT.finditer(source.decode()):
        module = found["module"].lstrip(".")
        names = re.findall(r"\w+", found["names"])
        for candidate in (module, *(f"{module}.{name}".lstrip(".") for name in names)):
            if candidate and (package / _path(candidate)).is_file():
                yield _path(candidate)


def _path(module: str) -> str:
    return f"{module.replace('.', '/')}.py"
