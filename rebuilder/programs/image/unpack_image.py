"""Make the tree of an image, and say what it is and has; see :mod:`rebuilder.programs.image.layout`.

The image is read from standard input, a file. The tree goes to ``OUT/root``, what is told of it to ``OUT/image.json``.

What builds look for in it, such as interpreters, a compiler and auditwheel, is read; nothing of it is run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
from typing import Any, BinaryIO, cast

from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.limits import Budget, UnreadableError
from rebuilder.programs.archive.reading import keep_nothing, shown
from rebuilder.programs.archive.stream import Window
from rebuilder.programs.archive.tar import read_tar
from rebuilder.programs.image.layout import Layer, find, opened, plain
from rebuilder.programs.image.tree import Refused, Tree, resolved

MALFORMED = 65


def main(argv: list[str]) -> int:
    """Run the program: 0, or 65 with a sentence when the image is refused."""
    parser = argparse.ArgumentParser(prog="unpack_image", allow_abbrev=False)
    parser.add_argument("--out", required=True, help="directory to write to")
    parser.add_argument("--machine", required=True, help="architecture, as OCI calls it")
    parser.add_argument("--covered", required=True, help="directories that a sandbox covers, with commas")
    options = parser.parse_args(argv)
    try:
        told = unpack(sys.stdin.buffer, options.out, options.machine, options.covered.split(","))
    except UnreadableError as error:
        text = str(error)
        print(f"{text[:1].lower()}{text[1:].rstrip('.')}", file=sys.stderr)
        return MALFORMED
    except Refused as error:
        print(error, file=sys.stderr)
        return MALFORMED
    except (MemoryError, RecursionError):
        print("reading it takes more memory than any image does", file=sys.stderr)
        return MALFORMED
    with open(os.path.join(options.out, "image.json"), "x", encoding="utf-8") as file:
        json.dump(told, file)
    return 0


def unpack(file: BinaryIO, out: str, machine: str, covered: list[str]) -> dict[str, Any]:
    """Unpack; gives what is told of the image.

    Raises:
        Refused, UnreadableError: it is not taken.
        OSError: something cannot be written.
    """
    whole, given = plain(file, out)
    tree = Tree(os.path.join(out, "root"), covered)
    try:
        found = find(whole, given, machine)
        for layer in found.layers:
            tree.begin(layered=found.layered)
            _apply(whole, layer, tree)
    finally:
        tree.close()
        whole.close()
    tree.finish()
    return {
        "what": found.what,
        "sha256": found.sha256,
        "variables": dict(found.variables),
        "provides": _provided(os.path.join(out, "root")),
        "left_out": tree.left_out,
    }


def _apply(file: BinaryIO, layer: Layer, tree: Tree) -> None:
    content = _Content(file, layer, tree)
    reading = read_tar(cast("BinaryIO", content), None, keep_nothing, raw=False, receive=tree.receive)
    if not reading.readable:
        raise UnreadableError(f"A layer of it cannot be read: {reading.problems[0]}")
    said = contradictions(reading.archive)
    if said:
        raise Refused(f"readers disagree about a layer of it: {said[0]}")
    if layer.contents is not None and content.sha256.hexdigest() != layer.contents:
        raise Refused(f"a layer of it is, decompressed, not the one with the digest {shown(layer.contents)}")


class _Content:
    """A layer as a tar archive to read, counted and with its digest."""

    def __init__(self, file: BinaryIO, layer: Layer, tree: Tree) -> None:
        self._file, self._tree = file, tree
        self._source, self._kind = opened(Window(file, layer.part.at, layer.part.size), Budget(layer.part.size))
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer only at the end."""
        data: bytes = self._source.read(size)
        self._tree.count(len(data))
        self.sha256.update(data)
        return data

    def fileno(self) -> int:
        """Of the file it comes from."""
        return self._file.fileno()


_TAG = re.compile(r"cp(3)(\d{1,2})-(?:cp|abi)\w{1,12}")
_SYSTEM = re.compile(r"python(3\.\d{1,2})")
_VERSION = re.compile(r"\d{1,4}(\.\d{1,4}){0,2}")
_TOOL = re.compile(r"(auditwheel|pip)-(\d{1,4}(?:\.\d{1,4}){0,3})(?:-[\w.]+)?\.(?:dist|egg)-info")


def _provided(root: str) -> dict[str, str]:
    """By rule: ``python`` of the system, interpreters below ``opt/python`` by their tag, ``gcc``, and some tools.

    Images of the manylinux and musllinux kind have interpreters as ``/opt/python/TAG/bin/python`` and tools in
    directories of their own below ``/opt/_internal`` (PEP 513 and those after it; https://github.com/pypa/manylinux).
    """
    found = {}
    for tag in _names(root, "opt/python"):
        match = _TAG.fullmatch(tag)
        if match is not None and _program(root, f"opt/python/{tag}/bin/python"):
            found[tag] = f"{match[1]}.{match[2]}"
    for directory in ("usr/bin", "usr/local/bin"):
        place = resolved(root, f"{directory}/python3")
        version = _SYSTEM.fullmatch(os.path.basename(place or ""))
        if "python" not in found and version is not None and _program(root, f"{directory}/python3"):
            found["python"] = version[1]
    compilers = [each for place in _compilers(root) for each in _names(root, place) if _VERSION.fullmatch(each)]
    if compilers:
        found["gcc"] = _newest(compilers)
    tools: dict[str, list[str]] = {}
    for place in _packages(root):
        for match in filter(None, map(_TOOL.fullmatch, _names(root, place))):
            tools.setdefault(match[1], []).append(match[2])
    return found | {name: _newest(versions) for name, versions in tools.items()}


def _newest(versions: list[str]) -> str:
    return max(versions, key=lambda each: [int(part) for part in each.split(".")])


def _compilers(root: str) -> list[str]:
    tops = ["usr", *(f"opt/rh/{each}/root/usr" for each in _names(root, "opt/rh"))]
    return [f"{top}/lib/gcc/{each}" for top in tops for each in _names(root, f"{top}/lib/gcc")]


def _packages(root: str) -> list[str]:
    tools = [f"opt/_internal/{each}" for each in _names(root, "opt/_internal")]
    tools += [f"opt/_internal/pipx/venvs/{each}" for each in _names(root, "opt/_internal/pipx/venvs")]
    places = [f"{top}/lib/{each}" for top in ("usr", "usr/local", *tools) for each in _names(root, f"{top}/lib")]
    return [f"{place}/{kind}" for place in places for kind in ("site-packages", "dist-packages") if "/python3" in place]


def _names(root: str, path: str) -> list[str]:
    place = resolved(root, path)
    return sorted(os.listdir(place)) if place is not None and os.path.isdir(place) else []


def _program(root: str, path: str) -> bool:
    place = resolved(root, path)
    return place is not None and os.path.isfile(place) and bool(os.stat(place).st_mode & 0o111)
