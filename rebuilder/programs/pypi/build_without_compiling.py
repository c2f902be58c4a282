"""Build of a source tree what needs no compiler: a wheel without its extension modules, or the metadata of one.

With setuptools the wheel is built as ever, and the commands that compile are left out. Other backends are asked for the
metadata alone (``prepare_metadata_for_build_wheel`` of https://peps.python.org/pep-0517/); a wheel that holds nothing
else is packed from that. What comes out is to be held against the members of a published wheel, never to be installed.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
import zipfile
from typing import Any

from rebuilder.programs.pypi import frontend

COMPILES = {"build_ext", "build_clib", "build_rust"}
"""Commands of setuptools, and of setuptools-rust."""
_TIME = (1980, 1, 1, 0, 0, 0)


class _WithoutCompiling(frontend.BuildProduct):
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


def main(argv: list[str]) -> int:
    """Run the program: 0, or 69 (no such backend), 70 (a hook failed), 73 (nothing came out)."""
    return frontend.run(_WithoutCompiling("wheel", 2), argv)


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
