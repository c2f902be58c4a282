"""A Debian package (deb(5)) as a value that accounts for every byte: an ar archive with two tar archives in it.

The reader trusts nothing that the archive says about itself. The order of parts is that of dpkg, which goes forward:
``debian-binary``, the control archive, the data archive; other parts may stand between them only if their names begin
with an underscore, and behind them anyhow. Readers that look parts up by their names must find the same ones, which
:mod:`rebuilder.programs.archive.contradictions` says.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import IO, Any, BinaryIO, NamedTuple

from rebuilder.programs.archive.dangers import plain_name
from rebuilder.programs.archive.reading import CHUNK, Entry, Keep, Reading, Receive, UnreadableError, shown
from rebuilder.programs.archive.stream import Window, compression_of
from rebuilder.programs.archive.tar import TarArchive, TarMember, read_tar

AR = b"!<arch>\n"
HEADER = 60
"""Bytes of a header (ar(5))."""
FORMAT = b"2.0\n"
"""Content of ``debian-binary``."""
CONTROL, DATA = "control.tar", "data.tar"


class ArMember(NamedTuple):
    """The header of one part of a package."""

    name: str
    """Without blanks and the slash with which some writers end it."""
    mtime: str
    """Seconds since 1970."""
    owner: tuple[int, int]
    """User and group."""
    mode: int
    slash: bool
    """Whether the name ends in a slash."""
    odd: bytes | None
    """The whole header, where it is not written as every writer does it."""
    padding: bytes
    """The byte that fills a part of odd length up."""


class DebArchive(NamedTuple):
    """A whole package."""

    ar: tuple[ArMember, ...]
    """Headers of all parts, in their order."""
    loose: tuple[TarMember, ...]
    """The parts that are no archives, in the shape of members: ``debian-binary``, and what should not be there."""
    control: TarArchive
    data: TarArchive

    @property
    def members(self) -> tuple[TarMember, ...]:
        """All members of all parts; those of an archive have its name in front, as a directory."""
        inner = (each for part, archive in self.parts for each in prefixed(part, archive.members))
        return (*self.loose, *inner)

    @property
    def parts(self) -> tuple[tuple[str, TarArchive], ...]:
        """The two archives in it, by their names without the kind of compression."""
        return (CONTROL, self.control), (DATA, self.data)


def prefixed(part: str, members: Any) -> tuple[TarMember, ...]:
    """Members of an archive within a package as members of the package."""
    return tuple(
        each._replace(name=inner_name(part, each.name), raw_name=part.encode() + b"/" + each.raw_name)
        for each in members
    )


def inner_name(part: str, name: str) -> str:
    """What a member within a package is called: the name of the archive in front, as a directory."""
    return f"{part}/{name[2:] if name.startswith('./') else name}"


def installed(archive: DebArchive) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What is there once dpkg has unpacked it: all that a member decides but its time, by archive and path."""
    found: dict[tuple[str, str], tuple[Any, ...]] = {}
    for part, inner in archive.parts:
        for each in inner.members:
            place = (part, plain_name(each.name))
            facts = (each.kind, each.sha256, each.size, each.raw_link, each.mode, each.owner, each.device, each.records)
            found[place] = (*found.get(place, ()), facts)
    return found


def twice(archive: DebArchive) -> list[str]:
    """Names that a package has twice in one of its archives: readers differ in which they take."""
    names = []
    for part, inner in archive.parts:
        seen: set[str] = set()
        for each in inner.members:
            path = plain_name(each.name)
            if path in seen:
                names.append(inner_name(part, each.name))
            seen.add(path)
    return names


_PARTS = 100
_LOOSE_BYTES = 1 << 20
_CONFFILES_BYTES = 1 << 20
_NAME = re.compile(rb"([!-.0-~]{1,16})(/?) *")
_DECIMAL = re.compile(rb"([0-9]{1,12}) *")
_OCTAL = re.compile(rb"([0-7]{1,8}) *")
_ARCHIVE = re.compile(r"(?P<part>control\.tar|data\.tar)(?P<ending>\.(?:gz|xz|bz2|zst|lzma))?")


class Part(NamedTuple):
    """One part of an ar archive."""

    header: ArMember
    content: Window


def read_deb(file: BinaryIO, keep: Keep, *, raw: bool, receive: Receive | None = None) -> Reading:
    """Read a whole package; damage ends up in ``problems``, never in an exception.

    The arguments are those of :func:`~rebuilder.programs.archive.opening.read_archive`.
    """
    reader = _Reader(keep, receive, raw=raw)
    try:
        archive: DebArchive | None = reader.archive(file)
        problems = (*reader.problems, *_conffiles(archive, reader.conffiles)) if archive is not None else ()
    except UnreadableError as error:
        partial = TarArchive(None, (), tuple(reader.members), 0, None)
        told = (str(error), *reader.problems)
        return Reading("deb", partial, told, readable=False, contents=reader.contents)
    return Reading("deb", archive, problems, readable=True, contents=reader.contents)


def _ar_parts(file: BinaryIO) -> list[Part]:
    """The parts of an ar archive."""
    end, at = os.fstat(file.fileno()).st_size, len(AR)
    found: list[Part] = []
    while at < end:
        header = os.pread(file.fileno(), HEADER, at)
        if len(header) < HEADER or header[58:] != b"`\n":
            raise UnreadableError("It is damaged: what stands behind its parts is none.")
        size, member = _header(header)
        at += HEADER
        if at + size > end:
            raise UnreadableError(f"It is cut short inside “{shown(member.name)}”.")
        padding = os.pread(file.fileno(), size % 2, at + size)
        if len(padding) < size % 2:
            raise UnreadableError(f"It is cut short behind “{shown(member.name)}”.")
        found.append(Part(member._replace(padding=padding), Window(file, at, size)))
        at += size + size % 2
        if len(found) > _PARTS:
            raise UnreadableError(f"It has more than {_PARTS} parts.")
    return found


def _header(raw: bytes) -> tuple[int, ArMember]:
    name = _NAME.fullmatch(raw[:16])
    numbers = [_DECIMAL.fullmatch(raw[begin:end]) for begin, end in ((16, 28), (28, 34), (34, 40), (48, 58))]
    mode = _OCTAL.fullmatch(raw[40:48])
    if name is None or mode is None or None in numbers:
        raise UnreadableError("It is damaged: the header of a part has a name or a number that is none.")
    mtime, user, group, size = (int(each[1]) for each in numbers if each is not None)
    written = name[1] + name[2]
    plain = b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (written, mtime, user, group, int(mode[1], 8), size)
    header = ArMember(
        name=name[1].decode("ascii"),
        mtime=str(mtime),
        owner=(user, group),
        mode=int(mode[1], 8),
        slash=bool(name[2]),
        odd=None if plain == raw else raw,
        padding=b"",
    )
    return size, header


class _Reader:
    def __init__(self, keep: Keep, receive: Receive | None, *, raw: bool) -> None:
        self._keep, self._receive, self._raw = keep, receive, raw
        self.members: list[TarMember] = []
        self.contents: dict[int, bytes] = {}
        self.problems: list[str] = []
        self.conffiles = b""

    def archive(self, file: BinaryIO) -> DebArchive:
        found = _ar_parts(file)
        names = [each.header.name for each in found]
        if not names or names[0] != "debian-binary":
            raise UnreadableError("It is no package: its first part is not debian-binary.")
        archives = [index for index, name in enumerate(names) if _ARCHIVE.fullmatch(name)]
        parts = [name.partition(".tar")[0] + ".tar" for name in names]
        if len(archives) < 2 or [parts[each] for each in archives[:2]] != [CONTROL, DATA]:
            raise UnreadableError("It is no package: it has no control.tar followed by a data.tar.")
        between = [name for name in names[1 : archives[1]] if not name.startswith("_") and not _ARCHIVE.fullmatch(name)]
        if between:
            raise UnreadableError(f"It is no package: “{shown(between[0])}” stands in front of its files.")
        loose = [self._loose(index, each) for index, each in enumerate(found) if index not in archives[:2]]
        others = [each.name for each in loose[1:]]
        if others:
            self.problems.append(f"It has parts that no package has: {', '.join(map(shown, others[:5]))}.")
        control, data = (self._inner(found[index]) for index in archives[:2])
        if not any(plain_name(each.name) == "control" and each.kind == "file" for each in control.members):
            raise UnreadableError("It is no package: there is no control file in it.")
        return DebArchive(tuple(each.header for each in found), tuple(loose), control, data)

    def _loose(self, index: int, part: Part) -> TarMember:
        header, content = part
        if index == 0 and content.size > _LOOSE_BYTES:
            raise UnreadableError("It is no package: its debian-binary is far too large.")
        digest, place = hashlib.sha256(), len(self.members)
        wanted, head = self._keep(place, header.name), b""
        while data := content.read(CHUNK):
            digest.update(data)
            head += data[: max(0, wanted - len(head))]
        if wanted:
            self.contents[place] = head
        member = TarMember(
            name=header.name,
            raw_name=header.name.encode(),
            kind="file",
            size=content.size,
            sha256=digest.hexdigest(),
            link=None,
            raw_link=b"",
            mode=header.mode & 0o7777,
            mtime=header.mtime,
            owner=(*header.owner, b"", b""),
            device=None,
            records=(),
            written=None,
            padding=None,
        )
        self.members.append(member)
        return member

    def _inner(self, part: Part) -> TarArchive:
        name, content = part.header.name.partition(".tar")[0] + ".tar", part.content
        begin = len(self.members)
        wanted: dict[int, int] = {}

        def keep(index: int, member: str) -> int:
            wanted[index] = self._keep(begin + index, inner_name(name, member))
            named = name == CONTROL and plain_name(member) == "conffiles"
            return max(wanted[index], _CONFFILES_BYTES if named else 0)

        def receive(entry: Entry) -> IO[bytes] | None:
            return self._receive(entry._replace(name=f"{name}/{entry.name}")) if self._receive else None

        compression = compression_of(content.begins(8))
        reading = read_tar(
            content, compression, keep, raw=self._raw, receive=receive if self._receive else None, rooted=name == DATA
        )
        inner: TarArchive = reading.archive
        for index, data in reading.contents.items():
            if name == CONTROL and index < len(inner.members) and plain_name(inner.members[index].name) == "conffiles":
                self.conffiles += data
            if wanted[index]:
                self.contents[begin + index] = data[: wanted[index]]
        self.members += prefixed(name, inner.members)
        self.problems += [f"In {name}: {each}" for each in reading.problems]
        if not reading.readable:
            raise UnreadableError(f"Its {name} cannot be read to its end: {reading.problems[0]}")
        return inner


def _conffiles(archive: DebArchive, text: bytes) -> list[str]:
    """What is odd about the configuration files that a package names: dpkg keeps what stands at such a path."""
    kinds = {plain_name(each.name): each.kind for each in archive.data.members}
    found = []
    for line in text.decode("utf-8", "backslashreplace").splitlines():
        words = line.split()
        if not words or words[0] == "remove-on-upgrade":
            continue
        path = words[-1]
        kind = kinds.get(plain_name(path))
        if not path.startswith("/") or ".." in path.split("/"):
            found.append(f"It names a configuration file that is no path: “{shown(path)}”.")
        elif kind != "file":
            what = "is not in it" if kind is None else f"is a {kind}"
            found.append(f"It names a configuration file that {what}: “{shown(path)}”.")
    return found[:20]
