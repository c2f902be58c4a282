"""The tree that the layers of an image make, one laid over the other as OCI's image format has it (``layer.md``).

What does not belong to an environment is left out, whatever it is: directories that a sandbox covers, and files that
tell of a machine. Owners, times, and bits of the mode beyond "may be executed" are not kept. Nothing goes through a
link; a link that leads above the root is refused, an absolute one means the root of the tree.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Collection
from typing import IO

from rebuilder.programs.archive.reading import Entry, shown

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
MOST_ENTRIES = 250_000
MOST_BYTES = 4 << 30
_LONGEST = 2000
_DEEPEST = 200
_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Errors that no image can bring about by itself."""
_OF_MACHINE = ("etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab")
_USER = {"passwd": "build:x:1000:1000:build:/build:/bin/sh\n", "group": "build:x:1000:\n"}


class Tree:
    """A tree in the making.

    Args:
        root: An empty directory.
        covered: Names of directories at its top that a sandbox covers.
    """

    def __init__(self, root: str, covered: Collection[str]) -> None:
        self._root = root
        self._covered = covered
        self._files: set[str] = set()
        """What this layer has that is no directory."""
        self._here: set[str] = set()
        """Every path of this layer, and those above it."""
        self._layered = False
        self._file: IO[bytes] | None = None
        self._entries = self._bytes = 0
        self.left_out = 0

    def begin(self, *, layered: bool) -> None:
        """Go on to the next layer; names in it may say that something of those below is not there."""
        self._files, self._here, self._layered = set(), set(), layered

    def receive(self, entry: Entry) -> IO[bytes] | None:
        """Make an entry; of a file, what its content is to be written to.

        Raises:
            Refused: no tree may have it.
            OSError: it cannot be written.
        """
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise Refused(f"it has more than {MOST_ENTRIES:,} entries")
        parts = _parts(entry.name, "path")
        path = "/".join(parts)
        if not parts:
            if entry.kind != "directory":
                raise Refused(f"its root is a {entry.kind}")
            return None
        if parts[0] in self._covered or path in _OF_MACHINE:
            self.left_out += len(parts) > 1 or entry.kind != "directory"
            return None
        if self._layered and any(part.startswith(WHITEOUT) for part in parts):
            self._whiteout(parts, entry)
            return None
        if path in self._files or (entry.kind != "directory" and path in self._here):
            raise Refused(f"a layer of it has “{shown(path)}” twice")
        parent = self._directory(parts[:-1], path)
        self._here.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        try:
            return self._made(os.path.join(parent, parts[-1]), path, entry)
        except OSError as error:
            if error.errno in _OURS:
                raise
            raise Refused(f"“{shown(path)}” cannot be made ({error.strerror})") from None

    def close(self) -> None:
        """Leave no file open, wherever reading stopped."""
        if self._file is not None:
            self._file.close()

    def count(self, size: int) -> None:
        """So many bytes of content more.

        Raises:
            Refused: there are too many.
        """
        self._bytes += size
        if self._bytes > MOST_BYTES:
            raise Refused(f"it has more than {MOST_BYTES >> 30} GB")

    def finish(self) -> None:
        """Add what every environment has.

        Raises:
            Refused: nothing can be run in the tree.
        """
        for name in self._covered:
            _remove(os.path.join(self._root, name))
            os.mkdir(os.path.join(self._root, name))
        etc = os.path.join(self._root, "etc")
        if os.path.islink(etc) or (os.path.lexists(etc) and not os.path.isdir(etc)):
            raise Refused("its etc is no directory")
        os.makedirs(etc, exist_ok=True)
        _write(os.path.join(etc, "hosts"), "127.0.0.1 localhost rebuilder\n::1 localhost rebuilder\n")
        os.symlink("../proc/self/mounts", os.path.join(etc, "mtab"))
        for name, line in _USER.items():
            place = os.path.join(etc, name)
            text = ""
            if os.path.isfile(place) and not os.path.islink(place):
                with open(place, encoding="utf-8", errors="surrogateescape", newline="") as file:
                    text = file.read(1 << 20)
            if not re.search(r"^[^:\n]*:[^:\n]*:1000:", text, re.MULTILINE):
                _remove(place)
                _write(place, text + ("" if not text or text.endswith("\n") else "\n") + line)
        shell = resolved(self._root, "bin/sh")
        if shell is None or not os.path.isfile(shell) or not os.stat(shell).st_mode & 0o111:
            raise Refused("it has no bin/sh, so nothing can be run in it")

    def _made(self, target: str, path: str, entry: Entry) -> IO[bytes] | None:
        there = os.path.lexists(target)
        directory = there and os.path.isdir(target) and not os.path.islink(target)
        if entry.kind == "directory":
            if there and not directory:
                os.unlink(target)
            if not directory:
                os.mkdir(target, 0o755)
            return None
        self._files.add(path)
        if entry.kind == "hardlink":
            self._linked(target, path, self._original(entry, path))
            return None
        if entry.kind == "symlink":
            _check_link(path, entry.link)
            _remove(target)
            os.symlink(entry.link, target)
            return None
        if entry.kind != "file":
            raise Refused(f"“{shown(path)}” is a {entry.kind}")
        _remove(target)
        self._file = open(target, "xb")  # noqa: SIM115 - the reader closes it
        os.fchmod(self._file.fileno(), 0o755 if entry.executable else 0o644)
        return self._file

    def _linked(self, target: str, path: str, original: str) -> None:
        """Another name for what is there, be it a link."""
        if os.path.lexists(target) and os.path.samestat(os.lstat(original), os.lstat(target)):
            return
        if os.path.islink(original):
            _check_link(path, os.readlink(original))
        self.count(os.lstat(original).st_size)
        _remove(target)
        os.link(original, target, follow_symlinks=False)

    def _original(self, entry: Entry, path: str) -> str:
        parts = _parts(entry.link, "hard link to")
        place = os.path.join(self._directory(parts[:-1], path), parts[-1]) if parts else self._root
        if not os.path.lexists(place) or (os.path.isdir(place) and not os.path.islink(place)):
            raise Refused(f"“{shown(path)}” is a hard link to “{shown(entry.link)}”, which is no file before it")
        return place

    def _directory(self, parts: list[str], path: str) -> str:
        """The directory of these parts, made where it is missing; every one of them has to be one, and no link."""
        place = self._root
        for part in parts:
            place = os.path.join(place, part)
            try:
                mode = os.lstat(place).st_mode
            except FileNotFoundError:
                os.mkdir(place, 0o755)
                continue
            except OSError as error:
                raise Refused(f"“{shown(path)}” cannot be a path ({error.strerror})") from None
            if not stat.S_ISDIR(mode):
                raise Refused(f"“{shown(path)}” goes through a {'link' if stat.S_ISLNK(mode) else 'file'}")
        return place

    def _whiteout(self, parts: list[str], entry: Entry) -> None:
        """Take away what the layers below have: under a name, or all that a directory holds."""
        *above, name = parts
        hidden = name[len(WHITEOUT) :]
        opaque = name == OPAQUE
        if (
            entry.kind != "file"
            or any(part.startswith(WHITEOUT) for part in above)
            or (not opaque and (hidden in {"", ".", ".."} or hidden.startswith(WHITEOUT)))
        ):
            raise Refused(f"“{shown('/'.join(parts))}” is no name that a layer may have")
        place = self._root
        for part in above:
            place = os.path.join(place, part)
            if os.path.islink(place):
                raise Refused(f"“{shown('/'.join(parts))}” goes through a link")
            if not os.path.isdir(place):
                return
        if opaque:
            for each in os.listdir(place):
                self._hide(place, "/".join((*above, each)), each)
        elif hidden not in self._covered or above:
            self._hide(place, "/".join((*above, hidden)), hidden)

    def _hide(self, directory: str, path: str, name: str) -> None:
        target = os.path.join(directory, name)
        if path not in self._here:
            _remove(target)
        elif os.path.isdir(target) and not os.path.islink(target):
            for each in os.listdir(target):
                self._hide(target, f"{path}/{each}", each)


def resolved(root: str, path: str) -> str | None:
    """Where a path of the tree leads, links read as in the tree itself; None when nowhere."""
    waiting, place = [each for each in reversed(path.split("/")) if each], root
    for _ in range(400):
        if not waiting:
            return place if os.path.lexists(place) else None
        part = waiting.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            place = os.path.dirname(place) if place != root else root
            continue
        target = os.path.join(place, part)
        if not os.path.islink(target):
            place = target
            continue
        link = os.readlink(target)
        place = root if link.startswith("/") else place
        waiting += [each for each in reversed(link.split("/")) if each]
    return None


def _parts(name: str, what: str) -> list[str]:
    if "\0" in name or name.startswith("/"):
        raise Refused(f"it has the absolute {what} “{shown(name)}”")
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise Refused(f"it has the {what} “{shown(name)}”, which leads out of it")
    longest = max((len(os.fsencode(part)) for part in parts), default=0)
    if len(os.fsencode(name)) > _LONGEST or len(parts) > _DEEPEST or longest > 255:
        raise Refused(f"it has the {what} “{shown(name)}”, which is too long")
    return parts


def _check_link(path: str, link: str) -> None:
    depth = 0 if link.startswith("/") else path.count("/")
    for part in link.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            raise Refused(f"the link “{shown(path)}” leads out of it, to “{shown(link)}”")
    if not link or "\0" in link or len(os.fsencode(link)) > _LONGEST:
        raise Refused(f"the link “{shown(path)}” leads nowhere")


def _remove(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    elif os.path.lexists(place):
        os.unlink(place)


def _write(place: str, text: str) -> None:
    with open(place, "x", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)


class Refused(Exception):  # noqa: N818 - reads as what happened
    """Something that no image may have; the text goes on from “it cannot be used: ”."""
