"""Our own small programs: packed by family, always into the same bytes, and run on untrusted files in a sandbox."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import rebuilder.programs
from rebuilder.environments.protocol import Environments
from rebuilder.foreign_json import JsonLimits, read_json
from rebuilder.model.attempt import Outcome, Run
from rebuilder.model.definition import BuildDefinition, Input, Limits, Role
from rebuilder.programs.families import PROGRAMS
from rebuilder.sandbox.local_runner import LocalRunner
from rebuilder.sandbox.prepared import Prepared
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, ProgramResult, Sandbox
from rebuilder.store.protocol import Blobs

BUILD_TYPE = "tag:rebuilder,2026:program/v1"
"""Names how the commands came about: ``python3 -I -S /tools/FAMILY.pyz PROGRAM ARGUMENTS…``."""

RESULT = "result.json"

_ENVIRONMENT = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"}
_RESULT_BYTES = 32 << 20
_LIMITS = JsonLimits(values=4_000_000)
_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR_0644 = 0o100644 << 16
_UNIX = 3
_MAIN = """\
import sys

sys.path.insert(0, f"{{sys.argv[0]}}.bytecode")
from rebuilder.programs.command import run

sys.exit(run({programs}, sys.argv))
"""
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

    In it are a ``__main__``, the modules of the family's programs, and what those import. The packages they are in
    are empty stand-ins, so that nothing else changes the bytes.

    Args:
        package: The directory of :mod:`rebuilder.programs`, or of a copy.
        family: One of :data:`rebuilder.programs.families.PROGRAMS`.

    Raises:
        FileNotFoundError: there is no module that the family names.
    """
    main = _MAIN.format(programs=PROGRAMS[family]).encode()
    modules = _modules(package, [*map(_path, PROGRAMS[family].values()), *_imported(package, main)])
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


def _modules(package: Path, waiting: list[str]) -> dict[str, bytes]:
    """Every module that some need, by its path below the package."""
    found: dict[str, bytes] = {}
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = (package / path).read_bytes()
            waiting.extend(_imported(package, found[path]))
    return found


def _imported(package: Path, source: bytes) -> Iterator[str]:
    """The modules that a source file imports from the package; names that are no modules are in one that is."""
    for found in _IMPORT.finditer(source.decode()):
        module = found["module"].lstrip(".")
        names = re.findall(r"\w+", found["names"])
        for candidate in (module, *(f"{module}.{name}".lstrip(".") for name in names)):
            if candidate and (package / _path(candidate)).is_file():
                yield _path(candidate)


def _path(module: str) -> str:
    return f"{module.partition(':')[0].replace('.', '/')}.py"


class SandboxPrograms:
    """Implements :class:`rebuilder.sandbox.protocol.Programs`.

    The build environment that is named has Python 3.9 or newer; what is ``prepared`` is the byte code of the
    programs.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        environments: Environments,
        blobs: Blobs,
        environment_name: str,
        prepared: Prepared | None = None,
    ) -> None:
        self._kind = sandbox.kind
        self._run = LocalRunner({sandbox.kind: sandbox}, environments, blobs, prepared)
        self._environments = environments
        self._blobs = blobs
        self._environment_name = environment_name
        self._inputs: dict[str, Input] = {}

    def program_input(self, family: str) -> Input:
        """The programs of a family, as an input for any build definition; stored as a blob once."""
        if family not in self._inputs:
            self._inputs[family] = program_input(self._blobs, family)
        return self._inputs[family]

    def run(
        self,
        family: str,
        program: str,
        arguments: Sequence[str],
        *,
        inputs: Sequence[Input],
        limits: Limits = PROGRAM_LIMITS,
        environment: str | None = None,
    ) -> ProgramResult:
        """Run one program; see :meth:`rebuilder.sandbox.protocol.Programs.run`.

        The document is None when the program failed, or wrote something that is not JSON.
        """
        used = self._environments.get(environment or self._environment_name)
        programs = self.program_input(family)
        definition = BuildDefinition(
            build_type=BUILD_TYPE,
            purl="pkg:generic/rebuilder-programs",
            targets=(inputs[0].name if inputs else program,),
            inputs=(programs, *inputs),
            toolchain=used.ref,
            commands=(("python3", "-I", "-S", programs.path, program, *arguments, "--result", f"/out/{RESULT}"),),
            environment=_ENVIRONMENT,
            sandbox=self._kind,
            limits=limits,
        )
        run = self._run(definition)
        return ProgramResult(run=run, document=self._document(run))

    def _document(self, run: Run) -> Any:
        if run.outcome is not Outcome.COMPLETED:
            return None
        written = next((each for each in run.outputs if each.filename == RESULT), None)
        if written is None or written.size > _RESULT_BYTES:
            return None
        try:
            return read_json(self._blobs.read(written.sha256), _LIMITS)
        except ValueError:
            return None
