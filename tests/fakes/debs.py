"""Debian packages made in code, well formed or not."""

from __future__ import annotations

import gzip
import lzma
import tarfile
from collections.abc import Callable, Mapping

from tests.fakes.archives import tar_bytes, tar_member

CONTROL = b"Package: tiny\nVersion: 1-1\nArchitecture: all\nMaintainer: a test <a@example.org>\nDescription: x\n"
Part = tuple[str, bytes]

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".xz": lzma.compress,
}


def ar_header(
    name: str, size: int, *, mtime: int = 1_700_000_000, owner: tuple[int, int] = (0, 0), mode: int = 0o100644
) -> bytes:
    """A header as ``dpkg-deb`` writes it."""
    return b"%-16s%-12d%-6d%-6d%-8o%-10d`\n" % (name.encode(), mtime, *owner, mode, size)


def ar_bytes(*parts: Part, **fields: object) -> bytes:
    """An ar archive; fields are those of every header."""
    written = (
        ar_header(name, len(data), **fields) + data + b"\n" * (len(data) % 2)  # type: ignore[arg-type]
        for name, data in parts
    )
    return b"!<arch>\n" + b"".join(written)


def control_tar(files: Mapping[str, bytes] | None = None, **fields: object) -> bytes:
    """A control archive; without ``control`` only where that is said."""
    given = {"control": CONTROL, **(files or {})}
    return tar_bytes(*((tar_member(f"./{name}", **fields), data) for name, data in given.items()))


def data_tar(files: Mapping[str, bytes] | None = None, **fields: object) -> bytes:
    """A data archive of files below ``/usr``."""
    given = {"usr/bin/tiny": b"#!/bin/sh\nexit 0\n"} if files is None else files
    return tar_bytes(
        *(tar_member(f"./{each}", type=tarfile.DIRTYPE, mode=0o755) for each in ("usr", "usr/bin")),
        *((tar_member(f"./{name}", **fields), data) for name, data in given.items()),
    )


def deb(
    control: bytes | None = None,
    data: bytes | None = None,
    *,
    ending: str = ".xz",
    extra: tuple[Part, ...] = (),
    **fields: object,
) -> bytes:
    """A package of two archives, which are compressed here."""
    pack = COMPRESS[ending]
    return ar_bytes(
        ("debian-binary", b"2.0\n"),
        (f"control.tar{ending}", pack(control_tar() if control is None else control)),
        (f"data.tar{ending}", pack(data_tar() if data is None else data)),
        *extra,
        **fields,
    )
