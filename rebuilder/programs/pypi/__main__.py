"""The family ``pypi``: all that the build definition of a wheel or a source archive runs."""

from __future__ import annotations

import sys

PROGRAMS = {
    "unpack": "archive.unpack",
    "checkout": "source.checkout",
    "reverse_tree": "source.reverse_tree",
    "build_sdist": "pypi.build_sdist",
    "build_wheel": "pypi.build_wheel",
    "build_without_compiling": "pypi.build_without_compiling",
    "as_debian": "pypi.as_debian",
    "as_python_2": "pypi.as_python_2",
    "as_python": "pypi.as_python",
    "as_temporary": "pypi.as_temporary",
    "as_version": "pypi.as_version",
    "as_windows": "pypi.as_windows",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
