"""Have a temporary directory of a build get the name that it had for whoever built before.

Backends that compile in a copy of the source leave its place in debugging information. Its name is random, so that no
second build would have it.
"""

from __future__ import annotations

import argparse
import inspect

from rebuilder.programs.pypi import temporary_names
from rebuilder.programs.pypi.as_python import install


def main(argv: list[str]) -> int:
    """Run the program: 0, or 66 when there is no such environment."""
    parser = argparse.ArgumentParser(prog="as_temporary", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    parser.add_argument("--prefix", required=True, help="what the backend lets the name begin with")
    parser.add_argument("--name", required=True, help="what is random in it")
    options = parser.parse_args(argv)
    call = f"; _temporary_names.use({options.prefix!r}, {options.name!r})"
    return install(options.environment, "_temporary_names", inspect.getsource(temporary_names), call)
