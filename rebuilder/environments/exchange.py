"""One build environment as one file, for a backup or for another machine.

The file is a tar archive in GNU's format, which any tar reads, and its bytes depend on the environment alone::

    environment.json    what it was made from: a :class:`rebuilder.environments.record.Record` as canonical JSON
    listing             of the tree, see :mod:`rebuilder.environments.tree`; its SHA-256 is the digest of the tree
    root, root/…        every entry of the listing, in its order; whiteouts are in the listing alone

One that lies over another (:mod:`rebuilder.environments.layers`) does not hold the other, which is a file by itself.

Whoever wrote such a file is a stranger. So reading it does not parse an archive: the two documents say to the byte what
has to follow, and anything else ends it. What the listing itself asks for is checked before anything is written: paths
that stay inside, below directories that are listed, in order and once; plain files, directories and symbolic links with
the two modes and the times a tree has; links that do not lead above the root (absolute ones mean the environment's own
root, as they do for a build; nothing here follows any).
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote_to_bytes

from rebuilder.environments.settle import MOUNT_POINTS, level
from rebuilder.environments.tree import TIME, TIMES, above, whiteout
from rebuilder.tar_members import END, NotAsWrittenError, document, expect, header, padding, take

MOST_BYTES = 4 << 30
"""Largest content of a tree, in bytes."""
MOST_ENTRIES = 250_000

_DOCUMENT, _LISTING = "environment.json", "listing"
_MOST = {_DOCUMENT: 8 << 20, _LISTING: 64 << 20}
_CHUNK = 1 << 20
_LONGEST = 4000
_NO_NAMES = (b"", b".", b"..")
_LINE = re.compile(
    rb"(?:d 0755|x|f(?P<at>@\d{1,10})? (?P<mode>0755|0644) (?P<size>\d{1,12}) (?P<sha256>[0-9a-f]{64})"
    rb"|l(?P<link_at>@\d{1,10})? (?P<target>\S+)) (?P<path>\S+)"
)

_BASE = re.compile(rb"\Abase (?P<sha256>[0-9a-f]{64})\n")

NotAnExportError = NotAsWrittenError
"""Why a file is not an export of a build environment."""


class _Entry(NamedTuple):
    kind: str
    mode: int
    size: int
    sha256: str
    target: bytes
    path: bytes
    time: int = TIME


def write(out: BinaryIO, made_from: bytes, listing: bytes, root: Path) -> None:
    """Write an export.

    Raises:
        NotAnExportError: the tree is not what its listing says.
        OSError: something cannot be read or written.
    """
    for name, data in ((_DOCUMENT, made_from), (_LISTING, listing)):
        out.write(header(name.encode(), "f", 0o644, len(data), time=TIME))
        out.write(data)
        out.write(padding(len(data)))
    for each in _entries(listing):
        if each.kind == "x":
            continue
        out.write(_entry_header(each))
        if each.kind == "f":
            with _place(root, each.path).open("rb") as file:
                _copy(file, out, each)
            out.write(padding(each.size))
    out.write(END)


def read_head(source: BinaryIO) -> tuple[bytes, bytes]:
    """The two documents an export begins with.

    Raises:
        NotAnExportError: there are none, or they are too large.
    """
    made_from, listing = (document(source, name, most, time=TIME) for name, most in _MOST.items())
    return made_from, listing


def unpack(source: BinaryIO, listing: bytes, place: Path) -> None:
    """Write what an export holds whose head was read. ``place`` has neither ``root`` nor ``hidden`` in it.

    Raises:
        NotAnExportError: the listing asks for what no environment has, or something else follows.
        OSError: something cannot be written.
    """
    root, hidden = place / "root", place / "hidden"
    for each in list(_entries(listing)):
        if each.kind == "x":
            whiteout(hidden, each.path)
            continue
        wanted = _entry_header(each)
        if take(source, len(wanted)) != wanted:
            raise NotAnExportError(f"{_words(each.path)} is not there as its listing says")
        place = _place(root, each.path)
        if each.kind == "d":
            place.mkdir()
        elif each.kind == "l":
            place.symlink_to(os.fsdecode(each.target))
        else:
            with place.open("xb") as file:
                _copy(source, file, each)
                os.fchmod(file.fileno(), each.mode)
            expect(source, padding(each.size))
    for each in _entries(listing):
        if each.kind == "d":
            _place(root, each.path).chmod(each.mode)
        if each.kind != "x":
            os.utime(_place(root, each.path), (each.time, each.time), follow_symlinks=False)
    if hidden.is_dir():
        level(hidden)
    expect(source, END)
    if source.read(1):
        raise NotAnExportError("it goes on after its end")


def base_of(listing: bytes) -> str | None:
    """Digest of the environment that one lies over, by its listing; None: it is a tree of its own."""
    found = _BASE.match(listing)
    return found["sha256"].decode() if found is not None else None


def check(listing: bytes, base: bytes = b"") -> None:
    """Make sure that a listing asks for nothing but what an environment may have.

    Raises:
        NotAnExportError: it does; the text ends a sentence about the environment.
    """
    there = {each.path for each in _entries(base)} if base else set()
    for each in _entries(listing):
        if each.kind == "x" and each.path not in there:
            raise NotAnExportError(f"it hides {_words(each.path)}, which the one below has not")


def begins(source: BinaryIO) -> bool:
    """Whether a file, at its start, begins as exports do; it is at its start afterwards, too."""
    start = source.read(len(_DOCUMENT) + 1)
    source.seek(0)
    return start == _DOCUMENT.encode() + b"\0"


def _place(root: Path, path: bytes) -> Path:
    return root if path == b"." else root / os.fsdecode(path)


def _entries(listing: bytes) -> Iterator[_Entry]:
    """The entries a listing names, each checked against those before it."""
    directories, gone = set[bytes](), set[bytes]()
    last, size = b"", 0
    rest = _BASE.sub(b"", listing)
    lines = rest.split(b"\n")
    if lines.pop() or lines[:1] != [b"d 0755 ."]:
        raise NotAnExportError("its listing is not one of an environment")
    if len(lines) > MOST_ENTRIES:
        raise NotAnExportError(f"it has more than {MOST_ENTRIES} entries")
    for number, line in enumerate(lines):
        found = _LINE.fullmatch(line)
        if found is None or (line.startswith(b"x ") and len(rest) == len(listing)):
            raise NotAnExportError(f"line {number + 1} of its listing, {_words(line)}, is of no entry it may have")
        path = unquote_to_bytes(found["path"])
        if number == 0:
            directories.add(b"")
            yield _Entry("d", 0o755, 0, "", b"", b".")
            continue
        if line.startswith(b"x "):
            _check_hidden(path, last, directories, gone)
            gone.add(path)
            last = path
            yield _Entry("x", 0, 0, "", b"", path)
            continue
        _check_path(path, last, directories)
        entry = _Entry(
            line[:1].decode(),
            int(found["mode"] or b"755", 8),
            int(found["size"] or 0),
            (found["sha256"] or b"").decode(),
            unquote_to_bytes(found["target"] or b""),
            path,
            int((found["at"] or found["link_at"] or b"@%d" % TIME)[1:]),
        )
        if entry.time not in TIMES:
            raise NotAnExportError(f"{_words(path)} has a time that no entry keeps")
        size += entry.size
        if size > MOST_BYTES:
            raise NotAnExportError(f"it has more than {MOST_BYTES >> 30} GB")
        if entry.kind == "d":
            directories.add(path)
        elif path.decode("utf-8", "replace") in MOUNT_POINTS:
            raise NotAnExportError(f"{_words(path)} is not a directory")
        if entry.kind == "l":
            _check_target(entry)
        last = path
        yield entry


def _check_path(path: bytes, last: bytes, directories: set[bytes]) -> None:
    parts = _parts(path)
    if path <= last:
        raise NotAnExportError(f"{_words(path)} is there twice or out of order")
    if b"/".join(parts[:-1]) not in directories:
        raise NotAnExportError(f"{_words(path)} is below no directory of its own")


def _check_hidden(path: bytes, last: bytes, directories: set[bytes], gone: set[bytes]) -> None:
    """What is hidden of the environment below: itself, and nothing that a build needs to begin."""
    _parts(path)
    if path < last or (path == last and (path not in directories or path in gone)):
        raise NotAnExportError(f"{_words(path)} is there twice or out of order")
    if above(path) & gone or path.split(b"/")[0].decode("utf-8", "replace") in MOUNT_POINTS:
        raise NotAnExportError(f"{_words(path)} is not to be hidden")


def _parts(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    if b"\0" in path or len(path) > _LONGEST or any(part in _NO_NAMES or len(part) > 255 for part in parts):
        raise NotAnExportError(f"{_words(path)} is not a path inside it")
    return parts


def _check_target(link: _Entry) -> None:
    depth = 0 if link.target.startswith(b"/") else link.path.count(b"/")
    for part in link.target.split(b"/"):
        depth += {b"..": -1, b".": 0, b"": 0}.get(part, 1)
        if depth < 0 or b"\0" in part or len(link.target) > _LONGEST:
            raise NotAnExportError(f"the link {_words(link.path)} leads out of it")


def _entry_header(each: _Entry) -> bytes:
    name = b"root" if each.path == b"." else b"root/" + each.path
    return header(name, each.kind, each.mode, each.size, each.target, time=each.time)


def _copy(source: BinaryIO, target: BinaryIO, each: _Entry) -> None:
    digest, left = hashlib.sha256(), each.size
    while left:
        chunk = take(source, min(left, _CHUNK))
        digest.update(chunk)
        target.write(chunk)
        left -= len(chunk)
    if digest.hexdigest() != each.sha256:
        raise NotAnExportError(f"{_words(each.path)} has other bytes than its listing says")


def _words(path: bytes) -> str:
    text = path[:200].decode("utf-8", "replace")
    return repr(text if len(path) <= 200 else f"{text}…")
