"""Run a build, then put the members of the wheel it leaves in a given order, as the order of a directory would have.

Packers that do not sort take files in the order in which the file system lists a directory, which is that of no other
file system. No byte of a member is touched.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from typing import List

from rebuilder.guest.finishing import finished


def main(argv: List[str]) -> int:
    """Run the program: the exit code of the build, or 73 when it left no wheel."""
    parser = argparse.ArgumentParser(prog="in_order", allow_abbrev=False)
    parser.add_argument("--out", required=True, help="directory the build leaves the wheel in")
    parser.add_argument("--order", required=True, help="JSON list of the names of members")
    parser.add_argument("command", nargs="+", help="the build, after --")
    options = parser.parse_args(argv)
    with open(options.order, encoding="utf-8") as file:
        order = json.load(file)
    return finished("in_order", options.command, options.out, lambda path: ordered(path, order))


def ordered(path: str, order: List[str]) -> bytes:
    """The wheel with the members ``order`` names in that order; all others stay after them, in theirs."""
    rank = {name: number for number, name in enumerate(order)}
    result = io.BytesIO()
    with zipfile.ZipFile(path) as wheel, zipfile.ZipFile(result, "w") as packed:
        for info in sorted(wheel.infolist(), key=lambda info: rank.get(info.filename, len(rank))):
            new = zipfile.ZipInfo(info.filename, info.date_time)
            new.compress_type = info.compress_type
            new.create_system = info.create_system
            new.external_attr = info.external_attr
            packed.writestr(new, wheel.read(info))
    return result.getvalue()
