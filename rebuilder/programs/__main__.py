"""``python3 guest.pyz PROGRAM ARGUMENTS…``: run one guest program."""

from __future__ import annotations

import importlib
import sys

PROGRAMS = {
    "unpack": "archive",
    "inspect_archive": "archive",
    "record_archive": "archive",
    "finish_archive": "archive",
    "compare_archives": "compare",
    "find_published": "compare",
    "checkout": "source",
    "reverse_tree": "source",
    "build_sdist": "pypi",
    "build_wheel": "pypi",
    "as_windows": "pypi",
}
"""Each program, and the folder it is in."""


def main(argv: list[str]) -> int:
    """Run the program named by the first argument; 64 when there is none of that name."""
    if len(argv) < 2 or argv[1] not in PROGRAMS:
        print(f"guest: one of {', '.join(PROGRAMS)} must be named", file=sys.stderr)
        return 64
    program = importlib.import_module(f"rebuilder.programs.{PROGRAMS[argv[1]]}.{argv[1]}")
    code: int = program.main(argv[2:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
