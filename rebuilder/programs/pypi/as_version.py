"""Have a tool of a build environment call itself by the version of another release of its series.

Some releases were taken back from the index. What they wrote names them; what they did is, in such a series, what the
release beside them does. The version is replaced where the tool has it: in its metadata, and where a module assigns it.
"""

from __future__ import annotations

import argparse
import csv
import glob
import os
import re
import sys

from rebuilder.programs.pypi.as_debian import read, rewrite

NO_TOOL = 73
_METADATA = "METADATA"


def main(argv: list[str]) -> int:
    """Run the program: 0, or 73 when there is no such tool."""
    parser = argparse.ArgumentParser(prog="as_version", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    parser.add_argument("--tool", required=True, help="name of the distribution")
    parser.add_argument("--version", required=True, help="what it is to call itself")
    options = parser.parse_args(argv)
    folder = os.path.join(glob.escape(options.environment), "lib/python3*/site-packages/*.dist-info")
    wanted = re.compile(rf"{re.sub('[-_.]+', '[-_.]', options.tool)}-[^-]+\.dist-info", re.IGNORECASE)
    found = [path for path in glob.glob(folder) if wanted.fullmatch(os.path.basename(path))]
    if len(found) != 1:
        print(f"as_version: the environment has {len(found)} tools called {options.tool}", file=sys.stderr)
        return NO_TOOL
    _rename(found[0], options.version)
    return 0


def _rename(info: str, version: str) -> None:
    metadata = read(os.path.join(info, _METADATA))
    before = re.search(r"^Version: (\S+)$", metadata, re.MULTILINE)
    if before is None:
        return
    rewrite(os.path.join(info, _METADATA), metadata.replace(before[0], f"Version: {version}", 1))
    assigned = re.compile(rf"^(\w*version\w* *(?:: *\w+ *)?= *)(['\"]){re.escape(before[1])}\2", re.MULTILINE | re.I)
    packages = os.path.dirname(info)
    with open(os.path.join(info, "RECORD"), encoding="utf-8", newline="") as file:
        modules = [row[0] for row in csv.reader(file) if row and row[0].endswith(".py") and not row[0].startswith("..")]
    for module in modules:
        text = read(os.path.join(packages, module))
        changed = assigned.sub(lambda match: f"{match[1]}{match[2]}{version}{match[2]}", text)
        if changed != text:
            rewrite(os.path.join(packages, module), changed)
