"""What is done with an npm package before it is handed over: scripts, its version, packing with its package manager."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from typing import Any

PACKING_FAILED, NO_TARBALL = 70, 73

_PACKED = "/build/packed"
_QUIET = "/build/quiet"
_OPTIONS = {
    "npm": ("pack", "--ignore-scripts", f"--pack-destination={_PACKED}"),
    "pnpm": ("pack", "--config.ignore-scripts=true", "--config.script-shell=/bin/true", "--pack-destination", _PACKED),
    "yarn": ("pack", "--ignore-scripts", "--filename", f"{_PACKED}/yarn.tgz"),
    # Yarn from 2 on has no such option: its "prepack" is run again.
    "berry": ("pack", "--out", f"{_PACKED}/yarn.tgz"),
}


def pack(argv: list[str]) -> int:
    """Pack the package: 0, 70 (the package manager failed), 73 (it left no tarball)."""
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
        return PACKING_FAILED
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


MALFORMED = 65
_MOST_PLACES = 50
_VERSION_FIELD = re.compile(r'("version"\s*:\s*)"(?:[^"\\]|\\.)*"')
_OBJECT_END = re.compile(r"(?P<before>.*\S)(?P<end>\s*\}\s*)", re.DOTALL)


def set_version(argv: list[str]) -> int:
    """Write the version of a release into package.json: 0, or 65 where it can have none."""
    parser = argparse.ArgumentParser(prog="set_version", allow_abbrev=False)
    parser.add_argument("--directory", required=True, help="of the package")
    parser.add_argument("version")
    options = parser.parse_args(argv)
    path = os.path.join(options.directory, "package.json")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8", newline="") as file:
            text = file.read()
        text = _with_version(text, options.version)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except (OSError, ValueError, RecursionError) as trouble:
        print(f"set_version: package.json cannot be given a version: {trouble}", file=sys.stderr)
        return MALFORMED
    print(f"set_version: {options.version}")
    return 0


def _with_version(text: str, version: str) -> str:
    """The same text with another version of the package."""
    before = json.loads(text.removeprefix("\ufeff"))
    if not isinstance(before, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - as what is no JSON at all
    wanted = before | {"version": version}
    for number, match in enumerate(_VERSION_FIELD.finditer(text)):
        found = f"{text[: match.end(1)]}{json.dumps(version)}{text[match.end() :]}"
        if json.loads(found.removeprefix("\ufeff")) == wanted:
            return found
        if number > _MOST_PLACES:
            break
    ends = _OBJECT_END.fullmatch(text)
    if "version" in before or not before or ends is None:
        raise ValueError("there is no place for it")
    return f'{ends["before"]},\n  "version": {json.dumps(version)}{ends["end"]}'


_MOST_VARIABLES = 2000
"""Variables that one package.json gives."""
_LONGEST = 4096


def scripts(argv: list[str]) -> int:
    """Run one command of scripts as the package manager would: in its directory, with its tools on the path."""
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
    elif isinstance(value, (str, int, float)) and len(found) < _MOST_VARIABLES:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if len(text) <= _LONGEST and "\0" not in text:
            found[name] = text
