"""``python3 guest.pyz PROGRAM ARGUMENTS…``: run one guest program."""

from __future__ import annotations

import importlib
import sys

PROGRAMS = (
    "unpack",
    "checkout",
    "build_sdist",
    "build_wheel",
    "as_windows",
    "inspect_archive",
    "compare_archives",
    "record_archive",
    "finish_archive",
    "reverse_tree",
    "find_published",
)


def main(argv: list[str]) -> int:
    """Run the program named by the first argument; 64 when there is none of that name."""
    if len(argv) < 2 or argv[1] not in PROGRAMS:
        print(f"guest: one of {', '.join(PROGRAMS)} must be named", file=sys.stderr)
        return 64
    program = importlib.import_module(f"rebuilder.guest.{argv[1]}")
    code: int = program.main(argv[2:])
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv))
