"""Pack a package with its package manager, without any script, and hand the tarball over under its published name."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

FAILED, NO_TARBALL = 70, 73

_PACKED = "/build/packed"
_QUIET = "/build/quiet"
_OPTIONS = {
    "npm": ("pack", "--ignore-scripts", f"--pack-destination={_PACKED}"),
    "pnpm": ("pack", "--config.ignore-scripts=true", "--config.script-shell=/bin/true", "--pack-destination", _PACKED),
    "yarn": ("pack", "--ignore-scripts", "--filename", f"{_PACKED}/yarn.tgz"),
    # Yarn from 2 on has no such option: its "prepack" is run again.
    "berry": ("pack", "--out", f"{_PACKED}/yarn.tgz"),
}


def main(argv: list[str]) -> int:
    """Run the program: 0, 70 (the package manager failed), 73 (it left no tarball)."""
    parser = argparse.ArgumentParser(prog="pack", allow_abbrev=False)
    parser.add_argument("--tool", required=True, choices=sorted(_OPTIONS), help="package manager")
    parser.add_argument("--node", required=True, help="directory of the Node that runs it")
    parser.add_argument("--program", required=True, help="its command")
    parser.add_argument("--directory", required=True, help="of the package")
    parser.add_argument("--made", required=True, help="what it names the tarball of this name and version")
    parser.add_argument("--out", required=True, help="where that is handed over")
    options = parser.parse_args(argv)
    os.makedirs(_PACKED, exist_ok=True)
    # npm 7 to 10 run "prepare" although they are told to run no script, by the first shell on the path.
    quiet = f"{_QUIET}:" if options.tool == "npm" else ""
    os.makedirs(_QUIET, exist_ok=True)
    os.symlink("/bin/true", f"{_QUIET}/sh")
    before = _tarballs(options.directory)
    sys.stdout.flush()
    done = subprocess.run(
        [options.program, *_OPTIONS[options.tool]],
        cwd=options.directory,
        env={**os.environ, "PATH": f"{quiet}{options.node}:{os.environ['PATH']}"},
        check=False,
    )
    if done.returncode:
        print(f"pack: {options.tool} ended with exit code {done.returncode}", file=sys.stderr)
        return FAILED
    found = _tarballs(_PACKED) or sorted(set(_tarballs(options.directory)) - set(before))
    if len(found) != 1:
        print(f"pack: {options.tool} left {len(found)} tarballs", file=sys.stderr)
        return NO_TARBALL
    name = os.path.basename(found[0])
    # Under another name nothing is the published file: the package that was packed is another one, or another version.
    same = name in {options.made, "yarn.tgz"}
    shutil.copyfile(found[0], options.out if same else os.path.join(os.path.dirname(options.out), name))
    print(f"pack: {name}")
    return 0


def _tarballs(directory: str) -> list[str]:
    return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".tgz"))
