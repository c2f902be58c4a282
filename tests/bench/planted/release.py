"""How a release is planted: a project, what its publisher did otherwise, and what was done to the wheel afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from rebuilder.model.diagnosis import Cause
from tests.fakes.projects import Distribution, make_sdist, make_wheel
from tests.fakes.publisher import Machine, Publisher

V = TypeVar("V")
Files = Mapping[str, str | bytes]
PKG = "PKG"
"""Stands for the name of the package, in paths and texts."""
_MAKER = "make_data.py"


@dataclass(frozen=True)
class Family:
    """A real build backend, and what a project for it looks like."""

    module: str
    requires: str
    tools: tuple[str, ...]
    """Wheels that a publisher has installed."""
    toml: str = ""
    hook: str = "in-tree"
    """How a project runs code of its own before files are packed."""


FAMILIES = {
    "minibackend": Family("minibackend", "minibackend==1.0", ("minibackend-1.0",)),
    "flit": Family("flit_core.buildapi", "flit-core", ("flit-core-3.12.0",)),
    "poetry": Family(
        "poetry.core.masonry.api",
        "poetry-core",
        ("poetry-core-2.1.3",),
        '[tool.poetry]\npackages = [{include = "PKG"}]\n',
    ),
    "hatchling": Family(
        "hatchling.build",
        "hatchling",
        (
            "hatchling-1.33.0",
            "packaging-26.3",
            "pathspec-1.1.1",
            "pluggy-1.7.0",
            "tomlkit-0.15.2",
            "trove-classifiers-2026.9.21.13",
        ),
        '[tool.hatch.build.targets.wheel]\npackages = ["PKG"]\n',
        "hatch",
    ),
    "setuptools": Family(
        "setuptools.build_meta",
        "setuptools",
        ("setuptools-80.9.0",),
        '[tool.setuptools.packages.find]\ninclude = ["PKG*"]\n[tool.setuptools.package-data]\n"*" = ["*"]\n',
        "setup.py",
    ),
}
_IN_TREE = """import runpy
from {module} import *
from {module} import build_wheel as _build_wheel

def build_wheel(directory, settings=None, metadata=None):
    runpy.run_path("make_data.py")
    return _build_wheel(directory, settings, metadata)
"""
_SETUP = """import runpy
from setuptools import setup

setup(**runpy.run_path("make_data.py").get("options", {}))
"""
_HATCH = """import runpy
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        build_data.update(runpy.run_path("make_data.py").get("options", {}))
"""
_WRITE = """from pathlib import Path

def write(name, text):
    Path(name).write_bytes(text.encode("utf-8"))

"""
BASE: Files = {
    "PKG/__init__.py": '"""Weaves."""\n',
    "PKG/core.py": "def weave(threads):\n    return list(threads)\n",
    "PKG/notes.txt": "Notes on weaving.\nWarp, weft, heddle.\n",
    "README.md": "# PKG\n\nWeaves threads.\nCaf\N{LATIN SMALL LETTER E WITH ACUTE} not included.\n",
    "LICENSE": "Do what you like.\nThere is no warranty.\n",
}


@dataclass(frozen=True)
class Planted:
    """A release, and the causes that a right diagnosis names; the first of them may be any."""

    what: str
    """What the publisher did, in a few words."""
    backend: str = "minibackend"
    code: str = ""
    """Python that the build runs before it packs; ``write(name, text)`` is there."""
    files: Files = field(default_factory=dict)
    """Of the project, beside :data:`BASE`."""
    differing: Mapping[str, str | bytes | None] = field(default_factory=dict)
    """What the tree has otherwise that the wheel is built from; None: it has not got the file."""
    machine: Machine = field(default_factory=Machine)
    tools: tuple[str, ...] | None = None
    """What the publisher has installed; those of the family when None."""
    more_tools: tuple[str, ...] = ()
    requires: tuple[str, ...] | None = None
    """``build-system.requires``, when not that of the family."""
    project: str = ""
    """TOML added to ``[project]``."""
    toml: str = ""
    """TOML added to the end."""
    build_backend: tuple[str, str, str] | None = None
    """Module, object and directory of a backend in the tree; see :attr:`files`."""
    modes: Mapping[str, int] = field(default_factory=dict)
    """Of files in the tree that the wheel is built from."""
    source_modes: Mapping[str, int] = field(default_factory=dict)
    times: Mapping[str, int] = field(default_factory=dict)
    """The same, seconds since 1970."""
    after: Callable[[Distribution], Distribution] = lambda wheel: wheel
    """What happened to the wheel after it was built."""
    by_hand: Callable[[str], Distribution] | None = None
    """Makes the wheel from the project's name, where no backend here can."""
    sdist: bool = True
    upload_time: bool = True
    requires_python: str | None = None
    """In the index."""
    vary: bool = False
    """Whether one thing is to be changed at a time."""
    causes: tuple[Cause, ...] = ()


def of(cause: Cause, *releases: Planted, **same: Any) -> list[Planted]:
    """Releases with one cause, and with what else is the same for all of them."""
    return [replace(each, causes=(cause,), **same) for each in releases]


@dataclass(frozen=True)
class Release:
    """What is on the index."""

    wheel: Distribution
    sdist: Distribution | None


def release(planted: Planted, name: str, publisher: Publisher) -> Release:
    """Build what the publisher uploaded.

    Raises:
        PublisherError: the backend did not work.
    """
    family = FAMILIES[planted.backend]
    tree = source_tree(planted, name)

    def released(wheel: Distribution) -> Release:
        version = wheel.filename.split("-")[1]
        sdist = make_sdist(name, version, tree, modes=named(planted.source_modes, name))
        return Release(wheel, sdist if planted.sdist else None)

    if planted.by_hand is not None:
        return released(planted.by_hand(name))
    built_from = {**tree}
    for path, content in named(planted.differing, name).items():
        if content is None:
            del built_from[path]
        else:
            built_from[path] = content
    in_tree = planted.code and family.hook == "in-tree"
    module, paths = ("_backend", ["."]) if in_tree else (family.module, [])
    if planted.build_backend is not None:
        module, _, path = planted.build_backend
        paths = [path]
    wheel = publisher.build(
        name,
        built_from,
        planted.machine,
        backend=module,
        paths=paths,
        tools=[*(family.tools if planted.tools is None else planted.tools), *planted.more_tools],
        modes=named(planted.modes, name),
        times=named(planted.times, name),
    )
    return released(planted.after(wheel))


def source_tree(planted: Planted, name: str) -> dict[str, str | bytes]:
    """The files of the source archive."""
    family = FAMILIES[planted.backend]
    requires = [family.requires] if planted.requires is None else list(planted.requires)
    module, paths = family.module, ""
    files: dict[str, str | bytes] = {**BASE, **planted.files}
    toml = family.toml
    if planted.code:
        files[_MAKER] = _WRITE + planted.code
        if family.hook == "in-tree":
            files["_backend.py"] = _IN_TREE.format(module=family.module)
            module, paths = "_backend", 'backend-path = ["."]\n'
        elif family.hook == "hatch":
            files["hatch_build.py"] = _HATCH
            toml += "[tool.hatch.build.hooks.custom]\n"
        else:
            files["setup.py"] = _SETUP
    if planted.build_backend is not None:
        module, paths = planted.build_backend[0], f'backend-path = ["{planted.build_backend[2]}"]\n'
    head = f'[build-system]\nrequires = {requires!r}\nbuild-backend = "{module}"\n{paths}\n'
    version = "" if 'dynamic = ["version"]' in planted.project else 'version = "1.0"\n'
    readme = "" if 'dynamic = ["readme"]' in planted.project else 'readme = "README.md"\n'
    project = f'[project]\nname = "{name}"\n{version}description = "Weaves"\n{readme}{planted.project}'
    files.setdefault("pyproject.toml", f"{head}{project}\n{toml}{planted.toml}")
    return dict(named(files, name))


def named(files: Mapping[str, V], name: str) -> dict[str, V]:
    """The same with the name of the package in paths and texts."""
    package = name.replace("-", "_")
    return {
        path.replace(PKG, package): text.replace(PKG, package) if isinstance(text, str) else text  # type: ignore[misc]
        for path, text in files.items()
    }


def by_hand(**fields: object) -> Callable[[str], Distribution]:
    """A wheel that no backend here makes."""
    return lambda name: make_wheel(name, "1.0", **fields)  # type: ignore[arg-type]
