"""What needs no compiler is built as ever; what does is left out, or only the metadata is made."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rebuilder.sandbox.program_runner import program_archive

SETUP = """
import sys
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

class Generates(build_py):
    def run(self):
        super().run()
        with open(self.build_lib + "/loom/table.py", "w") as file:
            file.write("TABLE = {}\\n")

class Compiles(build_ext):
    def run(self):
        sys.exit("it compiles")

setup(
    name="loom",
    version="1.0",
    packages=["loom"],
    install_requires=["yarn>=2"],
    cmdclass={"build_py": Generates, "build_ext": Compiles},
    ext_modules=[Extension("loom._weave", ["loom/_weave.c"])],
)
"""
PACKER = """
import os, sys, zipfile
import setuptools
def build_wheel(directory, config_settings=None, metadata_directory=None):
    sys.argv[1:] = ["build", "--build-lib=lib"]
    with open("setup.py") as file:
        exec(file.read(), {"__name__": "__main__"})
    with zipfile.ZipFile(os.path.join(directory, "loom-1.0-py3-none-any.whl"), "w") as archive:
        for name in os.listdir("lib/loom"):
            archive.write("lib/loom/" + name, "loom/" + name)
    return "loom-1.0-py3-none-any.whl"
"""
"""A backend of the source's own, on top of setuptools; one that packs wheels needs more than tests have."""
OTHER = """
import os
def prepare_metadata_for_build_wheel(directory, config_settings=None):
    os.mkdir(os.path.join(directory, "loom-1.0.dist-info"))
    with open(os.path.join(directory, "loom-1.0.dist-info", "METADATA"), "w") as file:
        file.write("Name: loom\\n")
    return "loom-1.0.dist-info"
def build_wheel(directory, config_settings=None, metadata_directory=None):
    raise SystemExit("it compiles")
"""


def built(tmp_path: Path, files: dict[str, str], *options: str) -> tuple[int, dict[str, str]]:
    """Exit code, and the members of the wheel that came out."""
    program, source, out = tmp_path / "pypi.pyz", tmp_path / "src", tmp_path / "out"
    program.write_bytes(program_archive("pypi"))
    for name, text in files.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    command: list[str | Path] = [
        sys.executable,
        program,
        "build_without_compiling",
        "--source",
        source,
        "--out",
        out,
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    members = {}
    for wheel in out.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            members = {each: archive.read(each).decode() for each in archive.namelist()}
    return done.returncode, members


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")


def test_setuptools_without_its_extensions(tmp_path: Path) -> None:
    """Modules are there, generated ones too; no command that compiles was run."""
    files = {"backend.py": PACKER, "setup.py": SETUP, "loom/__init__.py": "", "loom/_weave.c": "#error\n"}
    code, members = built(tmp_path, files, "--backend", "backend", "--backend-path", ".")
    assert (0, {"loom/__init__.py": "", "loom/table.py": "TABLE = {}\n"}) == (code, members)


def test_metadata_alone_of_other_backends(tmp_path: Path) -> None:
    """A backend that is not setuptools is not asked to build."""
    code, members = built(tmp_path, {"backend.py": OTHER}, "--backend", "backend", "--backend-path", ".")
    assert (0, {"loom-1.0.dist-info/METADATA": "Name: loom\n"}) == (code, members)


def test_nothing_without_a_hook_for_metadata(tmp_path: Path) -> None:
    """It fails with the code of a hook that failed."""
    other = OTHER.replace("def prepare_metadata", "def _")
    assert (70, {}) == built(tmp_path, {"backend.py": other}, "--backend", "backend", "--backend-path", ".")
