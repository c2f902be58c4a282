"""Let the Python of a build environment present itself as an older one to everything that runs on it later."""

from __future__ import annotations

import argparse
import glob
import inspect
import os
import sys

from rebuilder.programs.pypi import older_python

NO_ENVIRONMENT = 66
_NAME = "_older_python"


def main(argv: list[str]) -> int:
    """Run the program: 0, or 66 when there is no such environment."""
    parser = argparse.ArgumentParser(prog="as_python", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    parser.add_argument("--version", required=True, help="such as 3.7")
    options = parser.parse_args(argv)
    found = glob.glob(os.path.join(glob.escape(options.environment), "lib", "python3*", "site-packages"))
    if len(found) != 1:
        print(f"as_python: {options.environment} has {len(found)} directories for packages", file=sys.stderr)
        return NO_ENVIRONMENT
    with open(os.path.join(found[0], f"{_NAME}.py"), "w", encoding="utf-8") as file:
        # The module lies beside this one, in a zip application as a rule.
        file.write(inspect.getsource(older_python))
    # site runs such files in the order of their names: this one before those of packages.
    with open(os.path.join(found[0], f"{_NAME}.pth"), "w", encoding="utf-8") as file:
        file.write(f"import {_NAME}; {_NAME}.present({options.version!r})\n")
    return 0
