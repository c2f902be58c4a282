"""Make directories list their entries in reverse, to see whether a build depends on that order.

File systems in memory list entries in the order in which they were made, some the newest first. Renaming makes an
entry anew and leaves its content and its time alone.
"""

from __future__ import annotations

import argparse
import os


def main(argv: list[str]) -> int:
    """Run the program: 0, and one line with the number of directories."""
    parser = argparse.ArgumentParser(prog="reverse_tree", allow_abbrev=False)
    parser.add_argument("--tree", required=True, help="directory; it and all below are reversed")
    options = parser.parse_args(argv)
    print(f"reverse_tree: {reverse(options.tree)} directories")
    return 0


def reverse(tree: str) -> int:
    """Reverse every directory; gives the number of those that list their entries in another order now."""
    count = 0
    for directory, _directories, _files in os.walk(tree, topdown=False):
        before = os.stat(directory)
        names = os.listdir(directory)
        _renew(directory, names[::-1])
        if os.listdir(directory) == names:
            _renew(directory, names)
        count += os.listdir(directory) != names
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
    return count


def _renew(directory: str, names: list[str]) -> None:
    for name in names:
        place, aside = os.path.join(directory, name), os.path.join(directory, ".reverse-tree-aside")
        if not os.path.lexists(aside):
            os.rename(place, aside)
            os.rename(aside, place)
