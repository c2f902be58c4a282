"""``list_tarball TARBALL --result PATH``: the files of an npm tarball by the names that git would give them.

The result is ``{"files": [TarballFile, …], "manifest": TEXT, "problem": SENTENCE}`` (see
``rebuilder.ecosystems.npm.tarball``). Paths are those below the first directory, whatever it is called: installers
leave that out. Of several files with one path the last one is installed.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from typing import IO, Any

from rebuilder.programs.account.members import HEAD_BYTES, is_compiled
from rebuilder.programs.answer import answered
from rebuilder.programs.archive.opening import read_archive

_MANIFEST = "package.json"
_TEXT_BYTES = 1 << 20
"""Longest file whose content is kept: the manifest, and files whose line ends are looked at."""
_TEXT_TOTAL = 64 << 20
_PAIR = re.compile(rb"\r\n")


def main(argv: list[str]) -> int:
    """List one tarball; 0 whatever was found in it."""
    parser = argparse.ArgumentParser(prog="list_tarball")
    parser.add_argument("tarball", metavar="TARBALL")
    return answered(parser, argv, lambda given: list_tarball(given.tarball))


def list_tarball(path: str) -> dict[str, Any]:
    """Read the tarball: once for what it holds, and once more for digests of what is too large to keep."""
    budget = _TEXT_TOTAL

    def keep(_index: int, _name: str) -> int:
        nonlocal budget
        budget -= HEAD_BYTES
        return _TEXT_BYTES if budget > 0 else HEAD_BYTES

    reading = read_archive(path, keep, raw=False)
    if not reading.readable or not reading.format.startswith("tar"):
        return {"files": [], "problem": reading.problems[0] if reading.problems else "It is no tar archive."}
    files, manifest, large = [], None, {}
    for index, member in enumerate(reading.archive.members):
        content = reading.contents.get(index, b"")
        if member.kind != "file":
            continue
        found = {"path": below(member.name), "sha256": member.sha256, "size": member.size}
        if is_compiled(found["path"], content[:HEAD_BYTES]):
            found["compiled"] = True
        if content.startswith(b"#!"):
            found["script"] = True
        if len(content) == member.size:
            found["blob"] = blob_name(content)
            if content.count(b"\r\n") == content.count(b"\n") > 0 and b"\0" not in content:
                found["unix_blob"] = blob_name(_PAIR.sub(b"\n", content))
        else:
            large[index] = found
        if found["path"] == _MANIFEST and len(content) == member.size:
            manifest = content.decode("utf-8", "replace")
        files.append(found)
    if large:
        _name_large(path, large)
    return {"files": files, "manifest": manifest, "problem": None}


def below(name: str) -> str:
    """The path of a member once its first directory is left out, as installers do."""
    parts = [each for each in name.split("/") if each not in {"", "."}]
    return "/".join(parts[1:]) if len(parts) > 1 else name


def blob_name(content: bytes) -> str:
    """What git names a content by."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _name_large(path: str, large: dict[int, dict[str, Any]]) -> None:
    """Give large files git's name, which begins with their size: it must be known before the first byte."""
    index = -1

    class Digest:
        def __init__(self, found: dict[str, Any]) -> None:
            self._found = found
            self._sha1 = hashlib.sha1(b"blob %d\0" % found["size"], usedforsecurity=False)

        def write(self, data: bytes) -> int:
            self._sha1.update(data)
            return len(data)

        def close(self) -> None:
            self._found["blob"] = self._sha1.hexdigest()

    def receive(_entry: object) -> IO[bytes] | None:
        nonlocal index
        index += 1
        return Digest(large[index]) if index in large else None  # type: ignore[return-value]

    read_archive(path, raw=False, receive=receive)
