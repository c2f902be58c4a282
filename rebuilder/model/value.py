"""What all values have in common: immutability, validation and one canonical form."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, NewType

import rfc8785
from pydantic import BaseModel, ConfigDict, StringConstraints

Sha256 = NewType("Sha256", str)
"""64 lower-case hexadecimal digits of a SHA-256 digest (FIPS 180-4)."""

Sha256Field = Annotated[Sha256, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""The same, checked when a value is made from a document."""


class Value(BaseModel):
    """An immutable record; unknown fields are an error, so that a misspelt one cannot be lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")

    def document(self) -> dict[str, Any]:
        """The value as plain JSON types, fields that are ``None`` left out."""
        return self.model_dump(mode="json", exclude_none=True)


def canonical_json(document: Any) -> bytes:
    """Serialise plain JSON types to the one byte string RFC 8785 (JCS) allows for them.

    Raises:
        rfc8785.CanonicalizationError: for values JSON cannot carry exactly, such as integers over 2**53.
    """
    return rfc8785.dumps(document)


def sha256_hex(data: bytes) -> Sha256:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return Sha256(hashlib.sha256(data).hexdigest())
