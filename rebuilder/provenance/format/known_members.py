"""Which members of upstream's documents this program knows; what else they have is set aside and named.

A newer log or index adds members. One that nobody here knows proves no tampering, and must not hide any either: it is
taken out, everything known is checked as always, and only what holds then is called "not checkable" because of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rebuilder.provenance.refusal import shown

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
