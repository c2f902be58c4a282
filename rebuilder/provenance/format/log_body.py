"""Binding payload, signature and signer to the body of a log entry, for the two kinds of DSSE entries of Rekor v1."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from rebuilder.model.value import pre_authentication_encoding
from rebuilder.provenance.format.log_entry import LogEntry
from rebuilder.provenance.format.strict_json import base64_bytes, fields, one, parse
from rebuilder.provenance.refusal import Refused, not_checkable, shown

INTOTO = ("intoto", "0.0.2")
DSSE = ("dsse", "0.0.1")
HASHEDREKORD = ("hashedrekord", "0.0.2")
"""How Rekor v2 takes envelopes in; sigstore-python verifies it, with a timestamp."""


@dataclass(frozen=True)
class Envelope:
    """A DSSE envelope with its one signature."""

    payload: bytes
    payload_type: str
    signature: bytes
    key_id: str

    @property
    def signed(self) -> bytes:
        """The bytes that are signed (DSSE pre-authentication encoding, v1)."""
        return pre_authentication_encoding(self.payload_type, self.payload)


def bind(entry: LogEntry, envelope: Envelope, signer: bytes) -> None:
    """Require that the log took in exactly this payload, this signature and this signer.

    Without it, somebody could show a genuine entry of something else beside a signature that was never logged.
    The hash of the whole envelope that the body also carries is of a JSON text that is not kept: payload, type,
    signature and signer are all there is in it, and each is compared.

    Args:
        entry: Verified.
        envelope: What the attestation carries.
        signer: DER of the certificate, or of the public key where no certificate is used.

    Raises:
        Refused: something differs, or the entry is of another kind.
    """
    what = "The log entry's body"
    body = fields(parse(entry.body, what), what, required=["apiVersion", "kind", "spec"])
    if (body["kind"], body["apiVersion"]) != (entry.kind, entry.version):
        raise Refused("The log entry's body is of another kind than the entry says.")
    if (entry.kind, entry.version) == INTOTO:
        logged, payload_hash = _intoto(body["spec"])
        if logged.get("payloadType", envelope.payload_type) != envelope.payload_type:
            raise Refused("The log entry is of another payload type.")
    elif (entry.kind, entry.version) == DSSE:
        logged, payload_hash = _dsse(body["spec"])
    else:
        raise not_checkable(f"The log entry is of the unknown kind {shown(entry.kind)} {shown(entry.version)}.")
    found = fields(payload_hash, "The log entry's payload hash", required=["algorithm", "value"])
    if found["algorithm"] != "sha256" or found["value"] != hashlib.sha256(envelope.payload).hexdigest():
        raise Refused("The log entry is of another payload.")
    if logged["signature"] != envelope.signature or logged["keyid"] not in {None, envelope.key_id}:
        raise Refused("The log entry is of another signature.")
    if _der(logged["signer"]) != signer:
        raise Refused("The log entry is of another signer.")


def _intoto(spec: Any) -> tuple[dict[str, Any], Any]:
    """Read Rekor type intoto 0.0.2: signature and signer are base64 once more than in the envelope."""
    what = "The log entry's body"
    content = fields(
        fields(spec, what, required=["content"])["content"], what, required=["envelope", "hash", "payloadHash"]
    )
    envelope = fields(content["envelope"], what, required=["payloadType", "signatures"])
    signature = fields(
        one(envelope["signatures"], f"{what}'s list of signatures"),
        what,
        required=["publicKey", "sig"],
        optional=["keyid"],
    )
    inner = base64_bytes(signature["sig"], f"{what}'s signature").decode("ascii", "replace")
    return {
        "payloadType": envelope["payloadType"],
        "signature": base64_bytes(inner, f"{what}'s signature"),
        "keyid": signature.get("keyid", ""),
        "signer": base64_bytes(signature["publicKey"], f"{what}'s signer"),
    }, content["payloadHash"]


def _dsse(spec: Any) -> tuple[dict[str, Any], Any]:
    """Read Rekor type dsse 0.0.1; it does not log key ids."""
    what = "The log entry's body"
    content = fields(spec, what, required=["envelopeHash", "payloadHash", "signatures"])
    signature = fields(
        one(content["signatures"], f"{what}'s list of signatures"), what, required=["signature", "verifier"]
    )
    return {
        "signature": base64_bytes(signature["signature"], f"{what}'s signature"),
        "keyid": None,
        "signer": base64_bytes(signature["verifier"], f"{what}'s signer"),
    }, content["payloadHash"]


def _der(pem: bytes) -> bytes:
    try:
        if b"BEGIN CERTIFICATE" in pem:
            return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        return load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except ValueError:
        raise Refused("The log entry's signer is neither a certificate nor a public key.") from None
