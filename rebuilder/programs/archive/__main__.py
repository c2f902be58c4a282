"""The family ``archive``: listing an archive, and writing recorded values into a rebuilt one."""

from __future__ import annotations

import sys

PROGRAMS = {
    "inspect_archive": "archive.inspect_archive",
    "finish_archive": "archive.finish_archive",
    "bytecode": "bytecode",
}
"""Each program, and its module below ``rebuilder.programs``."""

if __name__ == "__main__":
    sys.path.insert(0, f"{sys.argv[0]}.bytecode")
    from rebuilder.programs.command import run

    sys.exit(run(PROGRAMS, sys.argv))
