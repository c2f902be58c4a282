"""Header blocks of tar archives (POSIX.1-2017 "pax", the older ustar, GNU and v7 forms)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from rebuilder.programs.archive.limits import UnreadableError

BLOCK = 512

_OCTAL: tuple[Callable[[int, int], bytes], ...] = (
    lambda value, width: b"%0*o\0" % (width - 1, value),
    lambda value, width: b"%0*o " % (width - 1, value),
    lambda value, width: b"%0*o \0" % (width - 2, value),
    lambda value, width: b"%*o \0" % (width - 2, value),
    lambda value, width: b"%*o\0" % (width - 1, value),
    lambda value, width: b"%*o " % (width - 1, value),
    lambda value, width: b"%0*o\0 " % (width - 2, value),
    lambda value, width: b"%0*o" % (width, value),
    lambda value, width: bytes(width) if value == 0 else b"",
    lambda value, width: (value + (1 << 8 * width - 1)).to_bytes(width, "big") if value >= 0 else b"",
)
"""Ways in which writers fill a number into a field; the last is the binary form of GNU tar."""
BASE_256 = len(_OCTAL) - 1
"""The style of a number in the binary form."""


class Number(NamedTuple):
    """A number in a header, and how it was written."""

    value: int
    style: Any
    """Index of a known way to write it; otherwise the bytes themselves."""


class Text(NamedTuple):
    """A string in a header, and what stands after the zero byte that ends it."""

    value: bytes
    rest: bytes


class TarHeader(NamedTuple):
    """One header block, every byte of it."""

    name: Text
    mode: Number
    uid: Number
    gid: Number
    size: Number
    mtime: Number
    checksum_style: Any
    type: bytes
    link: Text
    magic: bytes
    uname: Text
    gname: Text
    major: Number
    minor: Number
    prefix: Text
    tail: bytes


def written_number(number: Number, width: int) -> bytes:
    """A number in one of the known ways to write it, as :func:`parse_header` takes it apart."""
    form: Callable[[int, int], bytes] = _OCTAL[number.style]
    return form(number.value, width)


def without_numbers(header: TarHeader) -> bool:
    """Whether an old header has no number where later forms have one, and where some readers look in every form."""
    try:
        for each in (header.major, header.minor):
            if isinstance(each.style, bytes):
                _number(each.style)
    except UnreadableError:
        return True
    return False


def is_tar_header(block: bytes) -> bool:
    """Whether a block could be the first header of a tar archive: its checksum is right and it is not empty."""
    return len(block) >= BLOCK and any(block[:BLOCK]) and _checksum_ok(block[:BLOCK])


def parse_header(block: bytes) -> TarHeader:
    """Take one header block apart.

    Raises:
        UnreadableError: the checksum is wrong or a number is none.
    """
    if not _checksum_ok(block):
        raise UnreadableError("It is damaged: a tar header has a wrong checksum.")
    gnu = block[257:265] == b"ustar  \0"
    ustar = block[257:263] == b"ustar\0"
    return TarHeader(
        name=_text(block[0:100]),
        mode=_number(block[100:108]),
        uid=_number(block[108:116]),
        gid=_number(block[116:124]),
        size=_number(block[124:136]),
        mtime=_number(block[136:148]),
        checksum_style=_number(block[148:156]).style,
        type=block[156:157],
        link=_text(block[157:257]),
        magic=block[257:265],
        uname=_text(block[265:297]) if gnu or ustar else Text(b"", block[265:297]),
        gname=_text(block[297:329]) if gnu or ustar else Text(b"", block[297:329]),
        major=_number(block[329:337]) if gnu or ustar else Number(0, block[329:337]),
        minor=_number(block[337:345]) if gnu or ustar else Number(0, block[337:345]),
        prefix=_text(block[345:500]) if ustar else Text(b"", block[345:500].rstrip(b"\0")),
        tail=block[500:512].rstrip(b"\0"),
    )


def _checksum_ok(block: bytes) -> bool:
    try:
        claimed = _number(block[148:156]).value
    except UnreadableError:
        return False
    rest = block[:148] + b" " * 8 + block[156:]
    return claimed in {sum(rest), sum(byte - 256 if byte > 127 else byte for byte in rest)}


def _text(field: bytes) -> Text:
    value, _zero, rest = field.partition(b"\0")
    return Text(value, rest.rstrip(b"\0"))


def _number(field: bytes) -> Number:
    width = len(field)
    if field[0] == 0x80:
        value = int.from_bytes(field[1:], "big")
    elif field[0] == 0xFF:
        value = int.from_bytes(field, "big", signed=True)
    else:
        digits = field.split(b"\0", 1)[0].strip(b" ")
        if digits.strip(b"01234567"):
            raise UnreadableError("It is damaged: a number in a tar header is none.")
        value = int(digits, 8) if digits else 0
    for index, form in enumerate(_OCTAL):
        if form(value, width) == field:
            return Number(value, index)
    return Number(value, field)
