"""Run a project's ``setup.py`` as ``python setup.py …`` does, and let it wait where a plan says so."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from typing import List

from rebuilder.guest import pace


def main(argv: List[str]) -> int:
    """Run the program: what ``setup.py`` ends with."""
    parser = argparse.ArgumentParser(prog="run_setup", allow_abbrev=False)
    parser.add_argument("--source", required=True, help="directory with setup.py")
    parser.add_argument("--pace", required=True, help="plan; see rebuilder.guest.pace")
    parser.add_argument("arguments", nargs="*", help="for setup.py, after --")
    options = parser.parse_args(argv)
    os.chdir(options.source)
    pace.install(options.pace)
    for name in [name for name in sys.modules if name == "rebuilder" or name.startswith("rebuilder.")]:
        del sys.modules[name]
    sys.argv[:] = ["setup.py", *options.arguments]
    sys.path[0] = options.source
    runpy.run_path("setup.py", run_name="__main__")
    return 0
