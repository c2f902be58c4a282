"""Where two readers make different things of one archive: each contradiction in one plain sentence.

What is listed here is no matter of taste: for each there are programs in use that go by the one side and programs that
go by the other, so that the archive has two contents. An archive with any of them is equal to no other archive.
Honest writers make none of them; what they do make (data descriptors, padding, older host systems) is not listed.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any

from rebuilder.programs.archive.deb import FORMAT, DebArchive, twice
from rebuilder.programs.archive.landing import UNICODE_PATH, dist_infos, torn, twins
from rebuilder.programs.archive.reading import Stretch, examples, shown, stretch
from rebuilder.programs.archive.tar import BASE_256, Number, TarArchive, TarHeader, TarMember, without_numbers
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
_DECIDES = {b"path", b"linkpath", b"size", b"hdrcharset"}
"""Keys of pax records that no header may have for all members: many readers pass over those headers."""
_OCTAL_MOST = 1 << 33
"""The first size that does not fit into the octal form."""
_PADDING = 1 << 20
"""Most zeros after the end that pass for padding."""
_STAR_PREFIX = 131
"""Bytes of a prefix in the form of star, which has times behind it."""
_CHARSETS = {b"ISO-IR 10646 2000 UTF-8", b"BINARY"}


def contradictions(archive: Any) -> tuple[str, ...]:
    """The contradictions of an archive of any format; none of an archive that could not be read."""
    if isinstance(archive, ZipArchive):
        return zip_contradictions(archive)
    if isinstance(archive, DebArchive):
        return deb_contradictions(archive)
    return tar_contradictions(archive) if archive is not None else ()


def zip_contradictions(archive: ZipArchive) -> tuple[str, ...]:
    """The contradictions of a ZIP file, the gravest first; sentences for a person."""
    sentences = []
    for text, found in _ZIP_MEMBERS:
        names = [each.name for each in archive.members if found(each)]
        if names:
            sentences.append(text.format(examples(names)))
    return (*_landings(archive), *sentences, *_whole_zip(archive))


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


_ZIP_MEMBERS: tuple[tuple[str, Callable[[ZipMember], bool]], ...] = (
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


def _whole_zip(archive: ZipArchive) -> list[str]:
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


def tar_contradictions(archive: TarArchive) -> tuple[str, ...]:
    """The contradictions of a tar archive; sentences for a person."""
    sentences = []
    for text, found in _TAR_MEMBERS:
        names = [each.name for each in archive.members if each.written is not None and found(each)]
        if names:
            sentences.append(text.format(examples(names)))
    return (*sentences, *_whole_tar(archive))


def _records(member: TarMember) -> dict[bytes, list[bytes]]:
    """Every value of every key in front of a member, those of GNU long names too, in their order."""
    result: dict[bytes, list[bytes]] = {}
    for extension in member.written[1] if member.written else ():
        for key, value, _rest in extension.records:
            result.setdefault(key, []).append(value)
    return result


def _header(member: TarMember) -> TarHeader:
    assert member.written is not None  # noqa: S101 - of archives as they were read
    return member.written[0]


def _twice(*keys: bytes) -> Callable[[TarMember], bool]:
    return lambda member: any(len(set(_records(member).get(key, ()))) > 1 for key in keys)


def _other_key_twice(member: TarMember) -> bool:
    return any(len(set(values)) > 1 for key, values in _records(member).items() if key not in _DECIDES)


def _empty(member: TarMember) -> bool:
    records = _records(member)
    return any(b"" in records.get(key, ()) for key in _DECIDES)


def _sizes(member: TarMember) -> bool:
    header, records = _header(member), _records(member)
    size = header.size
    if any(int(value or b"0") != size.value for value in records.get(b"size", ())):
        return True
    if any(key.startswith((b"SCHILY.realsize", b"SUN.holesdata")) for key in records):
        return True
    extensions = member.written[1] if member.written else ()
    return any(_two_sizes(each) for each in (size, *(extension.header.size for extension in extensions)))


def _two_sizes(size: Number) -> bool:
    """A size that some readers read as another: the binary form without need, digits behind its end."""
    if size.style == BASE_256:
        return size.value < _OCTAL_MOST
    after = size.style.partition(b"\0")[2] if isinstance(size.style, bytes) and size.style[0] < 0x80 else b""
    return any(digit in after for digit in b"01234567")


def _sized(member: TarMember) -> bool:
    return member.kind not in {"file", "directory"} and _header(member).size.value != 0


def _sized_directory(member: TarMember) -> bool:
    return member.kind == "directory" and _header(member).size.value != 0


def _directory_by_name(member: TarMember) -> bool:
    """A regular file is a directory by the slash at the end of its name: of which of its names, readers disagree."""
    header = _header(member)
    if header.type not in (b"0", b"\0", b"7"):
        return False
    directory = member.kind == "directory"
    return header.name.value.endswith(b"/") != directory if header.type == b"\0" else directory


def _cut(member: TarMember) -> bool:
    rests = [
        rest
        for extension in (member.written[1] if member.written else ())
        if extension.header.type in (b"L", b"K")
        for _key, _value, rest in extension.records
    ]
    return b"\0" in member.raw_name or b"\0" in member.raw_link or any(rest.strip(b"\0") for rest in rests)


def _prefixed(member: TarMember) -> bool:
    header = _header(member)
    if not header.magic.startswith(b"ustar\0"):
        return header.prefix.rest[:1] not in (b"", b"\0")
    if b"path" in _records(member) or not header.prefix.value:
        return False
    star = header.tail.endswith(b"tar") and len(header.prefix.value) > _STAR_PREFIX
    return star or header.magic != b"ustar\x0000"


def _ends(member: TarMember) -> bool:
    """Python's reader ends at a header like this, as if the archive did."""
    extensions = member.written[1] if member.written else ()
    return any(without_numbers(each) for each in (_header(member), *(extension.header for extension in extensions)))


def _solaris(member: TarMember) -> bool:
    return any(extension.header.type == b"X" for extension in (member.written[1] if member.written else ()))


def _charset(member: TarMember) -> bool:
    return bool(set(_records(member).get(b"hdrcharset", ())) - _CHARSETS)


_TAR_MEMBERS: tuple[tuple[str, Callable[[TarMember], bool]], ...] = (
    ("A member has two names that disagree, and readers differ in which they take: {}.", _twice(b"path")),
    ("A link has two targets that disagree, and readers differ in which they take: {}.", _twice(b"linkpath")),
    ("The sizes that headers give for a member contradict each other: {}.", _sizes),
    ("A size is given twice: {}.", _twice(b"size")),
    ("A pax record is given twice, with two values: {}.", _other_key_twice),
    ("A pax record for a name, a target or a size is empty: {}.", _empty),
    ("A link or device claims to have content, which some readers skip and some do not: {}.", _sized),
    ("A directory claims to have content, which some readers skip and some do not: {}.", _sized_directory),
    ("A member is a file by its type and a directory by its name: {}.", _directory_by_name),
    ("A name is cut by readers that take a NUL for its end: {}.", _cut),
    ("A name has a beginning that only some readers add: {}.", _prefixed),
    ("A name is in a character set that readers do not know: {}.", _charset),
    ("A header is taken for the end of the archive by some readers: {}.", _ends),
    ("A header of Solaris says more about a member, which many readers pass over: {}.", _solaris),
)


def _whole_tar(archive: TarArchive) -> list[str]:
    keys: set[bytes] = {key for _index, each in archive.globals for key, _value, _rest in each.records}
    compression = archive.compression
    found = {
        "A header for all members gives a name, a target or a size, which many readers pass over.": keys & _DECIDES,
        "A header for all members is taken for the end of the archive by some readers.": any(
            without_numbers(each.header) for _index, each in archive.globals
        ),
        "There are bytes after its end.": archive.trailing,
        "There are bytes after its compressed data.": compression is not None
        and _more_than_zeros(compression.trailing),
        "Its compressed data are several streams, of which some readers read the first.": compression is not None
        and compression.kind == "gz"
        and len(compression.streams) > 1,
    }
    return [sentence for sentence, true in found.items() if true]


def _more_than_zeros(trailing: Stretch | None) -> bool:
    """Bytes that are no padding: zeros are what tapes and block devices leave, and all readers pass over them."""
    return trailing is not None and (trailing.size > _PADDING or stretch(bytes(trailing.size)) != trailing)


_FORMAT_SHA256 = hashlib.sha256(FORMAT).hexdigest()


def deb_contradictions(archive: DebArchive) -> tuple[str, ...]:
    """The contradictions of a Debian package: of its parts, then of the archives in it; sentences for a person."""
    names = [each.name for each in archive.ar]
    stems = [each.partition(".tar")[0] for each in names]
    single = {"control", "data", "debian-binary"}
    again = [each for index, each in enumerate(stems) if each in single and each in stems[:index]]
    paths = twice(archive)
    found = {
        f"It has a part twice, and readers differ in which they take: {examples(again)}.": again,
        "It says that it is of another version of the format.": archive.loose[0].sha256 != _FORMAT_SHA256,
        "The header of a part is written in a way that only some readers read.": any(each.odd for each in archive.ar),
        "A part of odd length is filled up by something else than a line feed.": any(
            each.padding not in (b"", b"\n") for each in archive.ar
        ),
        f"It holds a path twice, and readers differ in which they take: {examples(paths)}.": paths,
    }
    sentences = [sentence for sentence, true in found.items() if true]
    for part, inner in archive.parts:
        name = next(each for each in names if each.startswith(part))
        kind = inner.compression.kind if inner.compression else ""
        if name != f"{part}.{kind}".rstrip("."):
            sentences.append(f"The name of {shown(name)} says another compression than it has.")
        sentences += [f"In {part}: {each}" for each in tar_contradictions(inner)]
    return tuple(sentences)
