"""Compiling a build environment's Python modules ahead, since builds cannot write beside them.

Without this every start of the interpreter compiles what it imports again (0.3 s for a handful of modules). The
environment's own interpreter does it, started through the environment's own dynamic loader, so that neither root nor a
namespace is needed. The result is the same wherever and whenever the tree is made: paths are written as a build will
see them, files are bound by their hash instead of their time, modules are compiled in one process in sorted order, and
the hash seed is fixed (before Python 3.11, the sets of constants in byte code come in an order that depends on it).
"""

from __future__ import annotations

from pathlib import Path

from rebuilder.environments.command import CommandError, run
from rebuilder.errors import BuildEnvironmentError

_SECONDS = 300
_LOADERS = tuple(
    f"{lib}/{name}"
    for lib in ("usr/lib/*-linux-gnu*", "lib/*-linux-gnu*", "usr/lib64", "lib64", "lib")
    for name in ("ld-linux*.so.*", "ld-musl*.so.1")
)
"""Where the dynamic loader is, Debian's place first."""
_COMPILE = "import sys; del sys.path[0]; import runpy; runpy.run_module('compileall', run_name='__main__')"
"""``-m compileall`` without the current directory among the places of modules; ``-I`` would ignore the hash seed."""


def compile_modules(root: Path, version: str, *, log: Path, prefix: str = "usr") -> None:
    """Compile the standard library and Debian's modules.

    Args:
        root: The tree.
        version: Of its interpreter, such as ``3.13``.
        log: File for what the compiler prints.
        prefix: Directory of the interpreter's ``bin`` and ``lib``, relative to the tree.

    Raises:
        BuildEnvironmentError: the tree has no such interpreter, or it does not run on this machine.
    """
    python = root / prefix / "bin" / f"python{version}"
    loaders = [each for pattern in _LOADERS for each in sorted(root.glob(pattern)) if each.is_file()]
    if not python.is_file() or not loaders:
        raise BuildEnvironmentError(f"The build environment was made without Python {version}.")
    loader = loaders[0]
    modules = [str(root / prefix / "lib" / f"python{version}"), str(root / "usr/lib/python3")]
    libraries = [loader.parent, *root.glob("usr/lib/*-linux-gnu*"), root / "usr/lib64", root / prefix / "lib"]
    path = ":".join(dict.fromkeys(str(each) for each in libraries))
    options = ["-q", "-f", "-s", str(root), "-p", "/", "--invalidation-mode", "unchecked-hash"]
    # -B: what the compiler itself imports must not be written with the path it has on this machine.
    command = [str(loader), "--library-path", path, str(python), "-B", "-s", "-S", "-c", _COMPILE]
    environment = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "0"}
    try:
        run([*command, *options, *modules], environment=environment, log=log, seconds=_SECONDS)
    except CommandError as error:
        raise BuildEnvironmentError(
            f"Python {version} of the build environment does not run here: {error}.", hint=error.output.strip() or None
        ) from error
