"""Unpack a source archive so that two runs leave the same tree, whatever the archive says.

Modes are rebuilt from the umask and the executable bit alone; names that would leave the tree, links out of it
and devices end the program. Times come from the archive, brought into the years that a ZIP file can hold: packers end
with an error where a file is older, and no release was made by one that did.

What is unpacked is what is compared: the same reader reads both, and an archive of which readers make different things
is refused.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from datetime import datetime, timezone
from typing import IO

from rebuilder.programs.archive.contradictions import contradictions
from rebuilder.programs.archive.opening import read_archive
from rebuilder.programs.archive.reading import Entry

USAGE, MALFORMED = 64, 65

_EARLIEST = datetime(1980, 1, 1, tzinfo=timezone.utc).timestamp()
_LATEST = datetime(2107, 12, 31, 23, 59, 58, tzinfo=timezone.utc).timestamp()


class UnpackRefused(Exception):  # noqa: N818 - reads as what happened
    """A member that must not be unpacked, or an archive that cannot be read; the text is a sentence."""


def main(argv: list[str]) -> int:
    """Run the program: 0, or 65 with a sentence when the archive is refused."""
    parser = argparse.ArgumentParser(prog="unpack", allow_abbrev=False)
    parser.add_argument("--source", required=True, help="tar, tar.gz or ZIP archive")
    parser.add_argument("--into", required=True, help="directory to make")
    parser.add_argument("--umask", default="0022", help="octal; what new files do not get (default: 0022)")
    options = parser.parse_args(argv)
    try:
        count = unpack(options.source, options.into, umask=int(options.umask, 8))
    except UnpackRefused as refusal:
        print(f"unpack: {refusal}", file=sys.stderr)
        return MALFORMED
    print(f"unpack: {count} files")
    return 0


def unpack(source: str, into: str, *, umask: int) -> int:
    """Unpack; gives the number of files.

    Raises:
        UnpackRefused: the archive cannot be read, readers disagree about it, or a member would reach outside ``into``.
    """
    tree = _Tree(os.path.realpath(into), umask)
    try:
        reading = read_archive(source, raw=False, receive=tree.receive)
    finally:
        tree.close()
    if not reading.readable:
        raise UnpackRefused(f"the archive is malformed: {reading.problems[0]}")
    contradiction = contradictions(reading.archive)
    if contradiction:
        raise UnpackRefused(f"readers disagree about the archive: {contradiction[0]}")
    tree.finish()
    return tree.files


class _Tree:
    """The tree that is made, member by member."""

    def __init__(self, root: str, umask: int) -> None:
        self.files = 0
        self._root = root
        self._umask = umask
        self._directories: dict[str, float] = {}
        self._written: tuple[str, float] | None = None
        self._file: IO[bytes] | None = None
        os.makedirs(root, exist_ok=True)

    def receive(self, entry: Entry) -> IO[bytes] | None:
        """Make a member; of a file, what its content is to be written to."""
        self._date()
        parts = _parts(entry.name)
        if not parts:
            return None
        target = _target(self._root, parts)
        if entry.kind == "directory":
            _directory(target, self._umask)
            self._directories[target] = _moment(entry)
            return None
        self.files += 1
        if entry.kind != "file":
            _make(self._root, target, entry)
            return None
        _make_room(target, entry)
        file = open(target, "xb")  # noqa: SIM115 - the reader closes it
        os.fchmod(file.fileno(), (0o777 if entry.executable else 0o666) & ~self._umask)
        self._written, self._file = (target, _moment(entry)), file
        return file

    def close(self) -> None:
        """Leave no file open, wherever reading stopped."""
        if self._file is not None:
            self._file.close()

    def finish(self) -> None:
        """Give directories their times, now that nothing is written to them any more."""
        self._date()
        for directory in sorted(self._directories, reverse=True):
            os.utime(directory, (self._directories[directory], self._directories[directory]))

    def _date(self) -> None:
        """Give the file that was written last its time."""
        if self._written is not None:
            target, moment = self._written
            os.utime(target, (moment, moment))
        self._written = None


def _parts(name: str) -> list[str]:
    """Path components of a member, or a refusal."""
    if "\0" in name or name.startswith("/"):
        raise UnpackRefused(f"{name!r} is not a relative path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise UnpackRefused(f"{name!r} leads out of the tree")
    return parts


def _target(root: str, parts: list[str]) -> str:
    """The path to write, with real directories above it and nothing but a file or a link in its place."""
    path = root
    for part in parts[:-1]:
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise UnpackRefused(f"{'/'.join(parts)!r} goes through a link")
        if not os.path.isdir(path):
            if os.path.lexists(path):
                raise UnpackRefused(f"{'/'.join(parts)!r} goes through a file")
            os.mkdir(path, 0o777)
    return os.path.join(path, parts[-1])


def _directory(target: str, umask: int) -> None:
    if os.path.islink(target) or (os.path.lexists(target) and not os.path.isdir(target)):
        raise UnpackRefused(f"{target!r} is both a directory and something else")
    os.makedirs(target, exist_ok=True)
    os.chmod(target, 0o777 & ~umask)


def _moment(entry: Entry) -> float:
    """When a file was last changed, in the years that a ZIP file can hold."""
    return min(max(entry.seconds, _EARLIEST), _LATEST)


def _make_room(target: str, entry: Entry) -> None:
    """A later member of the same name replaces the earlier one, as tar does."""
    if os.path.isdir(target) and not os.path.islink(target):
        raise UnpackRefused(f"{entry.name!r} is both a directory and something else")
    if os.path.lexists(target):
        os.unlink(target)


def _make(root: str, target: str, entry: Entry) -> None:
    """Make what is no ordinary file."""
    if entry.kind == "symlink":
        _check_link(root, os.path.dirname(target), entry)
    elif entry.kind != "hardlink":
        raise UnpackRefused(f"{entry.name!r} is a {entry.kind}")
    _make_room(target, entry)
    if entry.kind == "symlink":
        os.symlink(entry.link, target)
        return
    original = _target(root, _parts(entry.link))
    if os.path.islink(original) or not os.path.isfile(original):
        raise UnpackRefused(f"{entry.name!r} is a hard link to {entry.link!r}, which is not a file before it")
    shutil.copy2(original, target)


def _check_link(root: str, directory: str, entry: Entry) -> None:
    """Refuse a symbolic link whose target, read by name, is not inside the tree."""
    if not entry.link or entry.link.startswith("/") or "\0" in entry.link:
        raise UnpackRefused(f"{entry.name!r} is a link to {entry.link!r}, out of the tree")
    goal = os.path.normpath(os.path.join(os.path.realpath(directory), entry.link))
    if goal != root and not goal.startswith(root + os.sep):
        raise UnpackRefused(f"{entry.name!r} is a link to {entry.link!r}, out of the tree")
