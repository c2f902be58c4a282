"""``find_copy ARTIFACT SOURCE --result PATH``: does a source archive hold the very file that is to be built from it?

Looked for is the end of the artifact, which in a ZIP file is the table of just these members: as it is, backwards, in
the usual text forms of bytes, and in members that are compressed. The result is ``{"member": NAME, "form": WORDS}``, or
``{}``. Whoever wants to hide a file can hide it; this finds what is plain to see.
"""

from __future__ import annotations

import argparse
import base64
import bz2
import io
import json
import lzma
import tarfile
import zipfile
import zlib
from typing import Any, Dict, Iterator, List, Optional, Tuple

_TAIL = 22
"""Bytes of the end record of a ZIP file, which many files could share."""
_WINDOW = 60
_MOST_BYTES = 64 << 20
"""Of a member, and of what it decompresses to."""
_SPACE = b" \t\r\n"
_FAULTS = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, RuntimeError)


def main(argv: List[str]) -> int:
    """Look; 0 whatever the result."""
    parser = argparse.ArgumentParser(prog="find_copy")
    parser.add_argument("artifact", metavar="ARTIFACT")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("--result", required=True, metavar="PATH")
    options = parser.parse_args(argv)
    with open(options.artifact, "rb") as file:
        artifact = file.read()
    found = find(artifact, options.source)
    with open(options.result, "w", encoding="utf-8") as file:
        json.dump({"member": found[0], "form": found[1]} if found else {}, file)
    return 0


def find(artifact: bytes, source: str) -> Optional[Tuple[str, str]]:
    """The member that holds the artifact, and in which form; None when none is seen to."""
    forms = forms_of(artifact)
    for name, content in _members(source):
        for prefix, data in (("", content), *_decompressed(content)):
            form = _seen(data, forms)
            if form:
                return name, prefix + form
    return None


def forms_of(artifact: bytes) -> Dict[str, List[bytes]]:
    """What to look for, by the words for it; text forms are without white space."""
    end = max(len(artifact) - _TAIL, 0)
    start = max(end - _WINDOW - 4, 0)
    needle = artifact[start : start + _WINDOW]
    if len(needle) < 30:
        return {}
    # Text forms take several bytes at a time: one of the starts is where such a group begins.
    starts = [artifact[start + shift : start + shift + _WINDOW] for shift in range(5)]
    thirds, fourths = [each[:57] for each in starts], [each[:56] for each in starts]
    numbers = ",".join(map(str, needle)).encode()
    return {
        "as it is": [needle],
        "backwards": [needle[::-1]],
        "in base64": [form(each) for each in thirds for form in (base64.b64encode, base64.urlsafe_b64encode)],
        "in base85": [form(each) for each in fourths for form in (base64.b85encode, base64.a85encode)],
        "in base32": [base64.b32encode(each[:55]) for each in starts],
        "in hexadecimal": [needle.hex().encode(), needle.hex().upper().encode()],
        "as escapes": ["".join(f"\\x{byte:02x}" for byte in needle).encode()],
        "as numbers": [numbers],
    }


def _seen(data: bytes, forms: Dict[str, List[bytes]]) -> Optional[str]:
    plain = data.translate(None, _SPACE)
    for words, needles in forms.items():
        where = data if words in ("as it is", "backwards") else plain
        if any(each in where for each in needles):
            return words
    return None


def _decompressed(data: bytes) -> Iterator[Tuple[str, bytes]]:
    """What a member holds in compressed form, one level deep."""
    if data.startswith(b"PK\3\4"):
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                for info in archive.infolist()[:1000]:
                    with archive.open(info) as file:
                        yield "inside a ZIP file ", file.read(_MOST_BYTES)
        except _FAULTS:
            return
        return
    stream: Any = None
    if data.startswith((b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")):
        stream = zlib.decompressobj(47)
    elif data.startswith(b"BZh"):
        stream = bz2.BZ2Decompressor()
    elif data.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        stream = lzma.LZMADecompressor()
    if stream is not None:
        try:
            yield "compressed, ", stream.decompress(data, _MOST_BYTES)
        except _FAULTS:
            return


def _members(source: str) -> Iterator[Tuple[str, bytes]]:
    """Files of the archive, as far as they can be read: who reads it properly tells what is wrong with it."""
    try:
        if zipfile.is_zipfile(source) and not source.endswith((".gz", ".bz2", ".xz")):
            with zipfile.ZipFile(source) as archive:
                for info in archive.infolist():
                    with archive.open(info) as file:
                        yield info.filename, file.read(_MOST_BYTES)
            return
        with tarfile.open(source) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() else None
                if content is not None:
                    yield member.name, content.read(_MOST_BYTES)
    except (*_FAULTS, tarfile.TarError):
        return
