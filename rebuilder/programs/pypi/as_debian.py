"""Change the setuptools of an environment as Debian and Ubuntu do: lines of requires.txt are written sorted.

Their package has had this change for a decade, so that builds do not depend on an order, and wheels that were built
with it have their requirements in another order than the project names them in.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys

NO_SETUPTOOLS = 73
_WRITER = "lib/python3*/site-packages/setuptools/command/egg_info.py"
_WRITTEN = "map(append_cr, lines)"
_SORTED = "map(append_cr, sorted(lines))"


def main(argv: list[str]) -> int:
    """Run the program: 0, or 73 when there is no setuptools that can be changed so."""
    parser = argparse.ArgumentParser(prog="as_debian", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    options = parser.parse_args(argv)
    found = glob.glob(os.path.join(glob.escape(options.environment), _WRITER))
    texts = [_text(path) for path in found]
    if len(texts) != 1 or texts[0].count(_WRITTEN) != 1:
        print("as_debian: the environment has no setuptools that writes requirements line by line", file=sys.stderr)
        return NO_SETUPTOOLS
    # The installed file may be a link to one of uv's cache: another file takes its place.
    os.unlink(found[0])
    with open(found[0], "w", encoding="utf-8", newline="") as file:
        file.write(texts[0].replace(_WRITTEN, _SORTED))
    return 0


def _text(path: str) -> str:
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
