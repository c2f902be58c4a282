"""Change the setuptools of an environment as Debian and Ubuntu do.

Lines of requires.txt are written sorted: their package has had this change for a decade, so that builds do not depend
on an order. Namespace files have no version of Python in their names, since their packages serve several Pythons.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys

NO_SETUPTOOLS = 73
CHANGES = {
    "requirements": (
        ("egg_info.py", "_requirestxt.py"),  # the second from 68.2 on
        "map(append_cr, lines)",
        "map(append_cr, sorted(lines))",
    ),
    "namespaces": (
        ("install_egg_info.py",),
        "os.path.join(self.install_dir, basename)",
        "os.path.join(self.install_dir, basename.rpartition('-py')[0] + '.egg-info')",
    ),
}
"""By name: the modules of ``setuptools.command`` it may be in, and what stands there instead of what."""


def main(argv: list[str]) -> int:
    """Run the program: 0, or 73 when there is no setuptools that can be changed so."""
    parser = argparse.ArgumentParser(prog="as_debian", allow_abbrev=False)
    parser.add_argument("--environment", required=True, help="directory of the virtual environment")
    parser.add_argument("change", nargs="+", choices=sorted(CHANGES), help="what to change")
    options = parser.parse_args(argv)
    return next((code for each in options.change if (code := _change(options.environment, *CHANGES[each]))), 0)


def _change(environment: str, modules: tuple[str, ...], before: str, after: str) -> int:
    commands = os.path.join(glob.escape(environment), "lib/python3*/site-packages/setuptools/command")
    texts = {path: read(path) for module in modules for path in glob.glob(os.path.join(commands, module))}
    found = [path for path, text in texts.items() for _ in range(text.count(before))]
    if len(found) != 1:
        print(f"as_debian: the environment has no setuptools whose {modules[0]} can be changed", file=sys.stderr)
        return NO_SETUPTOOLS
    rewrite(found[0], texts[found[0]].replace(before, after))
    return 0


def rewrite(path: str, text: str) -> None:
    """Give an installed file another text; another file takes its place, in case there are other links to it."""
    os.unlink(path)
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def read(path: str) -> str:
    """A text as it is, line ends included."""
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()
