"""Run one command of a package's scripts as its package manager would: in its directory, with its tools on the path."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from typing import Any

_MOST = 2000
"""Variables that one package.json gives."""
_LONGEST = 4096


def main(argv: list[str]) -> int:
    """Run the program: what the command said."""
    parser = argparse.ArgumentParser(prog="scripts", allow_abbrev=False)
    parser.add_argument("--directory", required=True, help="of the package")
    parser.add_argument("--top", required=True, help="of the repository, above which no tools are looked for")
    parser.add_argument("--script", required=True, help="name of the script that the command is of")
    parser.add_argument("command", help="for a shell")
    options = parser.parse_args(argv)
    try:
        with open(os.path.join(options.directory, "package.json"), encoding="utf-8-sig") as file:
            manifest = json.load(file)
    except (OSError, ValueError) as trouble:
        print(f"scripts: package.json cannot be read: {trouble}", file=sys.stderr)
        manifest = {}
    environment = {
        **os.environ,
        **variables(manifest),
        "PATH": os.pathsep.join([*tools(options.directory, options.top), os.environ.get("PATH", "")]),
        "INIT_CWD": options.directory,
        "npm_command": "run-script",
        "npm_lifecycle_event": options.script,
        "npm_lifecycle_script": options.command,
        "npm_package_json": os.path.join(options.directory, "package.json"),
    }
    sys.stdout.flush()
    code = subprocess.run(
        ["/bin/sh", "-c", options.command],
        cwd=options.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode
    return code if 0 <= code < 126 else 70


def tools(directory: str, top: str) -> list[str]:
    """Where commands of installed packages are: in the package, and in what is above it, the nearest first."""
    found = []
    while True:
        found.append(os.path.join(directory, "node_modules", ".bin"))
        if directory == top or len(directory) <= len(top):
            return found
        directory = os.path.dirname(directory)


def variables(manifest: Any) -> dict[str, str]:
    """What package managers tell scripts of a package.json: its name, its version, what is below ``config``."""
    found: dict[str, str] = {}
    if isinstance(manifest, dict):
        for name in ("name", "version", "main", "description"):
            _add(found, f"npm_package_{name}", manifest.get(name))
        for name in ("config", "engines", "bin"):
            _add(found, f"npm_package_{name}", manifest.get(name))
    return found


def _add(found: dict[str, str], name: str, value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _add(found, f"{name}_{re.sub('[^A-Za-z0-9_]', '_', str(key))}", inner)
    elif isinstance(value, (str, int, float)) and len(found) < _MOST:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if len(text) <= _LONGEST and "\0" not in text:
            found[name] = text
