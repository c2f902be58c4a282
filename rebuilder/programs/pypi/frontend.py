"""Call a build backend the way PEP 517 asks a frontend to (https://peps.python.org/pep-0517/).

Runs on the interpreter of the build environment. The hook that names further requirements is run before every
build, in a process of its own, since frontends do so and some backends leave files in the source tree then.

With setuptools the wheel is built as ever, and the commands that compile are left out. Other backends are asked for the
metadata alone (``prepare_metadata_for_build_wheel`` of https://peps.python.org/pep-0517/); a wheel that holds nothing
else is packed from that. What comes out is to be held against the members of a published wheel, never to be installed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
import traceback
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

from rebuilder.programs.command import BYTECODE

USAGE, NO_BACKEND, HOOK_FAILED, NO_OUTPUT = 64, 69, 70, 73

_MOST_REQUIREMENTS = 200
_LEGACY = "__legacy__"
"""What setuptools has since 40.8 for sources that name no backend: its hooks, with the source on the path."""


class BuildProduct(NamedTuple):
    """What is to be built."""

    name: str
    """``wheel`` or ``sdist``."""
    arguments: int
    """How many arguments the hook takes after the directory: settings, and of a wheel what there is not."""

    @property
    def program(self) -> str:
        """Name of the sandbox program, and of the hook."""
        return f"build_{self.name}"

    @property
    def requires_hook(self) -> str:
        """The hook that names further requirements."""
        return f"get_requires_for_build_{self.name}"

    def build(self, backend: Any, out: str, settings: dict[str, Any]) -> Any:
        """Call the hook; gives what it gave."""
        return getattr(backend, self.program)(out, *(settings, None)[: self.arguments])


WHEEL, SDIST = BuildProduct("wheel", 2), BuildProduct("sdist", 1)


def run(product: BuildProduct, argv: list[str]) -> int:
    """Run a program: 0, or 69 (no such backend), 70 (a hook failed), 73 (nothing came out)."""
    parser = argparse.ArgumentParser(prog=product.program, allow_abbrev=False)
    parser.add_argument("--backend", required=True, help="module, or module:object")
    parser.add_argument("--backend-path", action="append", default=[], help="directory in the source, for sys.path")
    parser.add_argument("--source", required=True, help="directory with the source tree")
    parser.add_argument("--out", help=f"directory for the {product.name}")
    parser.add_argument("--config-setting", action="append", default=[], help="NAME=VALUE, for the hooks")
    parser.add_argument("--requires-only", action="store_true", help="only ask what else the build requires")
    parser.add_argument("--result", help="with --requires-only: JSON file to write")
    options = parser.parse_args(argv)
    if not (options.result if options.requires_only else options.out):
        parser.error("--out is required, or --requires-only with --result")

    settings = _settings(options.config_setting)
    if options.out:
        os.makedirs(options.out, exist_ok=True)
    os.chdir(options.source)
    _leave_no_trace(options.backend)
    try:
        backend = load_backend(options.backend, options.backend_path)
    except (Exception, SystemExit):  # noqa: BLE001 - anything may come out of a backend
        traceback.print_exc()
        print(f"{product.program}: the backend {options.backend} cannot be imported", file=sys.stderr)
        return NO_BACKEND
    if options.requires_only:
        return _requires(product, backend, settings, options.result)
    code = _in_child(lambda: _requires(product, backend, settings, None))
    return code or _build(product, backend, options.out, settings)


def build_sdist(argv: list[str]) -> int:
    """Build a source archive from a source tree with the project's own backend."""
    return run(SDIST, argv)


def build_wheel(argv: list[str]) -> int:
    """Build a wheel from a source tree with the project's own backend."""
    return run(WHEEL, argv)


def _settings(told: list[str]) -> dict[str, Any]:
    """Settings as frontends give them; options that setuptools passes on are a list, which all releases of it take."""
    settings: dict[str, Any] = {}
    for each in told:
        name, _, value = each.partition("=")
        if name == "--global-option":
            settings.setdefault(name, []).append(value)
        else:
            settings[name] = value
    return settings


def load_backend(name: str, paths: list[str]) -> Any:
    """Import ``module`` or ``module:object``; ``paths`` (relative to the source) go first on ``sys.path``.

    Raises:
        Exception: whatever importing it raises; ImportError when it is found outside ``paths``.
    """
    in_tree = [os.path.abspath(path) for path in paths]
    sys.path[:0] = in_tree
    module_name, _, attributes = name.partition(":")
    module = importlib.import_module(module_name)
    origin = os.path.abspath(getattr(module, "__file__", None) or "")
    if in_tree and not any(origin.startswith(path + os.sep) for path in in_tree):
        raise ImportError(f"{module_name} was found at {origin}, not in {', '.join(paths)}")
    backend: Any = module
    for attribute in filter(None, attributes.split(".")):
        if attribute == _LEGACY and not hasattr(backend, attribute):
            sys.path.insert(0, os.getcwd())
            break
        backend = getattr(backend, attribute)
    return backend


def _leave_no_trace(backend: str) -> None:
    """Take this program out of the interpreter the backend will see."""
    places = (sys.argv[0], f"{sys.argv[0]}{BYTECODE}")
    sys.path[:] = [each for each in sys.path if each not in places]
    for place in places:
        sys.path_importer_cache.pop(place, None)
    for name in [name for name in sys.modules if name == "rebuilder" or name.startswith("rebuilder.")]:
        del sys.modules[name]
    sys.argv[:] = [backend]
    sys.stdout.flush()


def _requires(product: BuildProduct, backend: Any, settings: dict[str, Any], result: str | None) -> int:
    hook = getattr(backend, product.requires_hook, None)
    try:
        requires = hook(dict(settings)) if hook else []
    except (Exception, SystemExit):  # noqa: BLE001 - anything may come out of a backend
        return _hook_failed(product, product.requires_hook)
    if not isinstance(requires, list) or not all(isinstance(each, str) for each in requires):
        print(f"{product.program}: {product.requires_hook} gave no list of texts", file=sys.stderr)
        return HOOK_FAILED
    if len(requires) > _MOST_REQUIREMENTS:
        print(f"{product.program}: the backend asks for {len(requires)} requirements", file=sys.stderr)
        return HOOK_FAILED
    print(f"{product.program}: the backend requires {', '.join(requires) or 'nothing more'}", flush=True)
    if result:
        with open(result, "w", encoding="utf-8") as file:
            json.dump({"requires": requires}, file)
    return 0


def _build(product: BuildProduct, backend: Any, out: str, settings: dict[str, Any]) -> int:
    try:
        filename = product.build(backend, out, settings)
    except (Exception, SystemExit):  # noqa: BLE001 - anything may come out of a backend
        return _hook_failed(product, product.program)
    if not isinstance(filename, str) or not os.path.isfile(os.path.join(out, os.path.basename(filename))):
        print(f"{product.program}: the backend says it wrote {filename!r}, which is not there", file=sys.stderr)
        return NO_OUTPUT
    print(f"{product.program}: {os.path.basename(filename)}", flush=True)
    return 0


def _hook_failed(product: BuildProduct, hook: str) -> int:
    traceback.print_exc()
    sys.stdout.flush()
    print(f"{product.program}: the backend's {hook} failed", file=sys.stderr)
    return HOOK_FAILED


def _in_child(task: Callable[[], int]) -> int:
    """Run a task in a forked process, so that nothing it leaves in memory reaches the build."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = HOOK_FAILED
        try:
            code = task()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


COMPILES = {"build_ext", "build_clib", "build_rust"}
"""Commands of setuptools, and of setuptools-rust."""
_TIME = (1980, 1, 1, 0, 0, 0)


class _WithoutCompiling(BuildProduct):
    @property
    def program(self) -> str:
        """Name of the sandbox program."""
        return "build_without_compiling"

    def build(self, backend: Any, out: str, settings: dict[str, Any]) -> Any:
        """Build the wheel, or pack the metadata; gives the name of the file."""
        if "setuptools" in sys.modules and hasattr(backend, "build_wheel"):
            _leave_out_compiling()
            return backend.build_wheel(out, settings, None)
        with tempfile.TemporaryDirectory() as directory:
            info = backend.prepare_metadata_for_build_wheel(directory, settings)
            name = f"{info[: -len('.dist-info')]}-py3-none-any.whl"
            _pack(directory, os.path.join(out, name))
        return name


def build_without_compiling(argv: list[str]) -> int:
    """Build what needs no compiler: 0, or 69 (no such backend), 70 (a hook failed), 73 (nothing came out)."""
    return run(_WithoutCompiling("wheel", 2), argv)


def _leave_out_compiling() -> None:
    """Have setuptools go on without the commands that compile."""
    distribution: Any = importlib.import_module("setuptools.dist").Distribution
    run_command = distribution.run_command

    def run_others(self: Any, command: str) -> None:
        if command in COMPILES:
            self.have_run[command] = 1
        else:
            run_command(self, command)

    distribution.run_command = run_others


def _pack(directory: str, path: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for folder, _, names in sorted(os.walk(directory)):
            for name in sorted(names):
                place = os.path.join(folder, name)
                with open(place, "rb") as file:
                    archive.writestr(zipfile.ZipInfo(os.path.relpath(place, directory), _TIME), file.read())
