"""Let the Python of a build environment read headers as Python 2 does: an empty first line is dropped.

``email`` of Python 2 strips what stands behind the colon before it adds the lines that follow, so that a description
that begins with an empty line comes out of PKG-INFO without it. Nothing else of the interpreter changes.
"""

from __future__ import annotations

import argparse

from rebuilder.programs.pypi.as_python import install

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
    return install(options.environment, "_python_2_headers", _MODULE)
