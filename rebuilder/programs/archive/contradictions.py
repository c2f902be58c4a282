"""Where two readers make different things of one archive: each contradiction in one plain sentence.

What is listed here is no matter of taste: for each there are programs in use that go by the one side and programs that
go by the other, so that the archive has two contents. An archive with any of them is equal to no other archive.
Honest writers make none of them; what they do make (data descriptors, padding, older host systems) is not listed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

from rebuilder.programs.archive.contradictions_tar import tar_contradictions
from rebuilder.programs.archive.landing import UNICODE_PATH, dist_infos, torn, twins
from rebuilder.programs.archive.reading import examples, shown
from rebuilder.programs.archive.zip import ZipArchive, ZipMember
from rebuilder.programs.archive.zip_records import (
    BROKEN_EXTRA,
    DESCRIPTOR_FLAG,
    FULL16,
    FULL32,
    has_signature,
)

_UTF8_FLAG = 1 << 11
_LEVEL_FLAGS = 0b110
_SIZES = {"csize": "size", "usize": "size", "crc": "checksum", "wide csize": "size", "wide usize": "size"}


def contradictions(archive: Any) -> tuple[str, ...]:
    """The contradictions of an archive of any format; none of an archive that could not be read."""
    if isinstance(archive, ZipArchive):
        return zip_contradictions(archive)
    return tar_contradictions(archive) if archive is not None else ()


def zip_contradictions(archive: ZipArchive) -> tuple[str, ...]:
    """The contradictions of a ZIP file, the gravest first; sentences for a person."""
    sentences = []
    for text, found in _MEMBERS:
        names = [each.name for each in archive.members if found(each)]
        if names:
            sentences.append(text.format(examples(names)))
    return (*_landings(archive), *sentences, *_whole(archive))


def _landings(archive: ZipArchive) -> list[str]:
    sentences = []
    apart = torn(archive)
    if apart is not None:
        member, first, second = apart
        sentences.append(
            f"Readers disagree about the name of “{shown(member.name)}”: "
            f"to some it is “{shown(first)}”, to others “{shown(second)}”."
        )
    found = twins(archive)
    for path, members in found[:1]:
        distinct = list(dict.fromkeys(each.name for each in members))
        names = examples(distinct) if len(distinct) > 1 else f"“{shown(distinct[0])}”, {len(members):,} times"
        others = f" So it is with {len(found):,} paths in all." if len(found) > 1 else ""
        sentences.append(
            f"Members that are not the same are installed to one path, “{shown(path)}”: {names}; which one stays "
            f"depends on the installer and on the order of members.{others}"
        )
    infos = sorted(dist_infos(archive))
    if len(infos) > 1:
        sentences.append(f"It has more than one .dist-info directory: {examples(infos)}.")
    return sentences


def _header_sizes(member: ZipMember) -> bool:
    """The local header gives a size or checksum that is not the member's, and nothing says that it does not know."""
    streamed = member.flags & dict(member.odd).get("flags", member.flags) & DESCRIPTOR_FLAG
    wide = {field for kind, data in member.local_extra if kind == 1 and isinstance(data, tuple) for field in data[0]}
    return any(
        name in _SIZES and not (streamed and value == 0) and not (value == FULL32 and name in wide)
        for name, value in member.odd
    )


def _header_flags(member: ZipMember) -> bool:
    ignored = _LEVEL_FLAGS | (_UTF8_FLAG if member.raw_name.isascii() else 0)
    return any(name == "flags" and (value ^ member.flags) & ~ignored for name, value in member.odd)


def _descriptor(member: ZipMember) -> bool:
    """A data descriptor is announced, and is not there or cannot be found by a reader that has come to it."""
    if not member.flags & DESCRIPTOR_FLAG:
        return False
    odd = {name for name, _value in member.odd}
    return member.descriptor is None or bool(odd & {"no data", "headers in data"})


def _encoding(member: ZipMember) -> bool:
    if not member.flags & _UTF8_FLAG:
        return False
    try:
        member.raw_name.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _unicode_path(member: ZipMember) -> bool:
    return any(
        kind == UNICODE_PATH and (not isinstance(data, bytes) or data[5:] != member.name.encode("utf-8", "replace"))
        for kind, data in (*member.extra, *member.local_extra)
    )


def _odd(*names: str) -> Callable[[ZipMember], bool]:
    return lambda member: any(name in names for name, _value in member.odd)


def _extra_bytes(blocks: Sequence[tuple[int, Any]]) -> bytes:
    return b"".join(
        struct.pack("<HH", kind & 0xFFFF, len(data)) + data for kind, data in blocks if isinstance(data, bytes)
    )


def _broken_extra(member: ZipMember) -> bool:
    blocks = (*member.extra, *member.local_extra)
    return any(kind == BROKEN_EXTRA and len(data) >= 4 for kind, data in blocks)


def _climbs(member: ZipMember) -> bool:
    name = member.name
    return name.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:[/\\]", name)) or ".." in re.split(r"[/\\]", name)


_MEMBERS: tuple[tuple[str, Callable[[ZipMember], bool]], ...] = (
    ("The local header and the central directory give different names: {}.", _odd("name")),
    ("The local header and the central directory give different sizes or checksums: {}.", _header_sizes),
    ("The local header and the central directory name different compressions: {}.", _odd("method")),
    ("The local header and the central directory have different flags: {}.", _header_flags),
    ("A data descriptor is announced, and a reader that goes forward does not find it: {}.", _descriptor),
    ("ZIP64 sizes contradict each other: {}.", _odd("ZIP64 block")),
    ("A member is said to be on another disk: {}.", _odd("disk")),
    ("There are bytes between members that belong to none: in front of {}.", lambda each: each.gap is not None),
    ("There are bytes after the end of compressed data: {}.", lambda each: each.slack is not None),
    ("A name is cut by readers that take a NUL for its end: {}.", lambda each: b"\0" in each.raw_name),
    ("A name is said to be UTF-8 and is not: {}.", _encoding),
    ("A field with a unicode path gives another name: {}.", _unicode_path),
    ("An extra field is malformed: {}.", _broken_extra),
    ("There are signatures of ZIP structures in a name: {}.", lambda each: has_signature(each.raw_name)),
    ("There are signatures of ZIP structures in a comment: {}.", lambda each: has_signature(each.comment)),
    (
        "There are signatures of ZIP structures in an extra field: {}.",
        lambda each: has_signature(_extra_bytes(each.extra)) or has_signature(_extra_bytes(each.local_extra)),
    ),
    ("A name leads out of the tree, which some readers refuse and some pass over: {}.", _climbs),
    ("A name is empty: {}.", lambda each: each.kind != "directory" and not each.name.strip("/.")),
    (
        "A member is a directory by its mode and a file by its name: {}.",
        lambda each: each.kind == "directory" and not each.raw_name.endswith(b"/"),
    ),
    ("A directory has content: {}.", lambda each: each.kind == "directory" and each.size > 0),
)


def _whole(archive: ZipArchive) -> list[str]:
    found: dict[str, Any] = {
        "There are bytes in front of its first member.": archive.prefix or archive.shift,
        "There are bytes between its last member and its central directory.": archive.before_directory,
        "There are bytes after the last header of its central directory.": archive.directory_tail,
        "There are bytes after its end.": archive.trailing,
        "Its comment holds signatures of ZIP structures.": has_signature(archive.comment),
        "Its end record contradicts the rest of it.": any(
            archive.zip64_end is None or value not in {FULL16, FULL32} for _name, value in archive.end_odd
        ),
        "Its end record asks for a ZIP64 record, and there is none.": archive.zip64_end is None
        and len(archive.members) == FULL16,
        "Its ZIP64 end record holds bytes that mean nothing.": archive.zip64_end and archive.zip64_end[2],
    }
    return [sentence for sentence, true in found.items() if true]
