"""Tells whether a page would come out as it is, without making it.

A page of a few hundred rows takes longer to render than to look at. Each such page carries a digest of everything
it is made from: the rows, the templates, and the code between the two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from rebuilder.model.report import Summary
from rebuilder.resources import resource
from rebuilder.site.marks import SHOWN, mark

_LOOK_AT = 1024
"""Bytes at the start of a page that hold its fingerprint."""


def fingerprint(rows: Iterable[Summary], *about: str) -> str:
    """Digest over ``rows``, whatever else the page shows, and what makes pages of them."""
    digest = hashlib.sha256(_maker())
    digest.update(repr(about).encode())
    for each in rows:
        shown = (each.ecosystem, each.name, each.version, each.filename, each.sha256, each.verdict, each.kind)
        digest.update(repr((shown, each.sentence, each.purl, each.finished)).encode())
    return digest.hexdigest()


def carries(page: Path, expected: str) -> bool:
    """Whether the file is there and was made from just this."""
    try:
        with page.open("rb") as file:
            return f'<meta name="made-from" content="{expected}">'.encode() in file.read(_LOOK_AT)
    except OSError:
        return False


@cache
def _maker() -> bytes:
    digest = hashlib.sha256(repr([mark(each) for each in SHOWN]).encode())
    for folder in (resource("reports") / "templates", Path(__file__).parent):
        for file in sorted((*folder.rglob("*.html"), *folder.rglob("*.py"))):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.digest()
