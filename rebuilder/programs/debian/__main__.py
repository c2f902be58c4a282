"""The family ``debian``: what packages say of their own build."""

from __future__ import annotations

import sys

PROGRAMS = {
    "read_changelog": "debian.read_changelog",
    "compare_traces": "debian.compare_traces",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
