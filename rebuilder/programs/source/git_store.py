"""Git's objects, made from an archive: loose objects and trees, named by what is in them (no git needed).

The forms are those of git's own documentation ("gitrepository-layout", "Git Internals - Git Objects").
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator

from rebuilder.programs.archive.unpack import UnpackRefused

SUBMODULE = "REBUILDER.submodule"
"""pax keyword (POSIX.1-2017: vendor, full stop, keyword) with the commit a submodule is locked to."""

_CHUNK = 1 << 20
_MOST_PARTS = 200
SUBMODULE_MODE = b"160000"
_FILE, _PROGRAM, _LINK, _TREE = b"100644", b"100755", b"120000", b"40000"

Entries = dict[bytes, tuple[bytes, str]]
"""Path to mode and object name."""


def object_name(kind: str, data: bytes) -> str:
    """The SHA-1 name git gives to these bytes."""
    return hashlib.sha1(_start(kind, len(data)) + data).hexdigest()  # noqa: S324 - git's names are SHA-1


class Store:
    """The directory ``.git/objects`` of a repository."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def write(self, kind: str, size: int, chunks: Iterable[bytes]) -> str:
        """Write one object; gives its name."""
        draft = os.path.join(self._directory, "draft")
        digest, packer = hashlib.sha1(_start(kind, size)), zlib.compressobj(1)  # noqa: S324 - git's names are SHA-1
        with open(draft, "wb") as file:
            file.write(packer.compress(_start(kind, size)))
            for chunk in chunks:
                digest.update(chunk)
                file.write(packer.compress(chunk))
            file.write(packer.flush())
        name = digest.hexdigest()
        os.makedirs(os.path.join(self._directory, name[:2]), exist_ok=True)
        os.chmod(draft, 0o444)
        os.replace(draft, os.path.join(self._directory, name[:2], name[2:]))
        return name

    def write_archive(self, source: str) -> Entries:
        """Write the files of a tar archive.

        Raises:
            UnpackRefused: it holds something that no commit can hold.
        """
        entries: Entries = {}
        try:
            with tarfile.open(source, "r:") as archive:
                for info in archive:
                    path = _path(info.name)
                    if path in entries:
                        raise UnpackRefused(f"{info.name!r} is in the archive twice")
                    entries[path] = self._member(archive, info)
        except (tarfile.TarError, EOFError, ValueError, UnicodeError) as error:
            raise UnpackRefused(f"the archive is malformed: {error}") from error
        return entries

    def _member(self, archive: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[bytes, str]:
        if info.isreg():
            mode = _PROGRAM if info.mode & 0o111 else _FILE
            return mode, self.write("blob", info.size, _content(archive, info))
        if info.issym():
            target = info.linkname.encode("utf-8", "surrogateescape")
            return _LINK, self.write("blob", len(target), [target])
        if info.isdir() and SUBMODULE in info.pax_headers:
            return SUBMODULE_MODE, info.pax_headers[SUBMODULE]
        raise UnpackRefused(f"{info.name!r} is neither a file, a symbolic link nor a submodule")

    def write_tree(self, entries: Entries) -> str:
        """Write the trees that hold these entries; gives the name of the outermost."""
        names = [self.write("tree", len(data), [data]) for data in trees(entries)]
        return names[-1]


def trees(entries: Entries) -> Iterator[bytes]:
    """The tree objects that hold these entries, each after those in it; the last one is the outermost."""
    here: list[tuple[bytes, bytes, str]] = []
    below: dict[bytes, Entries] = {}
    for path, entry in entries.items():
        first, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(first, {})[rest] = entry
        else:
            here.append((first, *entry))
    for name, inner in below.items():
        data = b""
        for data in trees(inner):
            yield data
        here.append((name, _TREE, object_name("tree", data)))
    # Git sorts directories as if their names ended in a slash.
    here.sort(key=lambda each: each[0] + (b"/" if each[1] == _TREE else b""))
    yield b"".join(mode + b" " + name + b"\0" + bytes.fromhex(each) for name, mode, each in here)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    file = archive.extractfile(info)
    left = info.size
    while file is not None and left:
        chunk = file.read(min(left, _CHUNK))
        if not chunk:
            raise UnpackRefused(f"{info.name!r} is cut short")
        left -= len(chunk)
        yield chunk


def _path(name: str) -> bytes:
    path = name.encode("utf-8", "surrogateescape")
    parts = path.split(b"/")
    if len(parts) > _MOST_PARTS or any(part in (b"", b".", b"..") or part.lower() == b".git" for part in parts):
        raise UnpackRefused(f"{name!r} is not a path that a commit may have")
    return path


def _start(kind: str, size: int) -> bytes:
    return b"%s %d\0" % (kind.encode(), size)
