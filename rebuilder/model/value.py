"""What all values have in common: immutability, validation, one canonical form, and what a signature is made over."""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from itertools import zip_longest
from typing import Annotated, Any, Literal, NewType, Self

import rfc8785
from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic_core import PydanticSerializationError, to_json

Sha256 = NewType("Sha256", str)
"""64 lower-case hexadecimal digits of a SHA-256 digest (FIPS 180-4)."""

Sha256Field = Annotated[Sha256, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""The same, checked when a value is made from a document."""

Sha512 = NewType("Sha512", str)
"""128 lower-case hexadecimal digits of a SHA-512 digest (FIPS 180-4)."""

Sha512Field = Annotated[Sha512, StringConstraints(pattern=r"^[0-9a-f]{128}$")]
"""The same, checked when a value is made from a document."""


_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_sha256(text: str) -> bool:
    """Whether a text is a SHA-256 digest as it is written everywhere."""
    return _SHA256.fullmatch(text) is not None


def algorithm(digest: Sha256 | Sha512) -> Literal["sha256", "sha512"]:
    """Which digest it is, as in-toto names it."""
    return "sha256" if len(digest) == 64 else "sha512"


class Worded(StrEnum):
    """Texts with words of their own, which a class annotates in the order in which they stand behind each value.

    The last of them may be left out, and is False then.
    """

    def __new__(cls, value: str, *words: object) -> Self:
        """Make one member."""
        member = str.__new__(cls, value)
        member._value_ = value
        for name, word in zip_longest(cls.__annotations__, words, fillvalue=False):
            setattr(member, str(name), word)
        return member


class Value(BaseModel):
    """An immutable record; unknown fields are an error, so that a misspelt one cannot be lost."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64")

    def document(self) -> dict[str, Any]:
        """The value as plain JSON types, fields that are ``None`` left out."""
        return self.model_dump(mode="json", exclude_none=True)

    def replace(self, **changes: Any) -> Self:
        """The same value with other content in some fields, validated as when one is made.

        What a cached property had worked out stays with the old value. Values in the fields are not looked into
        again: a class is enough, since a value was valid when it was made and cannot be changed.

        Raises:
            TypeError: the class has no field of that name.
            pydantic.ValidationError: a field cannot have that content, or not together with the others.
        """
        fields = type(self).model_fields
        for name in changes:
            if name not in fields:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
        kept = {name: content for name, content in self.__dict__.items() if name in fields}
        return self.model_validate(kept | changes)


def canonical_json(document: Any) -> bytes:
    """Serialise plain JSON types to the one byte string RFC 8785 (JCS) allows for them.

    Raises:
        rfc8785.CanonicalizationError: for values JSON cannot carry exactly, such as integers over 2**53.
    """
    return rfc8785.dumps(document)


def indented_json(document: Any) -> bytes:
    """Serialise plain JSON types as they are published: one space a level, UTF-8, a newline at the end.

    Half of a surrogate pair is written as an escape.
    """
    try:
        return to_json(document, indent=1) + b"\n"
    except PydanticSerializationError:  # such a half; this takes ten times as long
        return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def sha256_hex(data: bytes) -> Sha256:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return Sha256(hashlib.sha256(data).hexdigest())


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What is really signed: payload and type, each behind its length in bytes.

    It is called PAE in https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md.
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
