"""Git's objects, read from a repository of ours without filters and checked against their names.

The forms are those of git's documentation (gitformat-index, "git-cat-file", "git-ls-tree"; the commit and tag objects
of "git help mktag" and "git help commit-tree").
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, NamedTuple

from rebuilder.model.git import LargeFile, Trouble
from rebuilder.model.text import clipped
from rebuilder.network.git.process import Git
from rebuilder.programs.source.git_store import SUBMODULE, object_name, trees

_CHUNK = 1 << 20
_HEADER = re.compile(rb"([0-9a-f]{40}) (blob|tree|commit|tag) ([0-9]{1,18})\n")
_COMMIT = re.compile(
    rb"tree (?P<tree>[0-9a-f]{40})\n(?P<parents>(?:parent [0-9a-f]{40}\n)*)"
    rb"author [^\n]*\ncommitter [^\n]*> (?P<time>[0-9]{1,18}) [+-][0-9]{4,6}\n"
)
_TAG = re.compile(rb"object (?P<object>[0-9a-f]{40})\ntype (?P<type>[a-z]+)\ntag (?P<name>[^\n]*)\n")
_ENTRY = re.compile(rb"([0-7]{6}) (blob|commit) ([0-9a-f]{40}) +([0-9]+|-)\t(.+)", re.DOTALL)
_SUBMODULE_KEYS = r"^submodule\..*\.(path|url)$"
_KINDS = {b"100644": "file", b"100755": "program", b"120000": "link", b"160000": "submodule"}
MOST_PARTS = 200
"""Longest path that is taken, in names; the checkout takes as many."""
MOST_OBJECT_BYTES = 1 << 20
"""Largest commit or tag object that is looked at."""


class Unsound(Exception):  # noqa: N818 - reads as what happened
    """Content that is damaged, does harm, or is too much; the text is a sentence."""

    def __init__(self, sentence: str, trouble: Trouble = Trouble.UNSOUND) -> None:
        super().__init__(sentence)
        self.trouble = trouble


class RawCommit(NamedTuple):
    """A commit object."""

    data: bytes
    tree: str
    parents: tuple[str, ...]
    committed_at: datetime


class TreeEntry(NamedTuple):
    """One path of a tree."""

    path: bytes
    kind: str
    """``file``, ``program`` (an executable file), ``link`` or ``submodule``."""
    name: str
    """Of the object, 40 hexadecimal digits."""
    size: int


def read_commit(data: bytes, name: str) -> RawCommit:
    """Understand a commit object.

    Raises:
        Unsound: it is not the one of that name, or nothing git would have made.
    """
    found = _COMMIT.match(data)
    if object_name("commit", data) != name or found is None:
        raise Unsound(f"What came is not the commit {name}.")
    try:
        moment = datetime.fromtimestamp(int(found["time"]), UTC)
    except (ValueError, OverflowError, OSError):
        raise Unsound(f"The commit {name} was made at a time that no calendar has.") from None
    parents = tuple(line[7:].decode() for line in found["parents"].splitlines())
    return RawCommit(data, found["tree"].decode(), parents, moment)


def tag_points_at(data: bytes, commit: str) -> bool:
    """Whether this is the object of an annotated tag directly on the commit."""
    found = _TAG.match(data)
    return found is not None and (found["object"].decode(), found["type"]) == (commit, b"commit")


def read_object(git: Git, name: str, kind: str) -> bytes | None:
    """A small object, checked against its name; None when it is not there or is of another kind.

    Raises:
        Unsound: it has other bytes, or too many of them.
    """
    done = git.run("cat-file", "--batch", stdin=f"{name}\n".encode(), most_output=MOST_OBJECT_BYTES)
    found = _HEADER.match(done.output)
    if done.code or found is None or found[2].decode() != kind:
        return None
    data = done.output[found.end() : found.end() + int(found[3])]
    if object_name(kind, data) != name:
        raise Unsound(f"The {kind} {name} has other bytes than its name says.")
    return data


def read_entries(git: Git, tree: str, *, most: int) -> list[TreeEntry]:
    """Everything in a tree, in order of the bytes of the paths.

    Raises:
        Unsound: there are more than ``most``, or one that must not be written to a disk.
    """
    done = git.run("ls-tree", "-r", "-z", "-l", "--full-tree", tree, most_output=most * 300)
    if done.code:
        raise Unsound(f"The tree {tree} cannot be read.")
    lines = done.output.split(b"\0")[:-1]
    if len(lines) > most:
        raise Unsound(f"The commit has {len(lines):,} files; up to {most:,} are taken.", Trouble.TOO_LARGE)
    entries = sorted(_entry(line) for line in lines)
    _refuse_clashes(entries)
    modes = {kind: mode for mode, kind in _KINDS.items()}
    *_, outermost = trees({each.path: (modes[each.kind], each.name) for each in entries})
    if object_name("tree", outermost) != tree:
        # Git reads modes such as 100664 that it wrote long ago, but no longer writes them.
        raise Unsound(
            f"The tree {tree} is written in a form that git no longer makes, so it cannot be checked out again."
        )
    return entries


def _entry(line: bytes) -> TreeEntry:
    found = _ENTRY.fullmatch(line)
    if found is None or found[1] not in _KINDS:
        name = ascii(line.partition(b"\t")[2][:200])[1:]
        raise Unsound(f"The commit has an entry of a kind that git no longer writes, {name}.")
    path: bytes = found[5]
    parts = path.split(b"/")
    if len(parts) > MOST_PARTS:
        raise Unsound(f"The commit has a file below more than {MOST_PARTS} directories.")
    for part in parts:
        if part.lower() == b".git" or part in (b"", b".", b".."):
            raise Unsound(f"The commit has a file named {ascii(path[:200])[1:]}, which would do harm when checked out.")
    return TreeEntry(path, _KINDS[found[1]], found[3].decode(), 0 if found[4] == b"-" else int(found[4]))


def _refuse_clashes(entries: list[TreeEntry]) -> None:
    """Two entries for one path, or a file where another's directory is."""
    paths = {each.path for each in entries}
    if len(paths) != len(entries):
        raise Unsound("The commit has two entries for one path.")
    for path in paths:
        parent = path.rpartition(b"/")[0]
        while parent:
            if parent in paths:
                raise Unsound(f"In the commit, {ascii(parent[:200])[1:]} is both a file and a directory.")
            parent = parent.rpartition(b"/")[0]


def read_submodules(git: Git, gitmodules: bytes) -> Mapping[bytes, bytes]:
    """Path of each submodule to its address, as a commit's ``.gitmodules`` has them (gitmodules(5))."""
    done = git.run("config", "--file=-", "--no-includes", "--null", "--get-regexp", _SUBMODULE_KEYS, stdin=gitmodules)
    found: dict[bytes, dict[bytes, bytes]] = {}
    for line in done.output.split(b"\0")[:-1]:
        key, _, value = line.partition(b"\n")
        name, _, field_name = key.rpartition(b".")
        found.setdefault(name, {})[field_name] = value
    return {each[b"path"]: each[b"url"] for each in found.values() if {b"path", b"url"} <= each.keys()}


class Contents:
    """Hands out the bytes of many files, one after the other, each checked against its name."""

    def __init__(self, git: Git, stdin: IO[bytes], stdout: IO[bytes]) -> None:
        self._git, self._stdin, self._stdout = git, stdin, stdout

    def chunks(self, entry: TreeEntry) -> Iterator[bytes]:
        """The content of one entry; must be read to its end.

        Raises:
            Unsound: it is missing or has other bytes than its name says.
        """
        try:
            self._stdin.write(f"{entry.name}\n".encode())
            self._stdin.flush()
            found = _HEADER.fullmatch(self._stdout.readline(200))
        except BrokenPipeError:
            found = None
        if found is None or found[2] != b"blob" or int(found[3]) != entry.size:
            raise Unsound(f"The content of {ascii(entry.path[:200])[1:]} is missing from what came.")
        digest, left = hashlib.sha1(b"blob %d\0" % entry.size, usedforsecurity=False), entry.size
        while left:
            chunk = self._stdout.read(min(left, _CHUNK))
            if not chunk:
                raise Unsound(f"The content of {ascii(entry.path[:200])[1:]} is cut short.")
            digest.update(chunk)
            left -= len(chunk)
            yield chunk
            self._git.check_time()
        self._stdout.read(1)
        if digest.hexdigest() != entry.name:
            raise Unsound(f"The content of {ascii(entry.path[:200])[1:]} has other bytes than its name says.")


def read_references(output: bytes) -> Mapping[str, str]:
    """What ``ls-remote`` printed: reference to object name. ``…^{}`` is what an annotated tag leads to."""
    lines = (line.split(b"\t", 1) for line in output.splitlines())
    return {
        words[1].decode("utf-8", "replace"): words[0].decode()
        for words in lines
        if len(words) == 2 and re.fullmatch(rb"[0-9a-f]{40}", words[0])
    }


_BLOCK = 512
_LINK_BYTES = 4096
_POINTER = re.compile(rb"version https://git-lfs\.[^\n]*\n(?:[a-z0-9.-]+ [^\n]*\n)*?oid sha256:([0-9a-f]{64})\n")
_POINTER_BYTES = 1024
_NAMED = 3


@dataclass
class ArchiveFindings:
    """What is worth a note."""

    large_files: list[LargeFile] = field(default_factory=list)
    odd_names: list[str] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """The notes, as sentences."""
        return tuple(
            f"{sentence} {', '.join(names[:_NAMED])}{_more(names)}."
            for names, sentence in (
                ([each.path for each in self.large_files], "Pointers of Git LFS were left as they are:"),
                (self.odd_names, "There are file names with characters that cannot be printed:"),
            )
            if names
        )


def tar_chunks(entries: Sequence[TreeEntry], contents: Contents, moment: int, seen: ArchiveFindings) -> Iterator[bytes]:
    """The archive of entries in order of their paths, piece by piece; ``seen`` is told what is worth a note.

    ``moment`` is the time of every member, in seconds since 1970.

    Raises:
        Unsound: content is missing or damaged.
    """
    for entry in entries:
        if not entry.path.decode("utf-8", "surrogateescape").isprintable():
            seen.odd_names.append(_shown(entry.path))
        if entry.kind == "link":
            yield _header(entry, moment, link=_link(entry, contents))
        elif entry.kind == "submodule":
            yield _header(entry, moment)
        else:
            yield _header(entry, moment)
            yield from _content(entry, contents, seen)
    yield bytes(2 * _BLOCK)


def _content(entry: TreeEntry, contents: Contents, seen: ArchiveFindings) -> Iterator[bytes]:
    first = True
    for chunk in contents.chunks(entry):
        if first and entry.size <= _POINTER_BYTES and (pointer := _POINTER.match(chunk)):
            seen.large_files.append(LargeFile(path=_shown(entry.path), sha256=pointer[1].decode()))
        first = False
        yield chunk
    yield bytes(-entry.size % _BLOCK)


def _link(entry: TreeEntry, contents: Contents) -> bytes:
    if entry.size > _LINK_BYTES:
        raise Unsound(f"The symbolic link {ascii(entry.path[:200])[1:]} is longer than a path can be.")
    target = b"".join(contents.chunks(entry))
    if not target or b"\0" in target:
        raise Unsound(f"The symbolic link {ascii(entry.path[:200])[1:]} leads nowhere.")
    return target


def _header(entry: TreeEntry, moment: int, link: bytes = b"") -> bytes:
    info = tarfile.TarInfo(entry.path.decode("utf-8", "surrogateescape"))
    info.mtime = moment
    info.mode = 0o644 if entry.kind == "file" else 0o755
    if entry.kind == "link":
        info.type, info.mode = tarfile.SYMTYPE, 0o777
        info.linkname = link.decode("utf-8", "surrogateescape")
    elif entry.kind == "submodule":
        info.type = tarfile.DIRTYPE
        info.pax_headers = {SUBMODULE: entry.name}
    else:
        info.size = entry.size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _shown(path: bytes) -> str:
    return clipped(path.decode("utf-8", "surrogateescape"))


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
