"""Unpack a source archive so that two runs leave the same tree, whatever the archive says.

Modes are rebuilt from the umask and the executable bit alone; names that would leave the tree, links out of it
and devices end the program. Times come from the archive, brought into the years that a ZIP file can hold: packers end
with an error where a file is older, and no release was made by one that did.
"""

from __future__ import annotations

import argparse
import calendar
import os
import shutil
import stat
import sys
import tarfile
import zipfile
import zlib
from typing import IO, Dict, Iterator, List, NamedTuple, Optional

USAGE, MALFORMED = 64, 65

_EARLIEST = float(calendar.timegm((1980, 1, 1, 0, 0, 0)))
_LATEST = float(calendar.timegm((2107, 12, 31, 23, 59, 58)))


class Refused(Exception):  # noqa: N818 - reads as what happened
    """A member that must not be unpacked, or an archive that cannot be read; the text is a sentence."""


class Entry(NamedTuple):
    """One member, the same for tar and ZIP."""

    name: str
    kind: str
    """``file``, ``directory``, ``symlink``, ``hardlink``, or another word for what is refused."""
    executable: bool
    mtime: float
    link: str
    content: Optional[IO[bytes]]


def main(argv: List[str]) -> int:
    """Run the program: 0, or 65 with a sentence when the archive is refused."""
    parser = argparse.ArgumentParser(prog="unpack", allow_abbrev=False)
    parser.add_argument("--source", required=True, help="tar, tar.gz or ZIP archive")
    parser.add_argument("--into", required=True, help="directory to make")
    parser.add_argument("--umask", default="0022", help="octal; what new files do not get (default: 0022)")
    options = parser.parse_args(argv)
    try:
        count = unpack(options.source, options.into, umask=int(options.umask, 8))
    except Refused as refusal:
        print(f"unpack: {refusal}", file=sys.stderr)
        return MALFORMED
    print(f"unpack: {count} files")
    return 0


def unpack(source: str, into: str, *, umask: int) -> int:
    """Unpack; gives the number of files.

    Raises:
        Refused: the archive cannot be read, or a member would reach outside ``into``.
    """
    root = os.path.realpath(into)
    os.makedirs(root, exist_ok=True)
    directories: Dict[str, float] = {}
    files = 0
    try:
        for entry in _entries(source):
            parts = _parts(entry.name)
            if not parts:
                continue
            target = _target(root, parts)
            if entry.kind == "directory":
                _directory(target, umask)
                directories[target] = _moment(entry)
                continue
            _write(root, target, entry, (0o777 if entry.executable else 0o666) & ~umask)
            if entry.kind == "file":
                os.utime(target, (_moment(entry), _moment(entry)))
            files += 1
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, ValueError) as error:
        raise Refused(f"the archive is malformed: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # zipfile: unknown compression, encryption
        raise Refused(f"the archive cannot be read: {error}") from error
    for directory in sorted(directories, reverse=True):
        os.utime(directory, (directories[directory], directories[directory]))
    return files


def _parts(name: str) -> List[str]:
    """Path components of a member, or a refusal."""
    if "\0" in name or name.startswith("/"):
        raise Refused(f"{name!r} is not a relative path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Refused(f"{name!r} leads out of the tree")
    return parts


def _target(root: str, parts: List[str]) -> str:
    """The path to write, with real directories above it and nothing but a file or a link in its place."""
    path = root
    for part in parts[:-1]:
        path = os.path.join(path, part)
        if os.path.islink(path):
            raise Refused(f"{'/'.join(parts)!r} goes through a link")
        if not os.path.isdir(path):
            if os.path.lexists(path):
                raise Refused(f"{'/'.join(parts)!r} goes through a file")
            os.mkdir(path, 0o777)
    return os.path.join(path, parts[-1])


def _directory(target: str, umask: int) -> None:
    if os.path.islink(target) or (os.path.lexists(target) and not os.path.isdir(target)):
        raise Refused(f"{target!r} is both a directory and something else")
    os.makedirs(target, exist_ok=True)
    os.chmod(target, 0o777 & ~umask)


def _moment(entry: Entry) -> float:
    """When a file was last changed, in the years that a ZIP file can hold."""
    return min(max(entry.mtime, _EARLIEST), _LATEST)


def _write(root: str, target: str, entry: Entry, mode: int) -> None:
    if os.path.isdir(target) and not os.path.islink(target):
        raise Refused(f"{entry.name!r} is both a directory and something else")
    if entry.kind == "symlink":
        _check_link(root, os.path.dirname(target), entry)
    elif entry.kind not in ("file", "hardlink"):
        raise Refused(f"{entry.name!r} is a {entry.kind}")
    if os.path.lexists(target):  # a later member of the same name replaces the earlier one, as tar does
        os.unlink(target)
    if entry.kind == "symlink":
        os.symlink(entry.link, target)
        return
    if entry.kind == "hardlink":
        original = _target(root, _parts(entry.link))
        if os.path.islink(original) or not os.path.isfile(original):
            raise Refused(f"{entry.name!r} is a hard link to {entry.link!r}, which is not a file before it")
        shutil.copy2(original, target)
        return
    with open(target, "xb") as file:
        if entry.content is not None:
            shutil.copyfileobj(entry.content, file)
    os.chmod(target, mode)


def _check_link(root: str, directory: str, entry: Entry) -> None:
    """Refuse a symbolic link whose target, read by name, is not inside the tree."""
    if not entry.link or entry.link.startswith("/") or "\0" in entry.link:
        raise Refused(f"{entry.name!r} is a link to {entry.link!r}, out of the tree")
    goal = os.path.normpath(os.path.join(os.path.realpath(directory), entry.link))
    if goal != root and not goal.startswith(root + os.sep):
        raise Refused(f"{entry.name!r} is a link to {entry.link!r}, out of the tree")


def _entries(source: str) -> Iterator[Entry]:
    if zipfile.is_zipfile(source) and not _is_gzip(source):
        yield from _zip_entries(source)
    else:
        yield from _tar_entries(source)


def _is_gzip(source: str) -> bool:
    with open(source, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _tar_entries(source: str) -> Iterator[Entry]:
    with tarfile.open(source, "r:gz" if _is_gzip(source) else "r:") as archive:
        for info in archive:
            content = archive.extractfile(info) if info.isreg() else None
            yield Entry(info.name, _tar_kind(info), bool(info.mode & 0o111), info.mtime, info.linkname, content)


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isreg():
        return "file"
    if info.isdir():
        return "directory"
    if info.issym():
        return "symlink"
    if info.islnk():
        return "hardlink"
    return "FIFO" if info.isfifo() else "device" if info.isdev() else "member of an unknown kind"


def _zip_entries(source: str) -> Iterator[Entry]:
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            moment = float(calendar.timegm((*info.date_time, 0, 0, 0)))
            executable = bool(mode & 0o111)
            if info.is_dir():
                yield Entry(info.filename, "directory", executable, moment, "", None)
            elif stat.S_ISLNK(mode):
                link = archive.read(info).decode("utf-8")
                yield Entry(info.filename, "symlink", executable, moment, link, None)
            elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
                with archive.open(info) as content:
                    yield Entry(info.filename, "file", executable, moment, "", content)
            else:
                yield Entry(info.filename, "device", executable, moment, "", None)
