"""A source archive that holds the very file that is to be built from it."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from rebuilder.guest.find_copy import find


def archive(path: Path, members: dict[str, bytes]) -> str:
    """A source archive."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return str(path)


def wheel(*, text: str = "X = 1\n") -> bytes:
    """A wheel."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("x/__init__.py", "x-1.dist-info/METADATA", "x-1.dist-info/WHEEL", "x-1.dist-info/RECORD"):
            packed.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return out.getvalue()


def in_zip(data: bytes) -> bytes:
    """As the member of another archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("data", data)
    return out.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda data: b"head" + data + b"tail",
    "backwards": lambda data: data[::-1],
    "base64": lambda data: b"DATA = '''" + base64.encodebytes(data) + b"'''",
    "base64 after something": lambda data: base64.b64encode(b"12345" + data),
    "urlsafe": base64.urlsafe_b64encode,
    "base85": base64.b85encode,
    "ascii85": base64.a85encode,
    "base32": base64.b32encode,
    "hexadecimal": lambda data: data.hex().upper().encode(),
    "numbers": lambda data: str(list(data)).encode(),
    "escapes": lambda data: "".join(f"\\x{byte:02x}" for byte in data).encode(),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "in a ZIP file": in_zip,
    "base64, compressed": lambda data: gzip.compress(base64.b64encode(data)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_seen(tmp_path: Path, form: Callable[[bytes], bytes]) -> None:
    """The usual forms of bytes are seen, and the member is named."""
    source = archive(tmp_path / "x.tar.gz", {"x-1/a.py": b"A = 1\n", "x-1/data": form(wheel())})
    found = find(wheel(), source)
    assert found is not None
    assert "x-1/data" == found[0]


def test_other_wheels_and_the_same_files_are_nothing(tmp_path: Path) -> None:
    """The files a wheel is made from, and wheels for tests, are what sources hold."""
    members = {"x-1/x/__init__.py": b"X = 1\n", "x-1/tests/y.whl": wheel(text="Y = 2\n"), "x-1/empty": b""}
    assert find(wheel(), archive(tmp_path / "x.tar.gz", members)) is None


def test_what_is_damaged_says_nothing(tmp_path: Path) -> None:
    """Whoever reads the archive properly tells what is wrong with it."""
    (tmp_path / "x.tar.gz").write_bytes(b"\x1f\x8b nonsense")
    assert find(wheel(), str(tmp_path / "x.tar.gz")) is None
    source = archive(tmp_path / "y.tar.gz", {"x-1/a": b"\x1f\x8b nonsense", "x-1/b": b"PK\3\4 nonsense"})
    assert find(wheel(), source) is None
