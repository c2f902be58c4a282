"""Forms that bytes are kept in inside other bytes, undone: what a build can undo with one line, and what joins texts.

Each function gives every plain form it finds. What cannot be undone is no plain form; nothing is raised for it.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import functools
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from re import Match
from typing import Any

MOST_BYTES = 64 << 20
"""Of one plain form."""

_SHORTEST = 96
"""Characters a text must have in a row to be worth decoding."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % _SHORTEST)
_BASE32 = re.compile(rb"[A-Z2-7]{%d,}" % _SHORTEST)
_HEX = re.compile(rb"[0-9A-Fa-f]{%d,}" % _SHORTEST)
_BYTE_MARKS = re.compile(rb"\\x|0x|(?<=[0-9A-Fa-f]{2})[:-](?=[0-9A-Fa-f]{2})")
_MARKED_BYTES = re.compile(
    rb"(?:0x[0-9A-Fa-f]{2}[\s,]*){16}|(?:\\x[0-9A-Fa-f]{2}){16}|[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){16}"
)
_NUMBERS = re.compile(
    rb"(?:(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})[\s,;]+){%d,}(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})?" % (_SHORTEST // 2)
)
_NUMBER = re.compile(rb"0x[0-9A-Fa-f]{1,2}|\d{1,3}")
_LONG_NUMBER = re.compile(rb"\d{%d,4300}" % (2 * _SHORTEST))
_JOINT = re.compile(rb"[\"'][\s+,\\]*[bB]?[\"']")
_WRAPPING = re.compile(rb"[\s\"'\\,()]+")
_BASE85 = re.compile(rb"[!-~]{%d,}" % _SHORTEST)
_QUOTED = re.compile(rb"\"([!#-~\s]{%d,})\"|'([!-&(-~\s]{%d,})'" % (_SHORTEST, _SHORTEST))
_LITERAL = re.compile(rb"\"([^\"\n]{16,})\"|'([^'\n]{16,})'")
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|u00([0-9A-Fa-f]{2})|([0-3]?[0-7]{1,2})|([abfnrtv\\'\"/])|\r?\n)")
_NAMED = {b"abfnrtv"[each]: b"\a\b\f\n\r\t\v"[each : each + 1] for each in range(7)}
_MARKED = re.compile(rb"[=%]([0-9A-Fa-f]{2})|=\r?\n")
_UU_LINE = re.compile(rb"[!-M][ -`]{1,84}")
_FEWEST_ESCAPES = 4
_PRINTABLE = bytes((*range(32, 127), 9, 10, 13))
_LOOK = 1 << 12
_PLACES = 32
"""Compressed streams that are looked into in one file."""
_MAKERS: tuple[tuple[bytes, Callable[[], Any]], ...] = (
    (b"\x1f\x8b\x08", lambda: zlib.decompressobj(31)),
    (b"\x78\x01", zlib.decompressobj),
    (b"\x78\x5e", zlib.decompressobj),
    (b"\x78\x9c", zlib.decompressobj),
    (b"\x78\xda", zlib.decompressobj),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ\x00", lzma.LZMADecompressor),
    (b"\x5d\x00\x00", lzma.LZMADecompressor),
)
_BEGINNING = re.compile(b"|".join(re.escape(start) for start, _ in _MAKERS))


def streams(data: bytes) -> Iterator[bytes]:
    """Compressed streams anywhere in some bytes, those behind others too; one without a header from the start only."""
    end, places = 0, 0
    for match in _BEGINNING.finditer(data):
        if places >= _PLACES:
            break
        if match.start() < end:  # inside of one that was read
            continue
        make = next(make for start, make in _MAKERS if match.group() == start)
        plain, end = _decompressed(make(), data, match.start())
        places += bool(plain)
        yield plain
    if data and not is_text(data):
        bare = zlib.decompressobj(-15)
        plain, _ = _decompressed(bare, data, 0)
        if bare.eof and len(bare.unused_data) <= _SHORTEST:
            yield plain


def begins_stream(data: bytes) -> bool:
    """Whether some bytes look like a compressed file."""
    return _BEGINNING.match(data) is not None


def _decompressed(decompressor: Any, data: bytes, start: int) -> tuple[bytes, int]:
    """What a stream holds, and where it ends."""
    try:
        plain = decompressor.decompress(memoryview(data)[start:], MOST_BYTES)
    except (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError):
        return b"", start
    return plain, len(data) - len(decompressor.unused_data) if decompressor.eof else start


def is_text(data: bytes) -> bool:
    """Whether bytes are mostly those of a text in ASCII."""
    return len(data[:_LOOK].translate(None, _PRINTABLE)) * 8 < len(data[:_LOOK])


def literals(data: bytes) -> Iterator[bytes]:
    """The longer literals of source code, one behind the other, whatever stands between them; no sentences."""
    found = [first or second for first, second in _LITERAL.findall(data)]
    joined = b"".join(each for each in found if b" " not in each or each.count(b"\\x") > 1)
    if len(joined) >= _SHORTEST:
        yield unescaped(joined)


def escapes(data: bytes) -> Iterator[bytes]:
    """Literals of Python, C or JSON as bytes: the lines that have escapes."""
    if data.count(b"\\") >= _FEWEST_ESCAPES:
        lines = _JOINT.sub(b"", data).split(b"\n")
        yield b"\n".join(unescaped(each) for each in lines if each.count(b"\\") >= _FEWEST_ESCAPES)


def unescaped(text: bytes) -> bytes:
    """What escapes stand for; those that mean nothing stay."""
    return _ESCAPE.sub(_meant, text)


def _meant(match: Match[bytes]) -> bytes:
    hexadecimal, code, octal, named = match.groups()
    if octal is not None:
        return bytes((int(octal, 8),))
    if named is not None:
        return _NAMED.get(named[0], named)
    return bytes.fromhex((hexadecimal or code or b"").decode())


def marked(data: bytes) -> Iterator[bytes]:
    """Quoted-printable and percent-encoded text."""
    for mark in (b"=", b"%"):
        if data.count(mark) >= _SHORTEST // 3:
            yield _MARKED.sub(lambda match: bytes.fromhex((match[1] or b"").decode()), data)
            return


def wide(data: bytes) -> Iterator[bytes]:
    """Bytes that were written as characters: of UTF-8, Latin-1 each, or of UTF-16."""
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        yield data.decode("utf-16", "ignore").encode("utf-8", "ignore")
    elif b"\xc2" in data and b"\xc3" in data:
        yield data.decode("utf-8").encode("latin-1", "ignore")


def base64_texts(data: bytes) -> Iterator[bytes]:
    """Base64, with the usual or the URL-safe letters, however it is broken into lines and literals."""
    for run in _BASE64.findall(_bare(data)):
        plain = run.translate(bytes.maketrans(b"-_", b"+/"))
        for shift in range(4):  # what comes before it may be of the same letters
            part = plain[shift:]
            if len(part) % 4 == 1:
                part = part[:-1]
            yield base64.b64decode(part + b"=" * (-len(part) % 4))


def base32_texts(data: bytes) -> Iterator[bytes]:
    """Base32, the same."""
    for run in _BASE32.findall(_bare(data)):
        for shift in range(8):
            part = run[shift:]
            part = part[: len(part) - len(part) % 8 + {2: 2, 3: 2, 4: 4, 5: 5, 6: 5, 7: 7}.get(len(part) % 8, 0)]
            yield base64.b32decode(part + b"=" * (-len(part) % 8))


def base85_texts(data: bytes) -> Iterator[bytes]:
    """Base85 and Ascii85, quoted or as the whole of a text."""
    for text in [first or second for first, second in _QUOTED.findall(data)] + [data]:
        bare = b"".join(text.split())
        bare = bare[bare.find(b"<~") + 2 if b"<~" in bare[:_SHORTEST] else 0 :].partition(b"~>")[0]
        if _BASE85.fullmatch(bare):
            for decode in (base64.b85decode, base64.a85decode):
                try:
                    yield decode(bare)
                except ValueError:
                    continue


@functools.lru_cache(maxsize=2)
def _bare(text: bytes) -> bytes:
    """Without what source code breaks long texts up with."""
    return _WRAPPING.sub(b"", _JOINT.sub(b"", text))


def hexadecimal_texts(data: bytes) -> Iterator[bytes]:
    """Two digits a byte, with or without marks and separators."""
    marks = sum(map(data.count, (b"\\x", b"0x", b":", b"-")))
    if marks * 8 > len(data) or _MARKED_BYTES.search(data):
        data = _BYTE_MARKS.sub(b"", data)
    for run in _HEX.findall(_bare(data)):
        for shift in (0, 1):
            part = run[shift:]
            yield binascii.unhexlify(part[: len(part) // 2 * 2])


def numbers(data: bytes) -> Iterator[bytes]:
    """A number a byte; or all bytes as one number."""
    for run in _NUMBERS.findall(data):
        values = [int(each, 0) if each[:2] == b"0x" else int(each) for each in _NUMBER.findall(run)]
        yield bytes(each for each in values if each < 256)
    for digits in _LONG_NUMBER.findall(data)[:_PLACES]:
        value = int(digits)
        yield value.to_bytes(value.bit_length() // 8 + 1, "big").lstrip(b"\0")


def uuencoded(data: bytes) -> Iterator[bytes]:
    """Lines of ``uuencode``."""
    lines = [each.rstrip(b"\r") for each in data.split(b"\n")] if b"\nM" in data else []
    found = []
    for line in lines:
        if _UU_LINE.fullmatch(line):
            try:
                found.append(binascii.a2b_uu(line))
            except ValueError:
                continue
    yield b"".join(found)


TEXTS: tuple[tuple[str, Callable[[bytes], Iterator[bytes]]], ...] = (
    ("as base64", base64_texts),
    ("as base32", base32_texts),
    ("as hexadecimal digits", hexadecimal_texts),
    ("as base85", base85_texts),
    ("as numbers", numbers),
    ("uuencoded", uuencoded),
)
"""Texts that stand for bytes. What is no text after one of them was none, or is no further one."""
REWRITINGS: tuple[tuple[str, Callable[[bytes], Iterator[bytes]]], ...] = (
    ("as escapes", escapes),
    ("in literals", literals),
    ("as marked bytes", marked),
    ("as characters", wide),
)
"""These leave most of a text as it is, so one of them on the way is enough."""
