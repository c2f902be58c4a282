"""The family ``npm``: all that the build definition of an npm tarball runs."""

from __future__ import annotations

import sys

PROGRAMS = {
    "checkout": "source.checkout",
    "tools": "npm.tools",
    "install": "npm.install",
    "scripts": "npm.scripts",
    "set_version": "npm.set_version",
    "pack": "npm.pack",
    "read_packer": "npm.read_packer",
    "reverse_tree": "source.reverse_tree",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
