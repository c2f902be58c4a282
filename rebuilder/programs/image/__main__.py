"""The family ``image``: making a tree of an image that somebody gave."""

from __future__ import annotations

import sys

PROGRAMS = {"unpack_image": "image.unpack_image", "bytecode": "bytecode"}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
