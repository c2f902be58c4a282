"""The family ``binary``: what the compiled files in an archive say, and how far compiling them again gives the same."""

from __future__ import annotations

import sys

PROGRAMS = {
    "read_binaries": "binary.read_binaries",
    "compare_binaries": "binary.compare_binaries",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
