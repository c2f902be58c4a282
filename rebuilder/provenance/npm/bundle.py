"""Sigstore bundles as npm publishes them, the kinds included that sigstore-python does not take."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle as SigstoreBundle

from rebuilder.provenance.format import known_parts, log_entry
from rebuilder.provenance.format.log_entry import DSSE, HASHEDREKORD, INTOTO, Envelope, LogEntry
from rebuilder.provenance.format.strict_json import array, base64_bytes, fields, mapping, one, text
from rebuilder.provenance.npm.keys import NpmKey
from rebuilder.provenance.refusal import Refused, lacking, not_checkable, shown
from rebuilder.provenance.trust.authorities import Authorities

_V01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
_V02 = "application/vnd.dev.sigstore.bundle+json;version=0.2"
_V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"
_V03_ALT = "application/vnd.dev.sigstore.bundle+json;version=0.3"


@dataclass(frozen=True)
class Bundle:
    """A bundle, read strictly; nothing is verified yet."""

    envelope: Envelope
    entry: LogEntry
    certificate: Certificate | None
    chain: tuple[bytes, ...]
    """DER of further certificates that were sent along."""
    key_hint: str | None
    """Key id, where a bare key signed."""
    timestamps: bool
    """Whether it has timestamps of a timestamp authority."""
    content: dict[str, Any]


def read(value: Any) -> Bundle:
    """Read a bundle (protobuf-specs, ``Bundle`` 0.1 to 0.3) with a DSSE envelope.

    Raises:
        Refused: it is malformed or of an unknown version.
    """
    what = "The bundle"
    found = fields(value, what, required=["mediaType", "verificationMaterial", "dsseEnvelope"])
    media_type = text(found["mediaType"], f"{what}'s media type")
    material = fields(
        found["verificationMaterial"],
        "The verification material",
        required=["tlogEntries"],
        optional=["publicKey", "x509CertificateChain", "certificate", "timestampVerificationData"],
    )
    entries = array(material["tlogEntries"], "The list of log entries")
    if len(entries) > 1:
        raise not_checkable(f"{what} has {len(entries)} log entries; one can be checked.")
    entry = log_entry.read(one(entries, "The list of log entries"))
    if media_type != _V01 and not entry.has_proof:
        raise lacking("The log entry has no inclusion proof, which this version of the bundle must have.")
    certificate, chain, hint = _signer(material, newest=media_type in {_V03, _V03_ALT})
    return Bundle(
        envelope=_envelope(found["dsseEnvelope"]),
        entry=entry,
        certificate=certificate,
        chain=chain,
        key_hint=hint,
        timestamps=_has_timestamps(material),
        content=found,
    )


def require_known_version(value: Any) -> None:
    """The bundle is of a version whose members are known.

    Raises:
        Refused: it is of another one, or does not say.
    """
    what = "The bundle"
    media_type = mapping(value, what).get("mediaType")
    if media_type is None:
        raise lacking(f"{what} lacks “mediaType”.")
    if text(media_type, f"{what}'s media type") not in {_V01, _V02, _V03, _V03_ALT}:
        raise not_checkable(f"{what} is of the unknown type {shown(media_type)}.")


def parts(bundle: Any) -> tuple[Certificate | None, Envelope | None, LogEntry | None]:
    """What is there of certificate, signed statement and log entry, whatever else the bundle lacks.

    Raises:
        Refused: a part that is there is malformed.
    """
    found = mapping(bundle, "The bundle")
    material = mapping(found.get("verificationMaterial") or {}, "The verification material")
    certificate = None
    if any(material.get(name) is not None for name in ("x509CertificateChain", "certificate")):
        certificate = _signer(material, newest=material.get("certificate") is not None)[0]
    envelope = found.get("dsseEnvelope")
    entries = array(material.get("tlogEntries") or [], "The list of log entries")
    return (
        certificate,
        _envelope(envelope) if envelope is not None else None,
        known_parts.entry(entries),
    )


def verify_keyed(bundle: Bundle, key: NpmKey) -> None:
    """Verify a signature by a bare key and that exactly it is in the log; the log entry itself was verified.

    Raises:
        Refused: it does not hold.
    """
    if bundle.timestamps:
        raise not_checkable("It has timestamps of a timestamp authority, which are not expected beside a bare key.")
    if bundle.envelope.key_id != key.key_id:
        raise Refused("The signature names another key than the bundle.")
    key.verify(bundle.envelope.signature, bundle.envelope.signed)
    log_entry.bind(bundle.entry, bundle.envelope, key.der)


def verify_certified(bundle: Bundle, authorities: Authorities) -> datetime:
    """Verify a signature by a certificate; give the signed time.

    What sigstore-python takes is left to it. It refuses ``intoto`` log entries, and bundles without inclusion
    proof: for those the same steps are taken here, see docs/adr/0009-upstream-attestations.md.

    Raises:
        Refused: it does not hold.
    """
    assert bundle.certificate is not None  # noqa: S101 - asked for by the caller
    if (bundle.entry.kind, bundle.entry.version) not in {INTOTO, DSSE, HASHEDREKORD}:
        raise not_checkable(
            f"The log entry is of the unknown kind {shown(bundle.entry.kind)} {shown(bundle.entry.version)}."
        )
    if bundle.entry.time is not None:
        authorities.check_log(bundle.entry.log_id, bundle.entry.time)
    if not authorities.certificates.issuperset(bundle.chain):
        raise Refused("A certificate that was sent along is not one of the trust root's authorities.")
    if (bundle.entry.kind, bundle.entry.version) == INTOTO or not bundle.entry.has_proof:
        when = _by_ourselves(bundle, authorities)
    else:
        when = _by_sigstore(bundle, authorities)
    authorities.check_log(bundle.entry.log_id, when)
    authorities.check_certificate(bundle.certificate, when)
    return when


def _by_ourselves(bundle: Bundle, authorities: Authorities) -> datetime:
    assert bundle.certificate is not None  # noqa: S101
    if bundle.timestamps:
        raise not_checkable("It has timestamps of a timestamp authority beside a log entry of an older kind.")
    when = log_entry.verify(bundle.entry, authorities)
    if not isinstance(bundle.certificate.public_key(), ec.EllipticCurvePublicKey):
        raise not_checkable("The certificate's key is not of a kind Sigstore uses for signing (elliptic curve).")
    known_parts.require_signature(bundle.envelope, bundle.certificate)
    log_entry.bind(bundle.entry, bundle.envelope, bundle.certificate.public_bytes(Encoding.DER))
    return when


def _by_sigstore(bundle: Bundle, authorities: Authorities) -> datetime:
    try:
        parsed = SigstoreBundle.from_json(json.dumps(bundle.content))
        kind, payload = authorities.verifier.verify_dsse(parsed, _Anyone())
    except SigstoreError as error:
        raise Refused(f"The signature does not hold: {shown(str(error), 300)}.") from None
    if (kind, payload) != (bundle.envelope.payload_type, bundle.envelope.payload):
        raise Refused("The statement was read in two ways.")
    if bundle.entry.time is not None and bundle.entry.promise is not None:
        return bundle.entry.time
    data = parsed.verification_material.timestamp_verification_data
    # With one timestamp there is no doubt which one the verifier found good.
    stamp = one(data.rfc3161_timestamps if data else [], "The list of timestamps")
    moment: datetime = stamp.tst_info.gen_time
    return moment


class _Anyone:
    """There is no claimed identity to compare with: the certificate's is reported."""

    def verify(self, cert: Certificate) -> None:
        """Accept every identity."""


def _signer(material: dict[str, Any], *, newest: bool) -> tuple[Certificate | None, tuple[bytes, ...], str | None]:
    kinds = [name for name in ("publicKey", "x509CertificateChain", "certificate") if name in material]
    kind = one(kinds, "The set of signers")
    if kind == "publicKey":
        key = fields(material[kind], "The public key", required=["hint"])
        return None, (), text(key["hint"], "The public key's hint")
    if (kind == "certificate") != newest:
        raise Refused(f"The bundle's version does not go with “{kind}”.")
    if kind == "certificate":
        listed = [material[kind]]
    else:
        chain = fields(material[kind], "The certificate chain", required=["certificates"])
        listed = array(chain["certificates"], "The certificate chain")
    raw = [
        base64_bytes(fields(entry, "A certificate", required=["rawBytes"])["rawBytes"], "A certificate")
        for entry in listed
    ]
    if not raw:
        raise Refused("The certificate chain is empty.")
    return known_parts.certificate(raw[0]), tuple(raw[1:]), None


def _envelope(value: Any) -> Envelope:
    found = fields(value, "The envelope", required=["payload", "payloadType", "signatures"])
    signature = fields(
        one(found["signatures"], "The envelope's list of signatures"),
        "The envelope's signature",
        required=["sig"],
        optional=["keyid"],
    )
    return Envelope(
        payload=base64_bytes(found["payload"], "The payload"),
        payload_type=text(found["payloadType"], "The payload type"),
        signature=base64_bytes(signature["sig"], "The signature"),
        key_id=text(signature.get("keyid", ""), "The key id"),
    )


def _has_timestamps(material: dict[str, Any]) -> bool:
    data = fields(material.get("timestampVerificationData", {}), "The timestamps", optional=["rfc3161Timestamps"])
    return bool(array(data.get("rfc3161Timestamps", []), "The list of timestamps"))
