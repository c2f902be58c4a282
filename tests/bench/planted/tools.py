"""Planted by what built it: another tool, another Python, another dependency, other options, another version."""

from __future__ import annotations

from typing import Any

from rebuilder.model.diagnosis import Cause
from tests.bench.planted.release import Planted, of
from tests.fakes.projects import make_wheel
from tests.fakes.publisher import Machine

OLDER = Machine(environment="bookworm")
HELPERS = [
    make_wheel(
        "loomhelper",
        version,
        {"loomhelper.py": f'__version__ = "{version}"\n\ndef table():\n    return "{words}"\n'},
        generator="by-hand 1",
    )
    for version, words in (("1.4.2", "warp weft"), ("2.0.1", "warp weft"))
]
WITH_HELPER = ("loomhelper-1.4.2",)
_HIDDEN = """import base64
import hashlib
import os
import zipfile
from {module} import *
from {module} import build_wheel as _build_wheel

def build_wheel(directory, settings=None, metadata=None):
    name = _build_wheel(directory, settings, metadata)
    path = os.path.join(directory, name)
    with zipfile.ZipFile(path) as archive:
        members = [(each, archive.read(each)) for each in archive.infolist()]
    [(described, content)] = [each for each in members if each[0].filename.endswith(".dist-info/WHEEL")]
    lines = content.split(b"\\n")
    lines = [b"Generator: house-build 3" if each.startswith(b"Generator:") else each for each in lines]
    written = b"\\n".join(lines)
    digest = base64.urlsafe_b64encode(hashlib.sha256(written).digest()).decode().rstrip("=")
    row = f"{{described.filename}},sha256={{digest}},{{len(written)}}"
    with zipfile.ZipFile(path, "w") as archive:
        for info, content in members:
            if info is described:
                content = written
            elif info.filename.endswith(".dist-info/RECORD"):
                rows = content.decode().splitlines()
                rows = [row if each.startswith(described.filename) else each for each in rows]
                content = ("\\n".join(rows) + "\\n").encode()
            archive.writestr(info, content)
    return name
"""
"""A backend in the tree that puts its own name where that of the tool stands, so that nobody can know the tool."""


POETRY = """[build-system]
requires = ["poetry-core"]
build-backend = "{module}"
{paths}
[tool.poetry]
name = "PKG"
version = "1.0"
description = "Weaves"
authors = ["Ann <ann@example.org>"]
license = "MIT"
readme = "README.md"
packages = [{{include = "PKG"}}]

[tool.poetry.dependencies]
python = ">=3.8"
weft = ">=1,<2"
"""


def hidden(backend: str, module: str, *tools: str, what: str, **fields: Any) -> Planted:
    """Packed by an older tool whose name does not show."""
    place = {"build_tools/house_build.py": _HIDDEN.format(module=module)}
    return Planted(
        what,
        backend,
        build_backend=("house_build", "", "build_tools"),
        files=place | fields.pop("files", {}),
        tools=tools,
        project='dependencies = ["weft>=1,<2", "warp (>=3)"]\n'
        if backend != "flit"
        else 'dependencies = ["weft>=1,<2"]\n',
        **fields,
    )


HATCH = ("packaging-26.3", "pathspec-1.1.1", "pluggy-1.7.0", "trove-classifiers-2026.9.21.13")
FROM_VARIABLE = Machine(variables={"RELEASE": "3.2.1"})
PLANTED = [
    *of(
        Cause.TOOL_VERSION,
        hidden("flit", "flit_core.buildapi", "flit-core-3.8.0", what="an older flit-core behind a backend of the tree"),
        hidden("hatchling", "hatchling.build", "hatchling-1.21.1", *HATCH, what="an older hatchling, likewise"),
        hidden(
            "poetry",
            "poetry.core.masonry.api",
            "poetry-core-1.9.1",
            what="an older poetry-core, likewise",
            files={"pyproject.toml": POETRY.format(module="house_build", paths='backend-path = ["build_tools"]')},
        ),
        hidden(
            "setuptools",
            "setuptools.build_meta",
            "setuptools-65.5.1",
            "wheel-0.45.1",
            what="an older setuptools, likewise",
            machine=OLDER,
        ),
        Planted(
            "an older setuptools with a wheel that is there",
            "setuptools",
            tools=("setuptools-65.5.1", "wheel-0.45.1"),
            machine=OLDER,
            project='license = {text = "MIT"}\n',
        ),
    ),
    *of(
        Cause.INTERPRETER_VERSION,
        Planted(
            "requirements worked out by setup.py",
            "setuptools",
            code=(
                "import sys\n"
                'options = {"install_requires": ["weft"] + (["warp"] if sys.version_info < (3, 12) else [])}\n'
            ),
            project='dynamic = ["dependencies"]\n',
        ),
        Planted(
            "a line with the version of Python",
            "hatchling",
            code='import platform\nwrite("PKG/made.txt", f"made with Python {platform.python_version()[:4]}\\n")\n',
        ),
        Planted(
            "a file named for the version",
            "flit",
            code='import sys\nv = "%d%d" % sys.version_info[:2]\nwrite(f"PKG/table-cp{v}.txt", "the same\\n")\n',
        ),
        Planted(
            "a module per Python, one is packed",
            "setuptools",
            files={"PKG_py311.py": "x = 311\n", "PKG_py313.py": "x = 313\n"},
            code='import sys\noptions = {"py_modules": ["PKG_py%d%d" % sys.version_info[:2]]}\n',
        ),
        machine=OLDER,
    ),
    *of(
        Cause.DEPENDENCY_DRIFT,
        Planted(
            "the version of a helper in a comment",
            "setuptools",
            code="import loomhelper\n"
            'head = f"# written by loomhelper {loomhelper.__version__}\\n"\n'
            'write("PKG/table.py", f"{head}table = {loomhelper.table()!r}\\n")\n',
            requires=("setuptools", "loomhelper"),
        ),
        Planted(
            "the version of a helper in JSON",
            "hatchling",
            code="import json, loomhelper\n"
            'write("PKG/table.json", json.dumps({"loomhelper": loomhelper.__version__}) + "\\n")\n',
            requires=("hatchling", "loomhelper"),
        ),
        Planted(
            "the version of a helper in a header",
            "flit",
            code="import loomhelper\n"
            'write("PKG/table.h", f"/* Generated by loomhelper {loomhelper.__version__} */\\n#define LOOM 1\\n")\n',
            requires=("flit-core", "loomhelper"),
        ),
        more_tools=WITH_HELPER,
    ),
    *of(
        Cause.GENERATED_FILES,
        Planted(
            "a build number from a variable",
            "setuptools",
            code="import os\nwrite(\"PKG/_build.py\", f\"number = '{os.environ.get('BUILD', 'none')}'\\n\")\n",
            machine=Machine(variables={"BUILD": "nightly-4711"}),
        ),
        Planted(
            "a catalogue of messages only there",
            "hatchling",
            code='import os\nif os.environ.get("CATALOGUES"): Path("PKG/de.mo").write_bytes(b"\\xde\\x12\\x04\\x95")\n',
            machine=Machine(variables={"CATALOGUES": "1"}),
        ),
        Planted(
            "a version file only there",
            "flit",
            code='import os\nif os.environ.get("CI"): write("PKG/_version.py", "version = \'1.0\'\\n")\n',
            machine=Machine(variables={"CI": "true"}),
        ),
        Planted(
            "a bundle that is made when building",
            "setuptools",
            code="import os\n"
            'write("PKG/bundle.js", "function f(){}\\n" if os.environ.get("MINIFY") else "function f() {\\n}\\n")\n',
            machine=Machine(variables={"MINIFY": "1"}),
        ),
    ),
    *of(
        Cause.NAME_OR_TAG,
        Planted(
            "said to be for a platform by a variable",
            "setuptools",
            code="import os\n"
            "from setuptools.dist import Distribution\n"
            "class Binary(Distribution):\n"
            "    def has_ext_modules(self): return True\n"
            'options = {"distclass": Binary} if not os.environ.get("PURE") else {}\n',
            machine=Machine(variables={"PURE": "1"}),
        ),
        Planted(
            "another tag by a hook",
            "hatchling",
            code='import os\noptions = {"tag": os.environ.get("TAG", "py3-none-any")}\n',
            machine=Machine(variables={"TAG": "cp310-none-any"}),
        ),
        Planted(
            "an option that was taken out again",
            differing={
                "pyproject.toml": (
                    '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "minibackend"\n'
                    '[project]\nname = "PKG"\nversion = "1.0"\n[tool.minibackend]\ntag = "cp311-none-any"\n'
                )
            },
        ),
    ),
    *of(
        Cause.OTHER_VERSION,
        Planted(
            "the version from a variable",
            "setuptools",
            code='import os\noptions = {"version": os.environ.get("RELEASE", "0.0.0")}\n',
            project='dynamic = ["version"]\n',
            machine=FROM_VARIABLE,
        ),
        Planted(
            "the configuration had another version",
            differing={
                "pyproject.toml": (
                    '[build-system]\nrequires = ["minibackend==1.0"]\nbuild-backend = "minibackend"\n'
                    '[project]\nname = "PKG"\nversion = "3.2.1"\n'
                )
            },
        ),
        Planted(
            "the module had another version",
            "flit",
            project='dynamic = ["version"]\n',
            files={"PKG/__init__.py": '"""Weaves."""\n__version__ = "3.2.0"\n'},
            differing={"PKG/__init__.py": '"""Weaves."""\n__version__ = "3.2.1"\n'},
        ),
    ),
    *of(
        Cause.UNPUBLISHED_TOOL,
        Planted("a release that the index has not got", "flit", tools=("flit-core-3.8.0",)),
        Planted("a release that the index has not got", "hatchling", tools=("hatchling-1.21.1", *HATCH)),
        Planted(
            "a release that the index has not got",
            "poetry",
            files={"pyproject.toml": POETRY.format(module="poetry.core.masonry.api", paths="")},
            tools=("poetry-core-1.9.1",),
        ),
    ),
]
