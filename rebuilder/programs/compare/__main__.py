"""The family ``compare``: comparing two archives, and looking for the published file among the inputs."""

from __future__ import annotations

import sys

PROGRAMS = {
    "compare_archives": "compare.compare_archives",
    "find_published": "compare.find_published",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
