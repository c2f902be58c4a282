"""``find_published PUBLISHED INPUT… --result PATH``: look for a published file in the inputs of its build.

A build that copies the published file out of its own source gives the same bytes and shows nothing. What is looked
for is the whole file, or three quarters of samples of it that are in none of its members (compressed data, headers).
Looked through are the inputs, their members, archives and compressed files in those, and what
:mod:`rebuilder.programs.compare.wrappings` undoes, up to :data:`DEEPEST` layers and :data:`BYTES`, forwards and
backwards.
Build dependencies are other people's releases and far larger than most sources: only their members are looked at.
What is encrypted or computed in another way is not found: no search can.

Members of the published file that no source has, but a build dependency as they are, were handed in by that: no source
code made them. Packages below ``node_modules/`` are brought along openly, and do not count.

The result is ``{"found": [{"input": PATH, "member": NAME, "how": WORDS}, …], "whole": BOOL, "handed_in": [{"input":
PATH, "member": NAME, "share": PERCENT}, …]}``: of all that no source has, which part the input handed in.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rebuilder.programs.answer import answered
from rebuilder.programs.compare.wrappings import MOST_BYTES, REWRITINGS, TEXTS, begins_stream, is_text, streams

DEEPEST = 4
BYTES = 48 << 20
"""Bytes looked through in all, layers included."""
FOUND = 20
_PIECES = 16
"""A smaller part of the file than one of so many is not looked for in other forms than its own."""

_OPENLY = "/node_modules/"
_SMALL = 64
"""Bytes of a member that say too little to come from anywhere."""

_SAMPLES, _SAMPLE_BYTES, _FEWEST = 24, 32, 6
_TAIL_BYTES = 1 << 12
_LARGE = 1 << 20
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(ValueError, OSError, EOFError, RuntimeError, LookupError),
)


class _SpentError(Exception):
    """There is more than is looked through."""


class Layer(NamedTuple):
    """Some bytes, and the way to them."""

    data: bytes
    member: str
    how: tuple[str, ...]


class Search:
    """Looks for one file; counts the bytes it looks through."""

    def __init__(self, published: bytes) -> None:
        self._published = published
        self._backwards = published[::-1]
        self._samples = _samples(published)
        self._in_ascii = published.isascii() or any(map(bytes.isascii, self._samples))
        """Whether a text in ASCII could hold any of it as it is; of an archive it cannot."""
        self._left = BYTES
        self.seen: dict[bytes, str] = {}
        """Samples found so far, each with where."""
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.whole = True
        """Whether nothing was larger or deeper than is looked through."""

    def look(self, data: bytes) -> None:
        """Look through one input."""
        self._search(self._walk, data)

    def glance(self, data: bytes) -> None:
        """Look at one input and its members as they are; nothing is undone."""
        self._search(self._glance, data)

    def _search(self, how: Callable[[Layer], None], data: bytes) -> None:
        try:
            how(Layer(data, "", ()))
        except _SpentError:
            self.whole = False
        finally:
            if not self.found and len(self.seen) * 4 >= len(self._samples) * 3 and self._samples:
                self.found.append((next(iter(self.seen.values())), ("in pieces",)))

    def _walk(self, layer: Layer) -> None:
        """Look into the innermost first, so that the nearest member is named."""
        self._left -= len(layer.data)
        if self._left < 0:
            raise _SpentError
        before = len(self.found)
        if len(layer.how) < DEEPEST:
            for inner in _inside(layer, undo=self._may_hold(layer.data)):
                self._walk(inner)
        elif begins_stream(layer.data) or next(_members(layer), None) is not None:
            self.whole = False  # other forms are not known from what looks like them by chance
        if len(self.found) == before:
            self._match(layer)

    def _glance(self, layer: Layer) -> None:
        for each in (*_members(layer), layer):
            if not self.found:
                self._match(each)

    def _may_hold(self, data: bytes) -> bool:
        """Whether bytes hold as much information as a sixteenth of the file, in whatever form: most sources do not."""
        return len(zlib.compress(data, 1)) * _PIECES >= len(self._published)

    def _match(self, layer: Layer) -> None:
        if layer.data.isascii() and not self._in_ascii:
            return
        for wanted, how in ((self._published, layer.how), (self._backwards, (*layer.how, "backwards"))):
            if wanted in layer.data and len(self.found) < FOUND:
                self.found.append((layer.member, how))
                return
        for sample in self._samples:
            if sample not in self.seen and sample in layer.data:
                self.seen[sample] = layer.member


class HandedIn:
    """Which members of a published file come from a build dependency, and from no source."""

    def __init__(self, published: bytes) -> None:
        members = [each for each in _members(Layer(published, "", ())) if len(each.data) >= _SMALL]
        self._wanted = {_digest(each.data): each for each in members if _OPENLY not in f"/{each.member}"}
        self._sizes = {len(each.data) for each in self._wanted.values()}
        self._from: dict[bytes, str] = {}
        """The first input that has a member."""

    def settle(self, source: bytes) -> None:
        """Leave out what a source has."""
        for each in _members(Layer(source, "", ())):
            if len(each.data) in self._sizes:
                self._wanted.pop(_digest(each.data), None)

    def look(self, path: str, dependency: bytes) -> None:
        """Look for the others in one build dependency."""
        for each in _members(Layer(dependency, "", ())) if self._wanted else ():
            if len(each.data) in self._sizes and (digest := _digest(each.data)) in self._wanted:
                self._from.setdefault(digest, path)

    def document(self) -> list[dict[str, Any]]:
        """The largest part first; the first of its members by name."""
        whole = sum(len(each.data) for each in self._wanted.values())
        parts: dict[str, list[Layer]] = {}
        for digest, path in self._from.items():
            parts.setdefault(path, []).append(self._wanted[digest])
        found: list[dict[str, Any]] = [
            {
                "input": path,
                "member": min(each.member for each in members),
                "share": 100 * sum(len(each.data) for each in members) // whole,
            }
            for path, members in parts.items()
        ]
        return sorted(found, key=lambda each: (-each["share"], each["input"]))[:FOUND]


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _samples(published: bytes) -> list[bytes]:
    """Stretches of the file that are in none of its members: what a source may rightly hold is no sign of it."""
    contents = [each.data for each in _members(Layer(published, "", ()))]
    end = len(published) - _SAMPLE_BYTES
    tail = range(max(0, end - _TAIL_BYTES), end, _TAIL_BYTES // _FEWEST)  # a ZIP archive has its directory there
    places = sorted({*range(0, end, max(_SAMPLE_BYTES, len(published) // _SAMPLES)), *tail})
    cut = (published[at : at + _SAMPLE_BYTES] for at in places)
    kept = [each for each in cut if len(set(each)) > _SAMPLE_BYTES // 3 and not any(each in data for data in contents)]
    return kept if len(kept) >= _FEWEST else []


def _inside(layer: Layer, *, undo: bool) -> Iterator[Layer]:
    """Members of the bytes, and with ``undo`` everything that they may hold in another form."""
    archive = False
    for member in _members(layer):
        archive = True
        yield member
    if not undo:
        return
    decoders: list[tuple[str, Callable[[bytes], Iterator[bytes]]]] = [] if archive else [("compressed", streams)]
    text = is_text(layer.data)
    if len(layer.data) > _LARGE and not text:
        decoders.extend(TEXTS[:1])  # a program, most likely: it has no literals
    elif not layer.how or layer.how[-1] not in dict(TEXTS) or text:
        decoders.extend(TEXTS)
        if not any(how in layer.how for how, _ in REWRITINGS):
            decoders.extend(REWRITINGS)
    for how, decode in decoders:
        for data in _quietly(decode, layer.data):
            if data and data != layer.data:
                yield Layer(data, layer.member, (*layer.how, how))


def _quietly(decode: Callable[[bytes], Iterator[bytes]], data: bytes) -> Iterator[bytes]:
    try:
        yield from decode(data)
    except (ValueError, OverflowError):
        return


def _members(layer: Layer) -> Iterator[Layer]:
    """Members of a tar or ZIP archive; bytes can be both."""
    for read in (_tar_members, _zip_members):
        try:
            yield from read(layer)
        except _DAMAGED:
            continue


def _tar_members(layer: Layer) -> Iterator[Layer]:
    if layer.data[257:262] == b"ustar" or layer.data.startswith(_COMPRESSED):
        with tarfile.open(fileobj=io.BytesIO(layer.data), mode="r:*") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield _member(layer, member.name, content.read(MOST_BYTES))


def _zip_members(layer: Layer) -> Iterator[Layer]:
    if b"PK\x05\x06" in layer.data[-65557:]:
        with zipfile.ZipFile(io.BytesIO(layer.data)) as archive:
            for entry in archive.infolist():
                try:
                    with archive.open(entry) as file:
                        content = file.read(MOST_BYTES)
                except _DAMAGED:  # the next one need not be
                    continue
                yield _member(layer, entry.filename, content)


def _member(layer: Layer, name: str, data: bytes) -> Layer:
    path = f"{layer.member} › {name}" if layer.member else name
    return Layer(data, path, (*layer.how, "in an archive") if layer.member else layer.how)


def main(argv: list[str]) -> int:
    """Look through the inputs named by the arguments; 0 whatever was found."""
    parser = argparse.ArgumentParser(prog="find_published")
    parser.add_argument("published", metavar="PUBLISHED")
    parser.add_argument("inputs", nargs="*", metavar="INPUT")
    parser.add_argument("--glance", action="append", default=[], metavar="INPUT", help="a build dependency")
    return answered(parser, argv, _looked)


def _looked(arguments: argparse.Namespace) -> dict[str, Any]:
    with open(arguments.published, "rb") as file:
        published = file.read()
    search, handed_in = Search(published), HandedIn(published)
    found: list[dict[str, Any]] = []
    ways = [*((path, search.look) for path in arguments.inputs), *((path, search.glance) for path in arguments.glance)]
    for path, look in ways:
        with open(path, "rb") as file:
            data = file.read()
        look(data)
        if look == search.glance:
            handed_in.look(path, data)
        elif arguments.glance:
            handed_in.settle(data)
        found += [{"input": path, "member": name, "how": ", ".join(how)} for name, how in search.found]
        search.found.clear()
    return {"found": found[:FOUND], "whole": search.whole, "handed_in": handed_in.document()}
