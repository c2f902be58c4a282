"""A Debian package (deb(5)) as a value that accounts for every byte: an ar archive with two tar archives in it."""

from __future__ import annotations

from typing import Any, NamedTuple

from rebuilder.programs.archive.dangers import plain_name
from rebuilder.programs.archive.tar import TarArchive, TarMember

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
