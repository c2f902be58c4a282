"""``find_published PUBLISHED INPUT… --result PATH``: look for a published file in the inputs of its build.

A build that copies the published file out of its own source gives the same bytes and shows nothing. What is looked
for is the whole file, or three quarters of samples of it that are in none of its members (compressed data, headers).
Looked through are the inputs, their members, archives and compressed files in those, and texts that hold bytes as
hexadecimal, base32, base64, base85, numbers or escapes, up to :data:`DEEPEST` layers and :data:`BYTES`, forwards and
backwards.
What is encrypted or computed in another way is not found: no search can.

The result is ``{"found": [{"input": PATH, "member": NAME, "how": WORDS}, …], "whole": BOOL}``.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import bz2
import codecs
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

DEEPEST = 4
BYTES = 192 << 20
"""Bytes looked through in all, layers included."""
MEMBER_BYTES = 64 << 20
FOUND = 20

_SAMPLES, _SAMPLE_BYTES, _FEWEST = 24, 32, 6
_TAIL_BYTES = 1 << 12
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_SHORTEST = 96
"""Characters a text must have in a row to be worth decoding."""
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{%d,}" % _SHORTEST)
_BASE32 = re.compile(rb"[A-Z2-7]{%d,}" % _SHORTEST)
_HEX = re.compile(rb"[0-9A-Fa-f]{%d,}" % _SHORTEST)
_NUMBERS = re.compile(rb"(?:(?:0x[0-9A-Fa-f]{1,2}|\d{1,3})\s*,\s*){%d,}" % (_SHORTEST // 2))
_NUMBER = re.compile(rb"0x[0-9A-Fa-f]{1,2}|\d{1,3}")
_JOINT = re.compile(rb"[\"'][\s+,\\]*[bB]?[\"']")
_WRAPPING = re.compile(rb"[\s\"'\\,()]+")
_BASE85 = re.compile(rb"[!-~]{%d,}" % _SHORTEST)
_QUOTED = re.compile(rb"\"([!#-~\s]{%d,})\"|'([!-&(-~\s]{%d,})'" % (_SHORTEST, _SHORTEST))


class _SpentError(Exception):
    """There is more than is looked through."""


class Layer(NamedTuple):
    """Some bytes, and the way to them."""

    data: bytes
    member: str
    how: Tuple[str, ...]


class Search:
    """Looks for one file; counts the bytes it looks through."""

    def __init__(self, published: bytes) -> None:
        self._published = published
        self._samples = _samples(published)
        self._left = BYTES
        self.seen: Dict[bytes, str] = {}
        """Samples found so far, each with where."""
        self.found: List[Tuple[str, Tuple[str, ...]]] = []

    def look(self, data: bytes) -> bool:
        """Look through one input; False when there was more in it than is looked through."""
        try:
            self._walk(Layer(data, "", ()))
        except _SpentError:
            return False
        finally:
            if not self.found and len(self.seen) * 4 >= len(self._samples) * 3 and self._samples:
                self.found.append((next(iter(self.seen.values())), ("in pieces",)))
        return True

    def _walk(self, layer: Layer) -> None:
        """Look into the innermost first, so that the nearest member is named."""
        self._left -= len(layer.data)
        if self._left < 0:
            raise _SpentError
        before = len(self.found)
        if len(layer.how) < DEEPEST:
            for inner in _inside(layer):
                self._walk(inner)
        if len(self.found) == before:
            self._match(layer)

    def _match(self, layer: Layer) -> None:
        for wanted, how in ((self._published, layer.how), (self._published[::-1], (*layer.how, "backwards"))):
            if wanted in layer.data and len(self.found) < FOUND:
                self.found.append((layer.member, how))
                return
        for sample in self._samples:
            if sample not in self.seen and sample in layer.data:
                self.seen[sample] = layer.member


def _samples(published: bytes) -> List[bytes]:
    """Stretches of the file that are in none of its members: what a source may rightly hold is no sign of it."""
    contents = [each.data for each in _inside(Layer(published, "", ()))]
    end = len(published) - _SAMPLE_BYTES
    tail = range(max(0, end - _TAIL_BYTES), end, _TAIL_BYTES // _FEWEST)  # a ZIP archive has its directory there
    places = sorted({*range(0, end, max(_SAMPLE_BYTES, len(published) // _SAMPLES)), *tail})
    cut = (published[at : at + _SAMPLE_BYTES] for at in places)
    kept = [each for each in cut if len(set(each)) > _SAMPLE_BYTES // 3 and not any(each in data for data in contents)]
    return kept if len(kept) >= _FEWEST else []


def _inside(layer: Layer) -> Iterator[Layer]:
    """Everything that the bytes may hold in another form."""
    archive = False
    for member in _members(layer):
        archive = True
        yield member
    for how, decode in _DECODERS[1:] if archive else _DECODERS:
        for data in _quietly(decode, layer.data):
            if data and data != layer.data:
                yield Layer(data, layer.member, (*layer.how, how))


def _quietly(decode: Callable[[bytes], Iterator[bytes]], data: bytes) -> Iterator[bytes]:
    try:
        yield from decode(data)
    except (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError, OverflowError):
        return


def _members(layer: Layer) -> Iterator[Layer]:
    """Members of a tar or ZIP archive; bytes can be both."""
    for read in (_tar_members, _zip_members):
        try:
            yield from read(layer)
        except (zipfile.BadZipFile, tarfile.TarError, ValueError, OSError, EOFError, RuntimeError, NotImplementedError):
            continue
        except (zlib.error, lzma.LZMAError):
            continue


def _tar_members(layer: Layer) -> Iterator[Layer]:
    if layer.data[257:262] == b"ustar" or layer.data.startswith(_COMPRESSED):
        with tarfile.open(fileobj=io.BytesIO(layer.data), mode="r:*") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield _member(layer, member.name, content.read(MEMBER_BYTES))


def _zip_members(layer: Layer) -> Iterator[Layer]:
    if b"PK\x05\x06" in layer.data[-65557:]:
        with zipfile.ZipFile(io.BytesIO(layer.data)) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as file:
                    yield _member(layer, entry.filename, file.read(MEMBER_BYTES))


def _member(layer: Layer, name: str, data: bytes) -> Layer:
    path = f"{layer.member} › {name}" if layer.member else name
    return Layer(data, path, (*layer.how, "in an archive") if layer.member else layer.how)


def _streams(data: bytes) -> Iterator[bytes]:
    """The bytes as a compressed file, or as Python's ``zlib.compress`` gives them."""
    for magic, decompressor in (
        (b"\x1f\x8b", zlib.decompressobj(31)),
        (b"\x78", zlib.decompressobj(15)),
        (b"BZh", bz2.BZ2Decompressor()),
        (b"\xfd7zXZ", lzma.LZMADecompressor()),
        (b"\x5d\x00\x00", lzma.LZMADecompressor()),
    ):
        if data.startswith(magic):
            yield decompressor.decompress(data, MEMBER_BYTES)


def _base64(data: bytes) -> Iterator[bytes]:
    for run in _BASE64.findall(_bare(data)):
        plain = run.translate(bytes.maketrans(b"-_", b"+/"))
        for shift in range(4):  # what comes before it may be of the same letters
            part = plain[shift:]
            if len(part) % 4 == 1:
                part = part[:-1]
            yield base64.b64decode(part + b"=" * (-len(part) % 4))


def _base32(data: bytes) -> Iterator[bytes]:
    for run in _BASE32.findall(_bare(data)):
        for shift in range(8):
            part = run[shift:]
            part = part[: len(part) - len(part) % 8 + {2: 2, 3: 2, 4: 4, 5: 5, 6: 5, 7: 7}.get(len(part) % 8, 0)]
            yield base64.b32decode(part + b"=" * (-len(part) % 8))


def _bare(text: bytes) -> bytes:
    """Without what source code breaks long texts up with."""
    return _WRAPPING.sub(b"", _JOINT.sub(b"", text))


def _hexadecimal(data: bytes) -> Iterator[bytes]:
    bare = _bare(data.replace(b"\\x", b"").replace(b"0x", b""))
    for run in _HEX.findall(bare):
        for shift in (0, 1):
            part = run[shift:]
            yield binascii.unhexlify(part[: len(part) // 2 * 2])


def _base85(data: bytes) -> Iterator[bytes]:
    texts = [first or second for first, second in _QUOTED.findall(data)] + [data]
    for text in texts:
        bare = b"".join(text.split())
        if _BASE85.fullmatch(bare):
            for decode in (base64.b85decode, base64.a85decode):
                try:
                    yield decode(bare)
                except ValueError:
                    continue


def _numbers(data: bytes) -> Iterator[bytes]:
    for run in _NUMBERS.finditer(data):
        end = run.end()
        last = _NUMBER.match(data, end)  # the last of a list has no comma behind it
        values = [int(each, 0) if each[:2] == b"0x" else int(each) for each in _NUMBER.findall(run.group())]
        values += [int(last.group(), 0) if last.group()[:2] == b"0x" else int(last.group())] if last else []
        yield bytes(each for each in values if each < 256)


def _escapes(data: bytes) -> Iterator[bytes]:
    if b"\\x" in data:
        yield codecs.escape_decode(data)[0]


_DECODERS: Tuple[Tuple[str, Callable[[bytes], Iterator[bytes]]], ...] = (
    ("compressed", _streams),
    ("as base64", _base64),
    ("as base32", _base32),
    ("as hexadecimal digits", _hexadecimal),
    ("as base85", _base85),
    ("as numbers", _numbers),
    ("as escapes", _escapes),
)


def main(argv: List[str]) -> int:
    """Look through the inputs named by the arguments; 0 whatever was found."""
    parser = argparse.ArgumentParser(prog="find_published")
    parser.add_argument("published", metavar="PUBLISHED")
    parser.add_argument("inputs", nargs="+", metavar="INPUT")
    parser.add_argument("--result", required=True, metavar="PATH")
    arguments = parser.parse_args(argv)
    with open(arguments.published, "rb") as file:
        search = Search(file.read())
    found: List[Dict[str, Any]] = []
    whole = True
    for path in arguments.inputs:
        with open(path, "rb") as file:
            whole = search.look(file.read()) and whole
        found += [{"input": path, "member": name, "how": ", ".join(how)} for name, how in search.found]
        search.found.clear()
    with open(arguments.result, "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump({"found": found[:FOUND], "whole": whole}, file)
    return 0
