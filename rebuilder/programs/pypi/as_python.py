"""Let the Python of a build environment present itself as an older one to everything that runs on it later."""

from __future__ import annotations

import argparse
import glob
import inspect
import os
import sys

from rebuilder.programs.pypi import older_python

NO_ENVIRONMENT = 66


def main(argv: list[str]) -> int:
    """Run the program: 0, or 66 when there is no such environment."""
    parser = argparse.ArgumentParser(prog="as_python", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    parser.add_argument("--version", required=True, help="such as 3.7")
    options = parser.parse_args(argv)
    # The module lies beside this one, in a zip application as a rule.
    source = inspect.getsource(older_python)
    return install(options.environment, "_older_python", source, f"; _older_python.present({options.version!r})")


def install(environment: str, name: str, source: str, call: str = "") -> int:
    """Have each start of the interpreter import a module: 0, or 66 when there is no such environment.

    Args:
        environment: Directory of the virtual environment.
        name: Of the module.
        source: Its text.
        call: What to do with it then, from ``;`` on.
    """
    found = glob.glob(os.path.join(glob.escape(environment), "lib", "python3*", "site-packages"))
    if len(found) != 1:
        print(f"{environment} has {len(found)} directories for packages", file=sys.stderr)
        return NO_ENVIRONMENT
    # site runs such files in the order of their names: these before those of packages.
    for suffix, text in ((".py", source), (".pth", f"import {name}{call}\n")):
        with open(os.path.join(found[0], f"{name}{suffix}"), "w", encoding="utf-8") as file:
            file.write(text)
    return 0
