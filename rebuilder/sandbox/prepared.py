"""What many definitions begin with, made once: a virtual environment, unpacked tools, installed packages, byte code.

A definition that installs wheels begins with :data:`COMMANDS`. All that these see is the build environment,
uv, the wheels, the list with their digests and the umask; so a run of its own, with nothing else, leaves the same. It
is made when it is first needed and kept as one archive by the digest of that run's definition. Later runs unpack it in
place of running the commands. The copy is each build's own; the archive is bound read-only and checked before each use.

No code of a publisher runs while one is made: uv unpacks wheels, and Python compiles them without importing any
(``-S``: no ``.pth`` file, no ``sitecustomize``). Byte code is bound to its source by a hash, so that changing a module
afterwards has its effect.

A definition that unpacks tools (Node, npm) begins with :data:`UNPACK_TOOLS` and their tarballs; each is unpacked by a
run of its own that sees the tarball and our program. Where npm then installs what a commit's lock file names
(:data:`INSTALL`), a run of these commands makes what that leaves, if it leaves nothing but ``node_modules``.

The byte code of an application of ours is made by the application itself, in a run that sees nothing else, and lies
beside it. Whatever cannot be made or kept is done without: then a definition runs as it is written.
See docs/adr/0034.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rebuilder.environments.protocol import BuildEnvironment
from rebuilder.model.attempt import Outcome
from rebuilder.model.definition import BuildDefinition, Input, Role
from rebuilder.model.value import Sha256
from rebuilder.programs.command import BYTECODE
from rebuilder.programs.npm.loopback import TARBALLS
from rebuilder.programs.npm.tools import ToolRefused, directory_of
from rebuilder.sandbox.protocol import PROGRAM_LIMITS, Sandbox
from rebuilder.store.protocol import Kept

ENVIRONMENT = "/build/env"
UV = "/tools/uv"
REQUIREMENTS = "/inputs/requirements.txt"
WHEELS = "/inputs/wheels"

BUILD_TYPE = "tag:rebuilder,2026:prepared/v1"
"""Documented in docs/predicates/program-runs.md."""
_NAME = "virtual-environment.tar"
_KEPT = f"/inputs/{_NAME}"
_ALONE = (
    *("/usr/bin/env", "-i", "HOME=/tmp", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin", "PYTHONHASHSEED=0"),
    # Some backends take the first of several plug-ins in the order of the directory: install in one order.
    # What uv notes of its own beside packages has the time of a file on this machine in it.
    *("TZ=UTC", "UV_CONCURRENT_INSTALLS=1", "UV_NO_INSTALLER_METADATA=1"),
)
"""What is set for a build matters to the build alone."""
_UV = (*_ALONE, UV, "--quiet", "--offline", "--no-config", "--no-progress", "--cache-dir", "/build/uv")
PYTHON = "/usr/bin/python3"
"""Of every build environment that is made here."""
VENV = (*_UV, "venv", "--no-project", "--python", PYTHON, ENVIRONMENT)
"""Makes the virtual environment."""
_INSTALL = (
    *(*_UV, "pip", "install", "--no-index", "--no-deps", "--require-hashes", "--link-mode", "hardlink"),
    *("--find-links", WHEELS, "--python", f"{ENVIRONMENT}/bin/python", "-r", REQUIREMENTS),
)
_COMPILE = (
    *(*_ALONE, "/bin/sh", "-c", '"$@"; exit 0', "compile", PYTHON, "-s", "-S", "-W", "ignore"),
    *("-m", "compileall", "-qq", "--invalidation-mode", "checked-hash", f"{ENVIRONMENT}/lib"),
)
"""Wheels may have modules for other versions of Python: what cannot be compiled is left as it is."""


def by_pip(python: str, *, dependencies: bool) -> tuple[tuple[str, ...], ...]:
    """Commands that make a virtual environment with what an interpreter of a given image has, wherever that runs."""
    install = (
        *(*_ALONE, python, "-m", "pip", "--quiet", "--python", f"{ENVIRONMENT}/bin/python", "--no-cache-dir"),
        *("--disable-pip-version-check", "--no-input", "install", "--no-index", "--no-deps", "--require-hashes"),
        *("--find-links", WHEELS, "--requirement", REQUIREMENTS),
    )
    return ((*_ALONE, python, "-m", "venv", "--without-pip", ENVIRONMENT), *((install,) if dependencies else ()))


def _pack(file: str, directory: str = "env") -> str:
    owner = "--owner=0 --group=0 --numeric-owner"
    return f"tar --create --file {file} --directory /build --format=gnu --sort=name --mtime=@0 {owner} {directory}"


def _unpack(file: str) -> str:
    return f"tar --extract --touch --file {file} --directory /build"


_SETTLE = (
    *(*_ALONE, "/bin/sh", "-e", "-c"),
    f"{_pack('/build/env.tar')}; rm -r /build/env /build/uv; {_unpack('/build/env.tar')}; rm /build/env.tar",
)
"""However it came about, a virtual environment is unpacked: so directories list their entries in one order."""
COMMANDS = (VENV, _INSTALL, _COMPILE, _SETTLE)
"""A definition begins with them, where wheels are to be installed."""
PLACE, ANOTHER_PLACE = "/build", "/build/another/place"
"""Where builds are made, and where they are made to see whether that matters."""
_ROOT = re.compile(r"(?<![\w./-])/build(?=[/:;\s]|$)")


def moved(text: str, place: str = ANOTHER_PLACE) -> str:
    """A command, a variable or a directory of a build that is made in another place."""
    return _ROOT.sub(place, text)


def _all_moved(commands: tuple[tuple[str, ...], ...], place: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(moved(each, place) for each in command) for command in commands)


_BEGINNINGS = {_all_moved(COMMANDS, place): place for place in (PLACE, ANOTHER_PLACE)}
TOOLS, HOME = "/build/tools", "/build/home"
UNPACK_TOOLS = (PYTHON, "-I", "-S", "/tools/npm.pyz", "tools", "--into", TOOLS, "--home", HOME)
"""A definition begins with this and the paths of tarballs, where Node and package managers are unpacked."""
_TOOL = "tool.tar"
INSTALL = (PYTHON, "-I", "-S", "/tools/npm.pyz", "install")
"""A command that installs packages, after the tools are unpacked and a commit is checked out, begins with this."""
CLEAN_INSTALL = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
"""It ends with npm's command for this, when that leaves nothing but ``node_modules``."""
_INSTALLED = "installed.tar"
_INSTALLED_BYTES = 64 << 20
"""Of tarballs of packages: what more leave is not worth keeping."""
_SHELL = ("/bin/sh", "-e", "-c")
_OTHERS = (
    "find /build /tmp -path /build/tools -prune -o -name node_modules -prune "
    "-o ! -type d -printf '%p %l %s %m %T@\\0' | sort --zero-terminated"
)
_FOUND = "find source -name node_modules -prune -print0"
_BEFORE_INSTALLING = f'test -z "$(find /build/source -name node_modules -print -quit)"; {_OTHERS} > /out/before'
_AFTER_INSTALLING = (
    f"{_OTHERS} | cmp - /out/before; rm /out/before; cd /build; "
    f"{_FOUND} | {_pack(f'/out/{_INSTALLED}', '--null --verbatim-files-from --files-from -')}"
)


class Prepared:
    """Makes and keeps what definitions begin with."""

    def __init__(self, sandbox: Sandbox, kept: Kept) -> None:
        self._sandbox = sandbox
        self._kept = kept
        self._cannot: set[str] = set()
        """Keys for which nothing came out, or too much."""

    def taken(
        self, definition: BuildDefinition, environment: BuildEnvironment, inputs: Mapping[str, Path]
    ) -> tuple[BuildDefinition, dict[str, Path]]:
        """The definition to run in place of one, and its inputs.

        Raises:
            SandboxUnavailableError, SandboxFaultError: see :meth:`rebuilder.sandbox.protocol.Sandbox.run`.
            StoreError: what is kept cannot be read, or was modified.
        """
        files = dict(inputs)
        place = _BEGINNINGS.get(definition.commands[: len(COMMANDS)])
        if self._kept.largest and _KEPT not in files and place is not None:
            archive = self._made(_environment(definition, place), environment, inputs)
            if archive is not None:
                take = (*_ALONE, "/bin/sh", "-e", "-c", f"mkdir -p {place}; {moved(_unpack(_KEPT), place)}")
                definition = _with(definition, archive[0], _KEPT)
                definition = definition.replace(commands=(take, *definition.commands[len(COMMANDS) :]))
                files[_KEPT] = archive[1]
        if self._kept.largest and definition.commands[0][: len(UNPACK_TOOLS)] == UNPACK_TOOLS:
            definition = self._with_tools(self._with_packages(definition, environment, files), environment, files)
        if self._kept.largest:
            for program in [each for each in definition.inputs if each.role is Role.PROGRAM]:
                path = f"{program.path}{BYTECODE}"
                bytecode = (
                    self._made(_bytecode(definition, program), environment, inputs) if path not in files else None
                )
                if bytecode is not None:
                    definition, files[path] = _with(definition, bytecode[0], path), bytecode[1]
        return definition, files

    def _with_tools(
        self, definition: BuildDefinition, environment: BuildEnvironment, files: dict[str, Path]
    ) -> BuildDefinition:
        """The definition with its tools taken from what is kept, each by itself; as it is where one cannot be."""
        tarballs = definition.commands[0][len(UNPACK_TOOLS) :]
        made = [self._made(_tool(definition, each), environment, files) for each in tarballs]
        taking = [f"mkdir {HOME}"]
        changed, more = definition, dict[str, Path]()
        for number, archive in enumerate(made):
            if archive is None:
                return definition
            path = f"/inputs/prepared/{number}.tar"
            changed, more[path] = _with(changed, archive[0], path), archive[1]
            taking.append(_unpack(path))
        files |= more
        return changed.replace(commands=((*_ALONE, "/bin/sh", "-e", "-c", "; ".join(taking)), *definition.commands[1:]))

    def _with_packages(
        self, definition: BuildDefinition, environment: BuildEnvironment, files: dict[str, Path]
    ) -> BuildDefinition:
        """The definition with what npm installs taken from what is kept; as it is where that is not all there is."""
        path = f"/inputs/{_INSTALLED}"
        run = _installation(definition) if path not in files else None
        size = sum(file.stat().st_size for at, file in files.items() if at.startswith(f"{TARBALLS}/"))
        if run is None or size > _INSTALLED_BYTES:
            return definition
        archive = self._made(run, environment, files, through=True)
        if archive is None:
            return definition
        files[path] = archive[1]
        commands = [
            (*_SHELL, _unpack(path)) if each[: len(INSTALL)] == INSTALL else each for each in definition.commands
        ]
        return _with(definition, archive[0], path).replace(commands=tuple(commands))

    def _made(
        self,
        definition: BuildDefinition,
        environment: BuildEnvironment,
        inputs: Mapping[str, Path],
        *,
        through: bool = False,
    ) -> tuple[Sha256, Path] | None:
        """What the run of a definition leaves, run now if it was not before; None where that is nothing to keep.

        ``through``: Whether it begins itself with what is kept.
        """
        key = definition.digest
        if key in self._cannot:
            return None
        if (found := self._kept.get(key)) is None:
            wanted = {each.path: inputs[each.path] for each in definition.inputs}
            ready, wanted = self.taken(definition, environment, wanted) if through else (definition, wanted)
            run = self._sandbox.run(ready, root=environment.root, layers=environment.layers, inputs=wanted)
            if run.outcome is Outcome.COMPLETED and len(run.outputs) == 1 and run.outputs[0].size <= self._kept.largest:
                self._kept.keep(key, run.outputs[0].sha256)
                found = self._kept.get(key)
        if found is None:
            self._cannot.add(key)
        return found


def _environment(definition: BuildDefinition, place: str) -> BuildDefinition:
    """The run that makes the virtual environment of a definition: all that :data:`COMMANDS` can see, and no more."""
    seen = [each for each in definition.inputs if each.path in {UV, REQUIREMENTS} or each.path.startswith(f"{WHEELS}/")]
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl="pkg:generic/rebuilder-virtual-environment",
        targets=(_NAME,),
        inputs=tuple(each.replace(uri=None) for each in seen),
        toolchain=definition.toolchain,
        commands=_all_moved((VENV, _INSTALL, _COMPILE, ("/bin/sh", "-e", "-c", _pack(f"/out/{_NAME}"))), place),
        environment={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        umask=definition.umask,
    )


def _tool(definition: BuildDefinition, tarball: str) -> BuildDefinition:
    """The run that unpacks one tool of a definition, which sees nothing but our program and its tarball."""
    program = UNPACK_TOOLS[UNPACK_TOOLS.index("tools") - 1]
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl="pkg:generic/rebuilder-tool",
        targets=(_TOOL,),
        inputs=tuple(each.replace(uri=None) for each in definition.inputs if each.path in {program, tarball}),
        toolchain=definition.toolchain,
        commands=((*UNPACK_TOOLS, tarball), ("/bin/sh", "-e", "-c", _pack(f"/out/{_TOOL}", "tools"))),
        environment={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "TZ": "UTC"},
        umask=definition.umask,
    )


def _installation(definition: BuildDefinition) -> BuildDefinition | None:
    """The run that installs the packages of a definition; None where nothing installs there, or another than npm.

    Other package managers leave more than ``node_modules``, or run hooks of the commit. A run of this kind does what
    the commands before do, and installs nothing where the commit has such a directory of its own.
    """
    places = [number for number, each in enumerate(definition.commands) if each[: len(INSTALL)] == INSTALL]
    if len(places) != 1:
        return None
    unpack, *before = definition.commands[: places[0]]
    install = definition.commands[places[0]]
    manager = "".join(install[-len(CLEAN_INSTALL) - 1 : -len(CLEAN_INSTALL)])
    ours = {("checkout",), ("set_version",)}
    if (
        install[-len(CLEAN_INSTALL) :] != CLEAN_INSTALL
        or not manager.startswith(f"{TOOLS}/npm-")
        or any(each[len(INSTALL) - 1 :][:1] not in ours for each in before)
    ):
        return None
    seen = (*definition.environment.get("PATH", "").split(":"), manager)
    tools = unpack[len(UNPACK_TOOLS) :]
    used = [each for each in tools if any(at.startswith(f"{_directory(each)}/") for at in seen)]
    return definition.replace(
        build_type=BUILD_TYPE,
        purl="pkg:generic/rebuilder-packages",
        targets=(_INSTALLED,),
        inputs=tuple(
            each.replace(uri=None) for each in definition.inputs if each.path in used or each.path not in tools
        ),
        commands=(
            (*UNPACK_TOOLS, *used),
            *before,
            (*_SHELL, _BEFORE_INSTALLING),
            install,
            (*_SHELL, _AFTER_INSTALLING),
        ),
        limits=definition.limits.replace(output_bytes=definition.limits.file_bytes),
    )


def _directory(tarball: str) -> str:
    try:
        return directory_of(TOOLS, tarball)
    except ToolRefused:
        return TOOLS  # the command that unpacks it fails


def _bytecode(definition: BuildDefinition, program: Input) -> BuildDefinition:
    """The run that makes the byte code of an application, for the Python of the definition's build environment."""
    out = f"/out/{program.name}{BYTECODE}"
    return BuildDefinition(
        build_type=BUILD_TYPE,
        purl="pkg:generic/rebuilder-bytecode",
        targets=(f"{program.name}{BYTECODE}",),
        inputs=(program,),
        toolchain=definition.toolchain,
        commands=((PYTHON, "-s", "-S", program.path, "bytecode", "--application", program.path, "--out", out),),
        environment={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "TZ": "UTC"},
        limits=PROGRAM_LIMITS,
    )


def _with(definition: BuildDefinition, sha256: Sha256, path: str) -> BuildDefinition:
    name = path.rpartition("/")[2]
    taken = Input(role=Role.PARAMETERS, name=name, sha256=sha256, path=path)
    return definition.replace(inputs=(*definition.inputs, taken))
