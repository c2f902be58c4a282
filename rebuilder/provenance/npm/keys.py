"""The npm registry's public keys, each good for one use and one period."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from rebuilder.errors import StoreError
from rebuilder.provenance.claims import Refused, not_checkable, shown
from rebuilder.provenance.format.strict_json import array, base64_bytes, fields, parse, text

SIGNATURES = "npm:signatures"
"""Use of a key: the registry's signatures over name, version and digest."""
ATTESTATIONS = "npm:attestations"
"""Use of a key: the registry's publish attestations."""
_P256 = "PKIX_ECDSA_P256_SHA_256"


@dataclass(frozen=True)
class NpmKey:
    """One key for one use."""

    key_id: str
    usage: str
    der: bytes
    """SubjectPublicKeyInfo."""
    start: datetime
    end: datetime | None
    """None for "until further notice"; exclusive."""

    @property
    def line(self) -> str:
        """The key in one line, for a person to compare."""
        end = self.end.isoformat() if self.end else "further notice"
        digest = hashlib.sha256(self.der).hexdigest()[:16]
        return f"{self.usage} key {shown(self.key_id)} ({digest}) from {self.start.isoformat()} to {end}"

    def verify(self, signature: bytes, message: bytes) -> None:
        """ECDSA P-256 with SHA-256.

        Raises:
            Refused: the signature is not this key's over this message.
        """
        key = load_der_public_key(self.der)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - checked when the list was read
        try:
            key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Refused(f"The signature is not the one of the registry's key {shown(self.key_id)}.") from None


class NpmKeys:
    """All keys of a list; keys of a kind this program does not know are left out."""

    def __init__(self, data: bytes) -> None:
        """Read the list (the layout of ``keys.json`` in Sigstore's TUF repository).

        Raises:
            StoreError: it is malformed or has no usable key: our own file is broken.
        """
        try:
            entries = array(fields(parse(data, "The npm key list"), "It", required=["keys"])["keys"], "“keys”")
            self.keys = tuple(key for entry in entries if (key := _key(entry)))
        except (Refused, ValueError) as error:
            raise StoreError(f"The npm key list of the trust root is malformed: {shown(str(error), 300)}") from None
        if not self.keys:
            raise StoreError("The npm key list of the trust root has no usable key.")

    def find(self, key_id: str, usage: str, when: datetime) -> NpmKey:
        """The key with this id that was good for this use at that time.

        Raises:
            Refused: there is none: not checkable for an id we do not know, invalid outside the key's period.
        """
        named = [key for key in self.keys if key.key_id == key_id and key.usage == usage]
        if not named:
            raise not_checkable(
                f"It is signed with the registry key {shown(key_id)}, which is not in the pinned list: "
                "a newer key, or not the registry's."
            )
        for key in named:
            if key.start <= when and (key.end is None or when < key.end):
                return key
        raise Refused(f"The registry key {shown(key_id)} was not valid at {when.isoformat()}: {named[0].line}.")


def _key(entry: object) -> NpmKey | None:
    found = fields(entry, "A key", required=["keyId", "keyUsage", "publicKey"])
    public = fields(found["publicKey"], "A public key", required=["rawBytes", "keyDetails", "validFor"])
    if public["keyDetails"] != _P256:
        return None
    period = fields(public["validFor"], "A period", required=["start"], optional=["end"])
    der = base64_bytes(public["rawBytes"], "A public key")
    key = load_der_public_key(der)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused("A key is not on the curve P-256.")
    end = _moment(period["end"]) if "end" in period else None
    return NpmKey(
        key_id=text(found["keyId"], "A key id"),
        usage=text(found["keyUsage"], "A key's use"),
        der=der,
        start=_moment(period["start"]),
        end=end,
    )


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(text(value, "A time"))
    if moment.tzinfo is None:
        raise Refused("A time has no time zone.")
    return moment
