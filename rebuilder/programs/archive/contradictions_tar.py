"""Where two readers of tar make different things of one archive; see ``archive_contradictions``."""

from __future__ import annotations

from collections.abc import Callable

from rebuilder.programs.archive.limits import Stretch, stretch
from rebuilder.programs.archive.reading import examples
from rebuilder.programs.archive.tar import TarArchive, TarMember
from rebuilder.programs.archive.tar_headers import BASE_256, Number, TarHeader, without_numbers

_DECIDES = {b"path", b"linkpath", b"size", b"hdrcharset"}
"""Keys of pax records that no header may have for all members: many readers pass over those headers."""
_OCTAL_MOST = 1 << 33
"""The first size that does not fit into the octal form."""
_PADDING = 1 << 20
"""Most zeros after the end that pass for padding."""
_STAR_PREFIX = 131
"""Bytes of a prefix in the form of star, which has times behind it."""
_CHARSETS = {b"ISO-IR 10646 2000 UTF-8", b"BINARY"}


def tar_contradictions(archive: TarArchive) -> tuple[str, ...]:
    """The contradictions of a tar archive; sentences for a person."""
    sentences = []
    for text, found in _MEMBERS:
        names = [each.name for each in archive.members if each.written is not None and found(each)]
        if names:
            sentences.append(text.format(examples(names)))
    return (*sentences, *_whole(archive))


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


_MEMBERS: tuple[tuple[str, Callable[[TarMember], bool]], ...] = (
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


def _whole(archive: TarArchive) -> list[str]:
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
