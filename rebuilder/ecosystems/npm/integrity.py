"""Digests of tarballs as registries and lock files write them: Subresource Integrity (W3C, section 3.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Algorithm = Literal["sha512", "sha384", "sha256", "sha1"]
_BYTES: dict[Algorithm, int] = {"sha512": 64, "sha384": 48, "sha256": 32, "sha1": 20}
"""Of a digest, strongest first."""
_WORD = re.compile(r"(?P<algorithm>[a-z0-9]+)-(?P<digest>[A-Za-z0-9+/=]+)(?:\?[!-~]*)?", re.ASCII)
_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Digest:
    """One digest of a tarball."""

    algorithm: Algorithm
    value: str
    """Lower-case hexadecimal."""

    @property
    def binds(self) -> bool:
        """Whether nobody can make other bytes that have it."""
        return self.algorithm != "sha1"

    @property
    def key(self) -> str:
        """As one text: ``sha512:DIGEST``."""
        return f"{self.algorithm}:{self.value}"


def digests(integrity: Any) -> tuple[Digest, ...]:
    """The digests of such a text: installers take a file that has one of the strongest kind.

    Nothing where it has a word that is none: what one reader takes for blanks between words, another does not.
    """
    found = []
    for word in re.split(f"[{_BLANKS}]+", integrity.strip(_BLANKS)) if isinstance(integrity, str) else ():
        if (known := _WORD.fullmatch(word)) is None:
            return ()
        try:
            value = base64.b64decode(known["digest"], validate=True)
        except binascii.Error:
            return ()
        found += [
            Digest(name, value.hex())
            for name, size in _BYTES.items()
            if (known["algorithm"], len(value)) == (name, size)
        ]
    return strongest_first(found)


def strongest_first(found: Iterable[Digest]) -> tuple[Digest, ...]:
    """Digests in the order in which installers look at them, each once."""
    return tuple(sorted(set(found), key=lambda each: (list(_BYTES).index(each.algorithm), each.value)))
