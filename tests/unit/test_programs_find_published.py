"""A published file is found in what it was built from, however it is wrapped up; rightful sources are no finding."""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import io
import json
import lzma
import pprint
import random
import tarfile
import urllib.parse
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebuilder.programs.compare import find_published


def wheel(*, stored: bool = False) -> bytes:
    """A wheel with a little of everything in it."""
    words = random.Random(7)  # noqa: S311 - always the same text
    text = "\n".join(f"value_{number} = {words.randrange(10**9)}" for number in range(200))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
        for name, content in (("pkg/__init__.py", text), ("pkg/other.py", text[::-1]), ("pkg-1.dist-info/RECORD", "x")):
            archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), content, archive.compression)
    return buffer.getvalue()


def tar(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    """A source archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def zipped(content: bytes) -> bytes:
    """A ZIP archive with one member."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("inner.bin", content)
    return buffer.getvalue()


def find(published: bytes, source: bytes, directory: Path) -> tuple[list[dict[str, str]], bool]:
    """What the program says."""
    (directory / "published").write_bytes(published)
    (directory / "source").write_bytes(source)
    places = [str(directory / name) for name in ("published", "source", "result")]
    assert 0 == find_published.main([places[0], places[1], "--result", places[2]])
    document = json.loads((directory / "result").read_text())
    return document["found"], document["whole"]


def damaged(content: bytes) -> bytes:
    """The same with a member before it whose checksum is wrong."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first.txt", "words")
        archive.writestr("inner.bin", content)
    data = bytearray(buffer.getvalue())
    data[data.find(b"PK\x01\x02") + 16] ^= 255
    return bytes(data)


def cut(data: bytes, size: int) -> list[bytes]:
    """Pieces of a size."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def pieces(data: bytes) -> dict[str, bytes]:
    """The file cut in seven."""
    size = len(data) // 7 + 1
    return {f"p/part{number}": data[number * size : (number + 1) * size] for number in range(7)}


WAYS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: data,
    "behind something": lambda data: b"MZ" * 500 + data + b"end",
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zip": zipped,
    "tar in tar": lambda data: tar({"a/b": data}),
    "base64": base64.b64encode,
    "base64 with lines": base64.encodebytes,
    "base64 in a module": lambda data: b"PAYLOAD = '" + base64.b64encode(data) + b"'\n",
    "urlsafe base64 in many literals": lambda data: (
        b"D = (\n" + b"\n".join(b'    b"' + line + b'"' for line in base64.urlsafe_b64encode(data).split(b"_")) + b")\n"
        if b"_" not in base64.urlsafe_b64encode(data)
        else b'D = "' + base64.urlsafe_b64encode(data) + b'"'
    ),
    "literals joined with plus": lambda data: (
        b"D = " + b' + \\\n'.join(b'"%s"' % line for line in base64.encodebytes(data).splitlines())
    ),
    "base85": lambda data: b"D = '''" + base64.b85encode(data) + b"'''" if b"'" in base64.b85encode(data)
    else b"'" + base64.b85encode(data) + b"'",
    "ascii85": base64.a85encode,
    "base32": lambda data: b"DATA = " + base64.b32encode(data),
    "hexadecimal": lambda data: data.hex().encode(),
    "escaped": lambda data: b'D = b"' + "".join(f"\\x{each:02x}" for each in data).encode() + b'"',
    "a list of numbers": lambda data: str(list(data)).encode(),
    "a literal of Python": lambda data: b"D = " + repr(data).encode(),
    "backwards": lambda data: data[::-1],
    "base64 of xz in a zip": lambda data: zipped(base64.b64encode(lzma.compress(data))),
    "behind a damaged member": lambda data: damaged(base64.b64encode(data)),
    "in the second stream of gzip": lambda data: gzip.compress(b"x") + gzip.compress(base64.b64encode(data)),
    "in the second stream of bz2": lambda data: bz2.compress(b"x") + bz2.compress(base64.b64encode(data)),
    "gzip behind something": lambda data: b"\0stub" + gzip.compress(base64.b64encode(data)),
    "deflated without a header": lambda data: base64.b64encode(zlib.compress(base64.b64encode(data))[2:-4]),
    "a literal in lines": lambda data: b"D = " + pprint.pformat(data, width=60).encode(),
    "short literals": lambda data: b"(%s)" % b"\n".join(repr(each).encode() for each in cut(data, 16)),
    "a literal behind what is no escape": lambda data: b"# \\xZZ\nD = " + repr(data).encode(),
    "base64 with escaped line ends": lambda data: b"D = " + repr(base64.encodebytes(data)).encode(),
    "octal escapes": lambda data: b'D = b"' + b"".join(b"\\%03o" % each for each in data) + b'"',
    "JSON": lambda data: json.dumps(data.decode("latin-1")).encode(),
    "characters in UTF-8": lambda data: data.decode("latin-1").encode(),
    "base64 in UTF-16": lambda data: base64.b64encode(data).decode().encode("utf-16"),
    "base64 added up": lambda data: b"".join(b"D += '%s'\n" % each for each in cut(base64.b64encode(data), 60)),
    "base85 in literals": lambda data: b"\n".join(b"'%s'" % each for each in cut(base64.b85encode(data), 60)),
    "ascii85 in a frame": lambda data: base64.a85encode(data, adobe=True, wrapcol=76),
    "hexadecimal with colons": lambda data: data.hex(":").encode(),
    "uuencoded": lambda data: b"begin 644 x\n" + b"".join(map(binascii.b2a_uu, cut(data, 45))) + b"`\nend\n",
    "quoted-printable": binascii.b2a_qp,
    "percent-encoded": lambda data: urllib.parse.quote_from_bytes(data).encode(),
    "numbers without commas": lambda data: " ".join(map(str, data)).encode(),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_found(way: str, tmp_path: Path) -> None:
    """In a member of the source archive, in each form a build undoes with one line."""
    published = wheel()
    found, whole = find(published, tar({"p/setup.py": b"pass", "p/tests/sample.bin": WAYS[way](published)}), tmp_path)
    assert whole
    assert found, way
    assert "p/tests/sample.bin" in found[0]["member"]


def test_found_in_pieces(tmp_path: Path) -> None:
    """Cut in seven files it is found by its samples."""
    found, _ = find(wheel(), tar(pieces(wheel())), tmp_path)
    assert ["in pieces"] == [each["how"] for each in found]


def test_the_file_itself_as_an_input(tmp_path: Path) -> None:
    """An input that is the published file has no member to name."""
    found, _ = find(wheel(), wheel(), tmp_path)
    assert [""] == [each["member"] for each in found]


def test_in_a_build_dependency(tmp_path: Path) -> None:
    """There only what is a member as it is counts: dependencies are many, and other people's."""
    carrier, plain = tmp_path / "dependency", wheel()
    (tmp_path / "published").write_bytes(plain)
    (tmp_path / "source").write_bytes(tar({"a.py": b"pass"}))
    for content, expected in ((plain, ["inner.bin"]), (base64.b64encode(plain), [])):
        carrier.write_bytes(zipped(content))
        places = [str(tmp_path / name) for name in ("published", "source")]
        result = tmp_path / "result"
        assert 0 == find_published.main([*places, f"--glance={carrier}", "--result", str(result)])
        assert expected == [each["member"] for each in json.loads(result.read_text())["found"]]


@pytest.mark.parametrize("stored", [False, True])
def test_sources_are_not_found(stored: bool, tmp_path: Path) -> None:
    """The files that a wheel was made of, and an older wheel of theirs, are no finding."""
    published = wheel(stored=stored)
    with zipfile.ZipFile(io.BytesIO(published)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    other = zipped(members["pkg/__init__.py"] + b"older")
    assert ([], True) == find(published, tar({**members, "dist/older.whl": other}), tmp_path)


def test_a_bomb_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is larger than what is looked through is said to be so, soon."""
    monkeypatch.setattr(find_published, "BYTES", 4 << 20)
    bomb = tar({f"p/{number}": bytes(1 << 20) for number in range(9)})
    assert ([], False) == find(wheel(), bomb, tmp_path)


def test_in_a_large_program(tmp_path: Path) -> None:
    """What is large and no text is searched for streams and base64 alone, which is soon done."""
    program = random.Random(3).randbytes(2 << 20)  # noqa: S311 - always the same bytes
    for hidden in (gzip.compress(wheel()), b"\n" + base64.b64encode(wheel()) + b"\n"):
        assert find(wheel(), tar({"p/tool": program + hidden + program}), tmp_path)[0]


def test_what_lies_too_deep_is_said(tmp_path: Path) -> None:
    """Compressed more often than is undone."""
    data = base64.b64encode(wheel())
    for _ in range(5):
        data = gzip.compress(data)
    assert ([], False) == find(wheel(), tar({"p/x": data}), tmp_path)


@pytest.mark.parametrize("source", [b"", b"PK\x05\x06" + bytes(18), b"\x1f\x8b" + bytes(99), b"\\x" * 999, b"1," * 999])
def test_what_is_broken_is_looked_through(source: bytes, tmp_path: Path) -> None:
    """No input makes it fail."""
    assert ([], True) == find(wheel(), source, tmp_path)


def handed_in(directory: Path, published: bytes, source: bytes, *dependencies: bytes) -> list[dict[str, Any]]:
    """What the program says of members that build dependencies handed in."""
    arguments = [str(directory / "published"), str(directory / "source"), "--result", str(directory / "result")]
    for name, content in {"published": published, "source": source}.items():
        (directory / name).write_bytes(content)
    for number, content in enumerate(dependencies):
        (directory / f"{number}.tgz").write_bytes(content)
        arguments.append(f"--glance={directory / f'{number}.tgz'}")
    assert 0 == find_published.main(arguments)
    found = json.loads((directory / "result").read_text())["handed_in"]
    return [{**each, "input": Path(each["input"]).name} for each in found]


def test_members_that_a_dependency_hands_in(tmp_path: Path) -> None:
    """A build that copies the release file by file out of a dependency: told with its share of what no source has."""
    made, licence, own = (bytes(random.Random(seed).randbytes(size)) for seed, size in ((1, 900), (2, 100), (3, 500)))  # noqa: S311
    published = tar({"package/dist/a.js": made, "package/LICENSE": licence, "package/b.js": own})
    source = tar({"own-1/b.js": own})
    carrier, other = tar({"package/lib/x": made}), tar({"package/LICENSE": licence, "package/again": made})
    assert [
        {"input": "0.tgz", "member": "package/dist/a.js", "share": 90},
        {"input": "1.tgz", "member": "package/LICENSE", "share": 10},
    ] == handed_in(tmp_path, published, source, carrier, other)
    has_all = tar({"own-1/b.js": own, "own-1/LICENSE": licence, "own-1/src/a.js": made})
    assert [] == handed_in(tmp_path, published, has_all, carrier, other)
    bundled = tar({"package/node_modules/x/lib/x": made, "package/b.js": own})
    assert [] == handed_in(tmp_path, bundled, source, carrier)
