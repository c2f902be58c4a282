"""The last steps of making a tree: the list of its shared libraries, compiled modules, and the form all trees have.

The dynamic loader finds libraries without ``/etc/ld.so.cache``, but ``ctypes.util.find_library`` does not (diffoscope
needs libarchive). The tree's own ``ldconfig`` writes it; it follows links as the tree means them without ``chroot(2)``.

Without compiled modules every start of the interpreter compiles what it imports again (0.3 s for a handful of modules),
since builds cannot write beside them. The tree's own interpreter does it, started through its own dynamic loader, so
that neither root nor a namespace is needed. The result is the same wherever and whenever the tree is made: paths are
written as a build will see them, files are bound by their hash instead of their time, modules are compiled in one
process in sorted order, and the hash seed is fixed (before Python 3.11, the sets of constants in byte code come in an
order that depends on it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rebuilder.environments.command import CommandError, run
from rebuilder.environments.settle import settle
from rebuilder.errors import BuildEnvironmentError

_LIBRARIES_SECONDS, _COMPILE_SECONDS = 60, 300
_LDCONFIG = "usr/sbin/ldconfig"
_LOADERS = tuple(
    f"{lib}/{name}"
    for lib in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib64", "lib64", "lib")
    for name in ("ld-linux*.so.*", "ld-musl*.so.1")
)
"""Where the dynamic loader is, Debian's place first."""
_COMPILE = "import sys; del sys.path[0]; import runpy; runpy.run_module('compileall', run_name='__main__')"
"""``-m compileall`` without the current directory among the places of modules; ``-I`` would ignore the hash seed."""


def finish(
    root: Path, links: Mapping[str, str], prune: Sequence[str] = (), *, python: str | None, prefix: str = "usr"
) -> None:
    """Bring a tree whose files are there into its form; its parent directory takes logs.

    Args:
        root: The tree.
        links: See :func:`rebuilder.environments.settle.settle`.
        prune: See there.
        python: Version of its interpreter, such as ``3.13``; None when it has none.
        prefix: Directory of the interpreter's ``bin`` and ``lib``, relative to the tree.

    Raises:
        BuildEnvironmentError: the tree has no such interpreter, or its programs do not run on this machine.
    """
    settle(root, links, prune)
    if (root / _LDCONFIG).is_file():  # those with another C library need no list
        _list_libraries(root)
    if python is not None:
        _compile_modules(root, python, prefix)
    settle(root, links, prune)


def _list_libraries(root: Path) -> None:
    """No links are made or changed (``-X``)."""
    command = [str(root / _LDCONFIG), "-X", "-r", str(root)]
    try:
        run(command, environment={"LC_ALL": "C.UTF-8"}, log=root.parent / "ldconfig.log", seconds=_LIBRARIES_SECONDS)
    except CommandError as error:
        raise BuildEnvironmentError(
            f"The build environment's list of shared libraries cannot be written: {error}."
        ) from error


def _compile_modules(root: Path, version: str, prefix: str) -> None:
    """Compile the standard library and Debian's modules."""
    python = root / prefix / "bin" / f"python{version}"
    loaders = [each for pattern in _LOADERS for each in sorted(root.glob(pattern)) if each.is_file()]
    if not python.is_file() or not loaders:
        raise BuildEnvironmentError(f"The build environment was made without Python {version}.")
    loader = loaders[0]
    libraries = [loader.parent, *root.glob("usr/lib/*-linux-gnu*"), root / "usr/lib64", root / prefix / "lib"]
    path = ":".join(dict.fromkeys(str(each) for each in libraries))
    command = [str(loader), "--library-path", path, str(python), *compiling(version, str(root), prefix)]
    environment = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    try:
        run(command, environment=environment, log=root.parent / "compile.log", seconds=_COMPILE_SECONDS)
    except CommandError as error:
        raise BuildEnvironmentError(
            f"Python {version} of the build environment does not run here: {error}.", hint=error.output.strip() or None
        ) from error


def compiling(version: str, root: str = "", prefix: str = "usr") -> list[str]:
    """Arguments of an interpreter that compile the modules of the tree at ``root``."""
    places = [f"{root}/{prefix}/lib/python{version}", f"{root}/usr/lib/python3"]
    inside = ["-s", root, "-p", "/"] if root else []
    options = ["-q", "-f", *inside, "--invalidation-mode", "unchecked-hash"]
    # -B: what the compiler itself imports must not be written with the path it has on this machine.
    return ["-B", "-s", "-S", "-c", _COMPILE, *options, *places]
