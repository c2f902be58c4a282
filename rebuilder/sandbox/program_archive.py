"""Packs the programs of ``rebuilder.programs`` as one zip application, always the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import rebuilder.programs
from rebuilder.model.definition import Input, Role
from rebuilder.store.protocol import Blobs

PATH = "/tools/guest.pyz"
"""Where every sandbox finds it."""

_TIME = (1980, 1, 1, 0, 0, 0)
_REGULAR_0644 = 0o100644 << 16
_UNIX = 3
_MAIN = """\
import sys

from rebuilder.programs.__main__ import main

sys.exit(main(sys.argv))
"""


@cache
def program_archive() -> bytes:
    """The zip application: stored members in order of their names, one time, one mode.

    The package ``rebuilder`` itself is an empty stand-in: nothing of it but the guest programs goes along.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(_members()):
            member = zipfile.ZipInfo(name, _TIME)
            member.external_attr = _REGULAR_0644
            member.create_system = _UNIX
            archive.writestr(member, content)
    return buffer.getvalue()


def _members() -> Iterator[tuple[str, bytes]]:
    yield "__main__.py", _MAIN.encode()
    yield "rebuilder/__init__.py", b""
    package = Path(next(iter(rebuilder.programs.__path__)))
    for file in package.rglob("*.py"):
        yield f"rebuilder/programs/{file.relative_to(package).as_posix()}", file.read_bytes()


def program_input(blobs: Blobs) -> Input:
    """The zip application as an input for any build definition; stored as a blob."""
    return Input(role=Role.GUEST_PROGRAM, name="guest.pyz", sha256=blobs.put(program_archive()), path=PATH)
