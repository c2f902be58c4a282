"""Normalisations of ZIP files: each sets one kind of metadata aside and touches nothing else.

Every function takes an archive and gives the archive as it would be without that metadata. They are listed in
``docs/normalisations.md``; ``ZIP`` names them in the order in which they are applied.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from typing import Any, TypeVar

from rebuilder.programs.archive.dangers import implied_directories, plain_name
from rebuilder.programs.archive.landing import order_decides, timed_sources
from rebuilder.programs.archive.zip import ZipArchive, ZipMember
from rebuilder.programs.archive.zip_records import FULL16, FULL32, ZIP64_EXTRA

_Value = TypeVar("_Value", ZipMember, ZipArchive)

UMASK_BITS = 0o066
_EXECUTABLE = 0o111
_PRIVILEGED = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX
_LEVEL_FLAGS = 0b110
_DESCRIPTOR_FLAG = 1 << 3
_UTF8_FLAG = 1 << 11
_HOSTS = {0, 3, 10, 14, 19}
"""MS-DOS, Unix, NTFS, VFAT, OS X: hosts whose attributes are understood."""
_EXTRA_TIMES = {0x000A, 0x5455}
"""NTFS times, Unix "extended timestamp"."""
_READ_ONLY = 1
"""Attribute of MS-DOS."""
_NEEDED_MOST = 63
"""Python refuses members that need a later version of ZIP than this (APPNOTE 6.3)."""
_PLAIN_METHODS = {0, 8}
"""Stored and deflated, which every reader knows; some installers and ``zipimport`` know no other."""
_EXTRA_METADATA = {0x5855, 0x7855, 0x7875, 0xCAFE, 0xA220, 0xD935}
"""Info-ZIP Unix (times, owners; three generations), and marks or padding of Java, Office and Android writers."""


def zip_times(archive: ZipArchive) -> ZipArchive:
    """``zip-times``: last modification of each member, in its header and in extra fields for times.

    The time of a source stays where byte code beside it is valid for that very time.
    """
    timed = timed_sources(archive)

    def member(each: ZipMember) -> ZipMember:
        if each.raw_name in timed:
            return each
        return _changed(
            each,
            time=0,
            odd=_without(each.odd, lambda name, _value: name == "time"),
            extra=tuple(block for block in each.extra if block[0] not in _EXTRA_TIMES),
            local_extra=tuple(block for block in each.local_extra if block[0] not in _EXTRA_TIMES),
        )

    return _members(archive, member)


def zip_extra_fields(archive: ZipArchive) -> ZipArchive:
    """``zip-extra-fields``: extra fields that hold owners, padding or a writer's mark; unknown ones stay."""

    def member(each: ZipMember) -> ZipMember:
        return _changed(
            each,
            extra=tuple(block for block in each.extra if block[0] not in _EXTRA_METADATA),
            local_extra=tuple(block for block in each.local_extra if block[0] not in _EXTRA_METADATA),
        )

    return _members(archive, member)


def zip_host_system(archive: ZipArchive) -> ZipArchive:
    """``zip-host-system``: the system the writer ran on, and what it put for a missing Unix mode.

    A member without a Unix mode counts as an ordinary file that is not executable. An executable member keeps its
    host, since unzip tools look at executable bits for some hosts only.
    """

    def member(each: ZipMember) -> ZipMember:
        mode = each.external >> 16
        if each.host not in _HOSTS or each.external & 0xFF00 or (mode and not _ordinary(each)):
            return each
        if not mode:
            mode = stat.S_IFDIR | 0o755 if each.kind == "directory" else stat.S_IFREG | 0o644
            mode &= ~0o222 if each.external & _READ_ONLY else ~0
        odd_directory_bit = each.external & 0x10 if each.kind != "directory" else 0
        return _changed(each, host=3, external=mode << 16 | odd_directory_bit)

    return _members(archive, member)


def zip_regular_bit(archive: ZipArchive) -> ZipArchive:
    """``zip-regular-bit``: a mode that does not say it is one of a regular file, where nothing depends on it."""

    def member(each: ZipMember) -> ZipMember:
        mode = each.external >> 16
        if not mode or stat.S_IFMT(mode) or not _ordinary(each):
            return each
        kind = stat.S_IFDIR if each.kind == "directory" else stat.S_IFREG
        return _changed(each, external=each.external | kind << 16)

    return _members(archive, member)


def zip_umask_modes(archive: ZipArchive) -> ZipArchive:
    """``zip-umask-modes``: read and write permission of group and others; executable bits stay."""

    def member(each: ZipMember) -> ZipMember:
        return _changed(each, external=each.external & ~(UMASK_BITS << 16))

    return _members(archive, member)


def zip_compression(archive: ZipArchive) -> ZipArchive:
    """``zip-compression``: whether a member is deflated, and how well; decompressed contents are compared."""

    def member(each: ZipMember) -> ZipMember:
        if each.method not in _PLAIN_METHODS:
            return each
        odd = tuple((name, value & ~_LEVEL_FLAGS if name == "flags" else value) for name, value in each.odd)
        flags = each.flags & ~_LEVEL_FLAGS
        odd = _without(odd, lambda name, value: name == "flags" and value == flags)
        return _changed(each, method=0, flags=flags, raw=None, odd=odd)

    return _members(archive, member)


def zip_versions(archive: ZipArchive) -> ZipArchive:
    """``zip-versions``: the ZIP version a member was made with and needs, of those that all readers take."""

    def member(each: ZipMember) -> ZipMember:
        odd = _without(each.odd, lambda name, value: name == "needed" and value <= _NEEDED_MOST)
        return _changed(each, made=0, needed=each.needed if each.needed > _NEEDED_MOST else 0, odd=odd)

    zip64 = (0, 0, archive.zip64_end[2]) if archive.zip64_end else None
    return _members(_changed(archive, zip64_end=zip64), member)


def zip_flags(archive: ZipArchive) -> ZipArchive:
    """``zip-flags``: data descriptors, and the UTF-8 flag of names that are ASCII."""

    def member(each: ZipMember) -> ZipMember:
        mask = _DESCRIPTOR_FLAG | (_UTF8_FLAG if each.raw_name.isascii() and each.comment.isascii() else 0)
        flags = each.flags & ~mask
        odd = tuple((name, value & ~mask if name == "flags" else value) for name, value in each.odd)
        streamed = bool(each.flags & _DESCRIPTOR_FLAG)

        def obsolete(name: str, value: Any) -> bool:
            return (name == "flags" and value == flags) or (
                streamed and name in {"crc", "csize", "usize", "wide csize", "wide usize"} and value == 0
            )

        return _changed(each, flags=flags, odd=_without(odd, obsolete), descriptor=None)

    return _members(archive, member)


def zip_text_hint(archive: ZipArchive) -> ZipArchive:
    """``zip-text-hint``: the bit with which a writer guesses that a member is text."""

    def member(each: ZipMember) -> ZipMember:
        return _changed(each, internal=each.internal & ~1)

    return _members(archive, member)


def zip_zip64(archive: ZipArchive) -> ZipArchive:
    """``zip-zip64``: 64-bit forms of sizes and offsets that say the same as the short forms."""

    def sizes(blocks: tuple[tuple[int, Any], ...]) -> tuple[tuple[int, Any], ...]:
        return tuple(block for block in blocks if block[0] != ZIP64_EXTRA or isinstance(block[1], bytes) or block[1][1])

    def member(each: ZipMember) -> ZipMember:
        odd = _without(each.odd, lambda name, value: value == FULL32 and name.endswith(("size", "offset")))
        return _changed(each, odd=odd, extra=sizes(each.extra), local_extra=sizes(each.local_extra))

    end_odd = _without(archive.end_odd, lambda _name, value: value in {FULL16, FULL32})
    zip64 = archive.zip64_end if archive.zip64_end and archive.zip64_end[2] else None
    return _members(_changed(archive, end_odd=end_odd, zip64_end=zip64), member)


def zip_comment(archive: ZipArchive) -> ZipArchive:
    """``zip-comment``: comments of the archive and of its members."""
    return _members(_changed(archive, comment=b""), lambda each: _changed(each, comment=b""))


def zip_directory_entries(archive: ZipArchive) -> ZipArchive:
    """``zip-directory-entries``: members for directories that hold other members and have an ordinary mode."""
    implied = set() if order_decides(archive) else implied_directories(archive.members)

    def droppable(each: ZipMember) -> bool:
        mode = (each.external >> 16) & 0o7777
        return (
            each.raw_name.endswith(b"/")
            and each.size == 0
            and plain_name(each.name) in implied
            and (mode & ~UMASK_BITS == 0o711 or not each.external >> 16)
            and not any((each.comment, each.slack, each.gap))
        )

    kept = tuple(each for each in archive.members if not droppable(each))
    return _ranked(archive, kept) if len(kept) < len(archive.members) else archive


def zip_order(archive: ZipArchive) -> ZipArchive:
    """``zip-order``: order of members, in an archive where it decides nothing: see :func:`order_decides`."""
    if order_decides(archive):
        return archive
    members = tuple(
        _changed(each, rank=rank) for rank, each in enumerate(sorted(archive.members, key=lambda each: each.raw_name))
    )
    return archive if members == archive.members else _changed(archive, members=members)


def wheel_record_order(archive: ZipArchive) -> ZipArchive:
    """``wheel-record-order``: order of the rows of a wheel's RECORD, where each is a line about a file of its own."""
    if any(each.name.endswith((".dist-info/RECORD.jws", ".dist-info/RECORD.p7s")) for each in archive.members):
        return archive  # what is signed is the bytes

    def member(each: ZipMember) -> ZipMember:
        if each.lines is None:
            return each
        return _changed(each, sha256=each.lines, raw=None, method=0, flags=each.flags & ~_LEVEL_FLAGS)

    return _members(archive, member)


ZIP: dict[str, Callable[[ZipArchive], ZipArchive]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        zip_times,
        zip_extra_fields,
        zip_host_system,
        zip_regular_bit,
        zip_umask_modes,
        zip_zip64,
        zip_compression,
        zip_versions,
        zip_flags,
        zip_text_hint,
        zip_comment,
        zip_directory_entries,
        zip_order,
        wheel_record_order,
    )
}


def _ordinary(member: ZipMember) -> bool:
    """Neither executable (directories may be searched) nor privileged nor of a special type."""
    mode = member.external >> 16
    if mode & _PRIVILEGED:
        return False
    if member.kind == "directory":
        return stat.S_IFMT(mode) in {0, stat.S_IFDIR}
    return member.kind == "file" and stat.S_IFMT(mode) in {0, stat.S_IFREG} and not mode & _EXECUTABLE


def _changed(value: _Value, **fields: Any) -> _Value:
    """The value with other fields; the same object when nothing changes, which makes later steps cheap."""
    return value if all(getattr(value, name) == new for name, new in fields.items()) else value._replace(**fields)


def _members(archive: ZipArchive, function: Callable[[ZipMember], ZipMember]) -> ZipArchive:
    members = tuple(map(function, archive.members))
    if all(new is old for new, old in zip(members, archive.members)):  # noqa: B905 - Python 3.9
        return archive
    return archive._replace(members=members)


def _ranked(archive: ZipArchive, members: tuple[ZipMember, ...]) -> ZipArchive:
    ranks = {rank: index for index, rank in enumerate(sorted(each.rank for each in members))}
    return archive._replace(members=tuple(_changed(each, rank=ranks[each.rank]) for each in members))


def _without(odd: tuple[tuple[str, Any], ...], drop: Callable[[str, Any], bool]) -> tuple[tuple[str, Any], ...]:
    return tuple(pair for pair in odd if not drop(*pair))
