"""With which command line setuptools packed a wheel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rebuilder.ecosystems.pypi.command_line import (
    NO_SCRIPT,
    PLAIN_SCRIPT,
    SCRIPT,
    name_parts,
    own_directory,
    setup_command,
)
from rebuilder.ecosystems.pypi.requirements import BuildSystem, read_build_system
from rebuilder.ecosystems.pypi.wheel_traces import WheelTraces, read_traces
from rebuilder.model.evidence import Inspection, Member, MemberKind

NO_PYPROJECT = read_build_system(None)
DECLARED = read_build_system('[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n')
FLIT = read_build_system('[build-system]\nrequires = ["flit_core"]\nbuild-backend = "flit_core.buildapi"\n')


def traces(*tags: str, generator: str = "bdist_wheel (0.37.1)") -> WheelTraces:
    """Of a wheel with these tags."""
    lines = "".join(f"Tag: {each}-none-any\n" for each in tags)
    texts = {
        "x-1.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: {generator}\n{lines}",
        "x-1.dist-info/METADATA": "Metadata-Version: 2.1\n",
    }
    members = tuple(Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00") for name in texts)
    return read_traces(Inspection(format="zip", members=members, texts=texts))


@pytest.mark.parametrize(
    ("tags", "setup_cfg", "filename", "expected"),
    [
        (("py2", "py3"), None, "x-1-py2.py3-none-any.whl", ("--universal",)),
        (("py2", "py3"), "[bdist_wheel]\nuniversal = 1\n", "x-1-py2.py3-none-any.whl", ()),
        (("py2", "py3"), "[wheel]\nuniversal = true\n", "x-1-py2.py3-none-any.whl", ()),
        (("py2",), None, "x-1-py2-none-any.whl", ("--python-tag=py2",)),
        (("py37",), "[bdist_wheel]\npython_tag = py37\n", "x-1-py37-none-any.whl", ()),
        (("py3",), None, "x-1-2-py3-none-any.whl", ("--build-number=2",)),
        (("py3",), "[broken", "x-1-py3-none-any.whl", ()),
        (("py\uff13\u0664",), None, "x-1-py3-none-any.whl", ()),
        (("x --y",), None, "x-1-py3-none-any.whl", ()),
    ],
)
def test_options(tags: tuple[str, ...], setup_cfg: str | None, filename: str, expected: tuple[str, ...]) -> None:
    """What shows in the tags and not in setup.cfg was an option."""
    found = setup_command(traces(*tags), filename, NO_PYPROJECT, setup_py="setup()", setup_cfg=setup_cfg)
    assert found is not None
    assert expected == found.options


@pytest.mark.parametrize(
    ("system", "generator", "setup_py", "tags", "expected"),
    [
        (NO_PYPROJECT, "bdist_wheel (0.37.1)", "setup()", ("py3",), True),
        (NO_PYPROJECT, "setuptools (75.0.0)", "setup()", ("py3",), False),
        (DECLARED, "bdist_wheel (0.37.1)", "setup()", ("py3",), False),
        (DECLARED, "bdist_wheel (0.37.1)", "setup()", ("py2", "py3"), True),
        (NO_PYPROJECT, "flit 3.9.0", "setup()", ("py2", "py3"), False),
        (NO_PYPROJECT, "bdist_wheel (0.37.1)", None, ("py3",), False),
        (DECLARED, "setuptools (80.9.0)", None, ("py311",), True),
        (DECLARED, "setuptools (80.9.0)", None, ("py3",), False),
        (FLIT, "setuptools (80.9.0)", None, ("py311",), False),
        (FLIT, "setuptools (80.9.0)", "setup()", ("py3",), True),
        (FLIT, "bdist_wheel (0.37.1)", "setup()", ("py3",), True),
        (FLIT, "flit 3.9.0", "setup()", ("py3",), False),
        (FLIT, "bdist_wheel (0.37.1)", None, ("py3",), False),
    ],
)
def test_when(system: BuildSystem, generator: str, setup_py: str | None, tags: tuple[str, ...], expected: bool) -> None:
    """setup.py is run where no backend is named, or another than made it, or options were given that hooks lack."""
    found = setup_command(
        traces(*tags, generator=generator), "x-1-py3-none-any.whl", system, setup_py=setup_py, setup_cfg=None
    )
    assert expected == (found is not None)
    assert found is None or found.script == (NO_SCRIPT if setup_py is None else SCRIPT)


@pytest.mark.parametrize("tags", [("py3",), ("py2", "py3")])
@pytest.mark.parametrize(
    ("setup_py", "expected"),
    [
        ("from distutils.core import setup\nsetup()", PLAIN_SCRIPT),
        ("import os\n  import distutils.core\nsetup()", PLAIN_SCRIPT),
        ("try: from setuptools import setup\nexcept ImportError:\n  from distutils.core import setup", SCRIPT),
        ("from other import setup", SCRIPT),
    ],
)
def test_script_of_distutils_alone(setup_py: str, tags: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """It has no command that makes wheels: whoever runs it imports setuptools before, as pip does."""
    found = setup_command(traces(*tags), "x-1-py3-none-any.whl", NO_PYPROJECT, setup_py=setup_py, setup_cfg=None)
    assert found is not None
    assert expected == found.script


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("x-1-py3-none-any.whl", (None, "py3", "none", "any")),
        ("x-1-2b-py2.py3-none-win_amd64.whl", ("2b", "py2.py3", "none", "win_amd64")),
        ("x-1--py3-none-any.whl", (None, "py3", "none", "any")),
        ("x.whl", (None, "", "", "")),
    ],
)
def test_name_parts(filename: str, expected: tuple[str | None, str, str, str]) -> None:
    """Build number and tags; nothing of a name that is none."""
    assert expected == name_parts(filename)


def test_platform_tag() -> None:
    """A wheel with no compiled code that is tagged for a platform was given the tag; one that is not pure was not."""
    tagged = traces("py3")
    assert ("--plat-name=win_amd64",) == options(tagged, "x-1-py3-none-win_amd64.whl")
    assert () == options(replace(tagged, root_is_purelib=False), "x-1-py3-none-win_amd64.whl")
    assert ("--build-number=3",) == options(tagged, "x-1-3-cp311-cp311-win_amd64.whl")


def options(found: WheelTraces, filename: str) -> tuple[str, ...]:
    """Of a project that declares its backend and has no ``setup.py``."""
    command = setup_command(found, filename, DECLARED, setup_py=None, setup_cfg=None)
    return () if command is None else command.options


@pytest.mark.parametrize(
    ("names", "top", "expected"),
    [
        (["x-1/src/x/__init__.py", "x-1/tests/data/x/__init__.py"], "x-1", "src"),
        (["x-1/x/__init__.py"], "x-1", ""),
        (["x-1/setup.py"], "x-1", None),
        (["src/x/__init__.py"], "", "src"),
    ],
)
def test_own_directory(names: list[str], top: str, expected: str | None) -> None:
    """Where the package lies, nearest to the top."""
    members = tuple(Member(name=name, kind=MemberKind.FILE, size=1, mtime="2020-01-01T00:00:00") for name in names)
    assert expected == own_directory(Inspection(format="tar.gz", members=members), top, "x")
