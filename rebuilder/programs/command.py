"""Runs the program of a family that is named on the command line."""

from __future__ import annotations

import importlib
import sys

BYTECODE = ".bytecode"
"""What the name of a zip application is followed by in the name of its byte code, where somebody has made that: its
``__main__`` puts that file before the application among the places of modules."""


def run(programs: dict[str, str], argv: list[str]) -> int:
    """Run one program, and give its exit code.

    Args:
        programs: One of :data:`rebuilder.programs.families.PROGRAMS`.
        argv: The name of the application, the program, and the program's arguments.

    Returns:
        What the program says; 64 when there is none of that name (EX_USAGE of sysexits.h).
    """
    if len(argv) < 2 or argv[1] not in programs:
        print(f"{argv[0]}: one of {', '.join(programs)} must be named", file=sys.stderr)
        return 64
    module, _, function = programs[argv[1]].partition(":")
    code: int = getattr(importlib.import_module(f"rebuilder.programs.{module}"), function or "main")(argv[2:])
    return code
