"""The family ``source``: making a source tree, for builds that need no program of ours besides."""

from __future__ import annotations

import sys

PROGRAMS = {
    "unpack": "archive.unpack",
    "checkout": "source.checkout",
    "reverse_tree": "source.reverse_tree",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
