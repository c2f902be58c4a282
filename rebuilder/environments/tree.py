"""Reading a build environment's tree: its listing, its digest, and a quick fingerprint.

A listing has one line per entry, sorted by path (as bytes), the tree's own root first::

    d 0755 .
    f 0755 125640 0c3…e1 usr/bin/dash
    l@1650793062 dash usr/bin/sh

that is: type, permission bits, then size in bytes and SHA-256 for a file or the target for a symbolic link, then the
path. Paths and targets are percent-encoded (RFC 3986), so a line always has the same number of words. The digest of a
environment is the SHA-256 of its listing. Owners, inode numbers and link counts are not part of it: they differ between
machines and between an environment made as root and the same one made by an ordinary user.

Every entry has the one time, :data:`TIME`, and no line says so. Only where an environment keeps the times of packages
(:attr:`rebuilder.model.environment.Specification.package_times`) a file or a link may have another, in whole seconds
since 1970, which then stands beside its type.
"""

from __future__ import annotations

import hashlib
import os
import stat
from array import array
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from urllib.parse import quote_from_bytes, unquote_to_bytes

from rebuilder.errors import BuildEnvironmentError

TIME = 946_684_800
"""Time of last modification of every entry that keeps none: 2000-01-01T00:00:00Z, in seconds since 1970."""
TIMES = range(1, (1 << 31) - 1)
"""Those that an entry may keep: every file system has them, and does not make them of others that it lacks."""

_AT_ONCE = 1 << 20
_SAFE = "/+,:=@~-._"
_64_BITS = (1 << 64) - 1


def listing(root: Path, *, times: bool = False) -> bytes:
    """List a tree, reading every file of it. ``times``: Whether its files and links keep times of their own.

    Raises:
        BuildEnvironmentError: it holds something that is no file, directory or symbolic link.
        OSError: it cannot be read.
    """
    lines = sorted((path, _line(root, path, status, times=times)) for path, status in walk(root))
    return b"".join(line for _, line in lines)


def kept(place: Path) -> list[Path]:
    """What there is of an environment in the directory it is kept in: ``root``, and ``hidden`` where something is."""
    return [place / name for name in ("root", "hidden") if (place / name).is_dir()]


def own_times(listing: bytes) -> dict[bytes, int]:
    """The times of entries that have another than :data:`TIME`, by path, as a listing says them."""
    lines = (line.split(b" ") for line in listing.splitlines())
    return {unquote_to_bytes(words[-1]): int(words[0][2:]) for words in lines if words[0][1:2] == b"@"}


def whole_listing(place: Path, base: str | None, *, times: bool) -> bytes:
    """List an environment, in the directory it is kept in; see :mod:`rebuilder.environments.layers`.

    ``base`` is the digest of what it lies over; None: it is a tree of its own.

    Raises:
        BuildEnvironmentError: it holds something that no environment may, or a directory that hides nothing.
        OSError: it cannot be read.
    """
    if base is None:
        return listing(place / "root", times=times)
    root, hidden = place / "root", place / "hidden"
    lines = [(path, _line(root, path, status, times=times)) for path, status in walk(root)]
    if hidden.is_dir():
        found = {path: status.st_mode for path, status in walk(hidden)}
        gone = [path for path, mode in found.items() if stat.S_ISCHR(mode) and not os.lstat(_at(hidden, path)).st_rdev]
        needed = {b"."}.union(*map(above, gone))
        for path in found.keys() - set(gone):
            if path not in needed or found[path] != stat.S_IFDIR | 0o755:
                raise BuildEnvironmentError(f"{os.fsdecode(_at(hidden, path))} hides nothing.")
        lines += [(path, f"x {quote_from_bytes(path, safe=_SAFE)}\n".encode()) for path in gone]
    return f"base {base}\n".encode() + b"".join(line for _, line in sorted(lines))


def whiteout(hidden: Path, path: bytes) -> None:
    """Hide an entry of another tree.

    Raises:
        OSError: the file system makes no whiteouts.
    """
    place = _at(hidden, path)
    os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)  # noqa: PTH103, PTH120 - bytes
    os.mknod(place, stat.S_IFCHR, os.makedev(0, 0))


def above(path: bytes) -> set[bytes]:
    """The directories that a path is in, without the tree's own root."""
    parts = path.split(b"/")
    return {b"/".join(parts[:count]) for count in range(1, len(parts))}


def _at(root: Path, path: bytes) -> bytes:
    return os.path.join(os.fsencode(root), path)  # noqa: PTH118 - bytes: names need not be valid text


def walk(root: Path) -> Iterator[tuple[bytes, os.stat_result]]:
    """Every entry with its path relative to ``root`` (``.`` for itself) and what ``lstat`` says, in no order."""
    top = os.fsencode(root)
    yield b".", os.lstat(top)
    pending = [(top, b"")]
    while pending:
        directory, prefix = pending.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                path = prefix + entry.name
                if stat.S_ISDIR(status.st_mode):
                    pending.append((entry.path, path + b"/"))
                yield path, status


def _line(root: Path, path: bytes, status: os.stat_result, *, times: bool) -> bytes:
    place = _at(root, path)
    mode, seconds = stat.S_IMODE(status.st_mode), status.st_mtime_ns // 1_000_000_000
    own = f"@{seconds}" if times and seconds != TIME else ""
    if stat.S_ISDIR(status.st_mode):
        words = f"d {mode:04o}"
    elif stat.S_ISREG(status.st_mode):
        with open(place, "rb", buffering=0) as file:  # noqa: PTH123 - bytes
            small = status.st_size <= _AT_ONCE  # a buffer for each costs more than what most of them hold
            digest = hashlib.sha256(file.read()) if small else hashlib.file_digest(file, "sha256")
        words = f"f{own} {mode:04o} {status.st_size} {digest.hexdigest()}"
    elif stat.S_ISLNK(status.st_mode):
        words = f"l{own} {quote_from_bytes(os.readlink(place), safe=_SAFE)}"  # noqa: PTH115 - bytes
    else:
        raise BuildEnvironmentError(f"{os.fsdecode(place)} is neither a file, a directory nor a symbolic link.")
    return f"{words} {quote_from_bytes(path, safe=_SAFE)}\n".encode()


def changes(recorded: bytes, found: bytes) -> list[str]:
    """Say how two listings differ, one phrase per path, in order of path."""
    before, after = _by_path(recorded), _by_path(found)
    return [
        f"{path} was {_how(before.get(path), after.get(path))}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


def _by_path(text: bytes) -> dict[str, list[str]]:
    lines = (line.split(" ") for line in text.decode("ascii", "backslashreplace").splitlines())
    return {words[-1]: words[:-1] for words in lines}


def _how(before: list[str] | None, after: list[str] | None) -> str:
    if before is None or after is None:
        return "added" if before is None else "removed"
    if before[0][0] != after[0][0]:
        return "replaced by another kind of file"
    if before[1:] == after[1:]:
        return "given another time"
    if before[0][0] == "l":
        return "pointed elsewhere"
    return "given another mode" if before[2:] == after[2:] else "changed"


def fingerprint(root: Path) -> str:
    """A value that changes when anything in the tree is touched; milliseconds, since no file is opened.

    It covers path, mode, size, inode number and the times of last modification and status change of every entry.
    The kernel sets the latter on every change, and no program can set it back.
    """
    top = os.fsencode(root)
    names: list[bytes] = []
    numbers = array("Q")
    _mark(numbers, os.lstat(top))
    pending = [top]
    while pending:
        with os.scandir(pending.pop()) as directory:
            entries = sorted(directory, key=attrgetter("name"))
        for entry in entries:
            names.append(entry.path)
            _mark(numbers, entry.stat(follow_symlinks=False))
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
    digest = hashlib.sha256(b"\0".join(name[len(top) :] for name in names))
    digest.update(numbers)
    return digest.hexdigest()


def _mark(numbers: array[int], status: os.stat_result) -> None:
    mode, size, inode = status.st_mode, status.st_size, status.st_ino
    numbers.extend((mode, size, inode, status.st_mtime_ns & _64_BITS, status.st_ctime_ns & _64_BITS))
