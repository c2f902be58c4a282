"""Let the Python of a build environment read headers as Python 2 does: an empty first line is dropped.

``email`` of Python 2 strips what stands behind the colon before it adds the lines that follow, so that a description
that begins with an empty line comes out of PKG-INFO without it. Nothing else of the interpreter changes.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys

NO_ENVIRONMENT = 66
_NAME = "_python_2_headers"
_MODULE = """\
from email._policybase import Compat32


def header_source_parse(self, sourcelines):
    name, _, value = sourcelines[0].partition(":")
    return name, (value.lstrip() + "".join(sourcelines[1:])).rstrip("\\r\\n")


Compat32.header_source_parse = header_source_parse
"""


def main(argv: list[str]) -> int:
    """Run the program: 0, or 66 when there is no such environment."""
    parser = argparse.ArgumentParser(prog="as_python_2", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    options = parser.parse_args(argv)
    found = glob.glob(os.path.join(glob.escape(options.environment), "lib", "python3*", "site-packages"))
    if len(found) != 1:
        print(f"as_python_2: {options.environment} has {len(found)} directories for packages", file=sys.stderr)
        return NO_ENVIRONMENT
    for suffix, text in ((".py", _MODULE), (".pth", f"import {_NAME}\n")):
        with open(os.path.join(found[0], f"{_NAME}{suffix}"), "w", encoding="utf-8") as file:
            file.write(text)
    return 0
