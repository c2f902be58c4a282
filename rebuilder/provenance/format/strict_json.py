"""Reading foreign JSON so that every reader after us sees the same; what nothing here knows is set aside and named.

A newer log or index adds members. One that nobody here knows proves no tampering, and must not hide any either: it is
taken out, everything known is checked as always, and only what holds then is called "not checkable" because of it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rebuilder.foreign_json import JsonLimits, UnreadableJson, read_json
from rebuilder.model.value import canonical_json
from rebuilder.provenance.claims import Refused, lacking, not_checkable, shown

MAX_BYTES = 1 << 20
"""Largest document read. Real ones have about 10 KiB for each attestation."""
MAX_DEPTH = 32
"""Deepest nesting of objects and arrays. Real ones have 9."""
_LIMITS = JsonLimits(values=100_000, depth=MAX_DEPTH, text_bytes=MAX_BYTES)

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def parse(data: bytes, what: str) -> Any:
    """Parse JSON, size and depth measured before any parser sees it.

    Raises:
        Refused: too large, too deep, not UTF-8, not JSON (RFC 8259), or an object with the same name twice.
    """
    if len(data) > MAX_BYTES:
        raise Refused(f"{what} has {len(data)} bytes; the limit is {MAX_BYTES}.")
    try:
        return read_json(data, _LIMITS, pairs=_no_duplicates)
    except UnreadableJson as error:
        raise Refused(f"{what} {error}.") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnreadableJson("has an object with the same name twice")
    return found


def fields(value: Any, what: str, *, required: Collection[str] = (), optional: Collection[str] = ()) -> dict[str, Any]:
    """An object with these members and no others; those that are ``null`` are left out.

    Raises:
        Refused: not an object, a member is missing, or one is unknown.
    """
    found = mapping(value, what)
    for name in found:
        if name not in required and name not in optional:
            raise not_checkable(f"{what} has the unknown member “{shown(name, 40)}”.")
    found = {name: member for name, member in found.items() if member is not None}
    for name in required:
        if name not in found:
            raise lacking(f"{what} lacks “{name}”.")
    return found


def mapping(value: Any, what: str) -> dict[str, Any]:
    """An object.

    Raises:
        Refused: something else.
    """
    if not isinstance(value, dict):
        raise Refused(f"{what} is not an object.")
    return value


def one(value: Any, what: str) -> Any:
    """The only element of an array.

    Raises:
        Refused: not an array, or not exactly one element.
    """
    found = array(value, what)
    if len(found) != 1:
        raise Refused(f"{what} has {len(found)} elements instead of one.", lacking=not found)
    return found[0]


def array(value: Any, what: str) -> list[Any]:
    """An array.

    Raises:
        Refused: something else.
    """
    if not isinstance(value, list):
        raise Refused(f"{what} is not an array.")
    return value


def text(value: Any, what: str) -> str:
    """A string.

    Raises:
        Refused: something else.
    """
    if not isinstance(value, str):
        raise Refused(f"{what} is not text.")
    return value


def decimal(value: Any, what: str) -> int:
    """A number written as a string, the way Protocol Buffers write 64-bit integers; one spelling each.

    Raises:
        Refused: anything else, leading zeros and signs included.
    """
    found = text(value, what)
    if not _DECIMAL.fullmatch(found):
        raise Refused(f"{what} is not a number: “{shown(found, 40)}”.")
    return int(found)


def base64_bytes(value: Any, what: str) -> bytes:
    """Bytes in base64 (RFC 4648, section 4), one spelling each: no line breaks, no stray bits.

    Lenient decoders skip foreign characters and ignore left-over bits, so that two documents mean the same.

    Raises:
        Refused: anything else, nothing at all included.
    """
    found = text(value, what)
    try:
        decoded = base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(f"{what} is not proper base64.") from None
    if not decoded or base64.b64encode(decoded).decode() != found:
        raise Refused(f"{what} is not proper base64.")
    return decoded


def canonical(value: Any, what: str) -> bytes:
    """RFC 8785 canonical form, for a digest.

    Raises:
        Refused: it has numbers or text that JSON cannot carry exactly.
    """
    try:
        return canonical_json(value)
    except (ValueError, RecursionError):
        raise Refused(f"{what} has numbers or text that have no canonical form.") from None


Shape = Mapping[str, Any] | tuple[Any] | None
"""Names of members, each with the shape of its value; a tuple of one: a list of such; None: anything."""

_ENTRY: Shape = {
    "logIndex": None,
    "logId": {"keyId": None},
    "kindVersion": {"kind": None, "version": None},
    "integratedTime": None,
    "inclusionPromise": {"signedEntryTimestamp": None},
    "inclusionProof": {
        "logIndex": None,
        "rootHash": None,
        "treeSize": None,
        "hashes": None,
        "checkpoint": {"envelope": None},
    },
    "canonicalizedBody": None,
}
"""protobuf-specs, ``TransparencyLogEntry``."""
PROVENANCE: Shape = {"version": None, "attestation_bundles": ({"publisher": None, "attestations": None},)}
"""PEP 740, the provenance object."""
ATTESTATION: Shape = {
    "version": None,
    "verification_material": {"certificate": None, "transparency_entries": (_ENTRY,)},
    "envelope": {"statement": None, "signature": None},
}
"""PEP 740, the attestation object of version 1."""
BUNDLE: Shape = {
    "mediaType": None,
    "verificationMaterial": {
        "tlogEntries": (_ENTRY,),
        "publicKey": {"hint": None},
        "x509CertificateChain": {"certificates": ({"rawBytes": None},)},
        "certificate": {"rawBytes": None},
        "timestampVerificationData": {"rfc3161Timestamps": ({"signedTimestamp": None},)},
    },
    "dsseEnvelope": {"payload": None, "payloadType": None, "signatures": ({"sig": None, "keyid": None},)},
}
"""protobuf-specs, ``Bundle`` 0.1 to 0.3 with a DSSE envelope."""
NPM_DOCUMENT: Shape = {"attestations": None}
NPM_ATTESTATION: Shape = {"predicateType": None, "bundle": None}
STATEMENT: Shape = {
    "_type": None,
    "subject": ({"name": None, "digest": None},),
    "predicateType": None,
    "predicate": None,
}
"""in-toto statement."""


@dataclass(frozen=True)
class Unknown:
    """A member that was set aside."""

    path: str
    """With dots, such as ``verification_material.timestamps``."""
    empty: bool
    """It says nothing: null, an empty list or object, empty text, zero or false."""


def known(value: Any, shape: Shape) -> tuple[Any, tuple[Unknown, ...]]:
    """A parsed document without the members its shape does not have, and those. Pure.

    Where a value is not of the kind the shape expects, it is left as it is: whoever reads it says so.
    """
    unknown: list[Unknown] = []
    return _known(value, shape, "", unknown), tuple(unknown)


def _known(value: Any, shape: Shape, path: str, unknown: list[Unknown]) -> Any:
    if isinstance(shape, tuple) and isinstance(value, list):
        return [_known(each, shape[0], path, unknown) for each in value]
    if isinstance(shape, Mapping) and isinstance(value, dict):
        unknown += [
            Unknown(f"{path}.{name}".lstrip("."), not each) for name, each in value.items() if name not in shape
        ]
        return {
            name: _known(each, shape[name], f"{path}.{name}".lstrip("."), unknown)
            for name, each in value.items()
            if name in shape
        }
    return value


def named(unknown: Iterable[Unknown]) -> str:
    """The first of them, for a sentence."""
    paths = list(dict.fromkeys(each.path for each in unknown))
    first = ", ".join(f"“{shown(each, 80)}”" for each in paths[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"the unknown {'member' if len(paths) == 1 else 'members'} {first}{more}"
