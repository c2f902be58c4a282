"""Checking one attestation of an npm release, a Sigstore bundle, or the registry's signature over its digest."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle as SigstoreBundle

from rebuilder.model.provenance import FindingKind, Forge, RegistrySignature
from rebuilder.provenance import claims
from rebuilder.provenance.claims import Refused, lacking, not_checkable, shown
from rebuilder.provenance.format import known_parts, log_entry, statement
from rebuilder.provenance.format.log_entry import DSSE, HASHEDREKORD, INTOTO, Envelope, LogEntry
from rebuilder.provenance.format.statement import Statement
from rebuilder.provenance.format.strict_json import (
    BUNDLE,
    NPM_ATTESTATION,
    array,
    base64_bytes,
    fields,
    mapping,
    one,
    text,
)
from rebuilder.provenance.npm.keys import ATTESTATIONS, SIGNATURES, NpmKey, NpmKeys
from rebuilder.provenance.npm.npm import PUBLISH
from rebuilder.provenance.outcome import Facts
from rebuilder.provenance.trust.authorities import Authorities, authorities
from rebuilder.provenance.trust.files import TrustRoot

_TYPES = frozenset({statement.STATEMENT_V1, statement.STATEMENT_V01})
_PROVENANCE = frozenset({statement.SLSA_V02, statement.SLSA_V1})


@dataclass(frozen=True)
class AttestedRelease:
    """The tarball an attestation must be about."""

    name: str
    version: str
    sha512: str
    """Lower-case hexadecimal."""

    @property
    def purl(self) -> str:
        """The subject name npm writes: only the scope's ``@`` is encoded."""
        name = "%40" + self.name[1:] if self.name.startswith("@") else self.name
        return f"pkg:npm/{name}@{self.version}"


@lru_cache(maxsize=4)
def npm_keys(trust: TrustRoot) -> NpmKeys:
    """The registry's keys, read once.

    Raises:
        StoreError: the list is broken.
    """
    return NpmKeys(trust.npm_keys)


def check(entry: Any, target: AttestedRelease, trust: TrustRoot, now: datetime, facts: Facts) -> str:
    """Check one attestation; fill in ``facts`` as they are proven.

    Returns:
        The sentence for "verified".

    Raises:
        Refused: a check failed.
    """
    found = fields(facts.take(entry, NPM_ATTESTATION), "The attestation", required=["predicateType", "bundle"])
    predicate_type = text(found["predicateType"], "The predicate type")
    _require_known_version(found["bundle"])
    bundle = facts.take(found["bundle"], BUNDLE)

    def about(signed: Statement) -> None:
        if signed.subject_name != target.purl:
            raise Refused(f"It is about another release: {shown(signed.subject_name)}, not {shown(target.purl)}.")
        statement.require_digest(signed, "sha512", target.sha512)
        facts.proven["subject_holds"] = True

    try:
        return _checked(_read(bundle), predicate_type, facts, about, target=target, trust=trust, now=now)
    except Refused as refusal:
        if facts.undecided(refusal) and "subject_holds" not in facts.proven:
            certificate, envelope, logged = _parts(bundle)
            known_parts.require(
                facts, authorities(trust), envelope=envelope, certificate=certificate, entry=logged, subject=about
            )
        raise


def _checked(
    bundle: Bundle,
    predicate_type: str,
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    target: AttestedRelease,
    trust: TrustRoot,
    now: datetime,
) -> str:
    if predicate_type == PUBLISH:
        return _publish(bundle, facts, about, target=target, trust=trust, now=now)
    if predicate_type not in _PROVENANCE and bundle.certificate is None:
        raise not_checkable(f"It is of the unknown kind {shown(predicate_type)}.")
    return _provenance(bundle, predicate_type, facts, about, trust=trust, now=now)


def _publish(
    bundle: Bundle,
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    target: AttestedRelease,
    trust: TrustRoot,
    now: datetime,
) -> str:
    """The registry says: this is what was published under this name and version."""
    if bundle.key_hint is None:
        raise Refused("A publish attestation must be signed with the registry's key, not with a certificate.")
    when = log_entry.verify(bundle.entry, authorities(trust))
    key = npm_keys(trust).find(bundle.key_hint, ATTESTATIONS, when)
    _verify_keyed(bundle, key)
    facts.proven |= {"key_id": key.key_id, "log_time": when, "log_index": bundle.entry.index}
    log_entry.require_past(when, now)
    signed = _statement(bundle, PUBLISH, about, facts)
    named = (signed.predicate.get("name"), signed.predicate.get("version"))
    if named != (target.name, target.version):
        raise Refused(f"It is about the release {shown(named[0])} {shown(named[1])}.")
    return f"The registry attests that it published these bytes on {when:%Y-%m-%d %H:%M:%S} UTC."


def _provenance(
    bundle: Bundle,
    predicate_type: str,
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    trust: TrustRoot,
    now: datetime,
) -> str:
    """The publisher's workflow says: I built this from there."""
    if bundle.certificate is None:
        raise Refused("Build provenance must be signed with a publisher's certificate, not with a key.")
    when = _verify_certified(bundle, authorities(trust))
    publisher = claims.publisher(bundle.certificate)
    facts.proven |= {
        "publisher": publisher,
        "log_time": when,
        "log_index": bundle.entry.index,
        "not_before": bundle.certificate.not_valid_before_utc,
        "not_after": bundle.certificate.not_valid_after_utc,
    }
    log_entry.require_past(when, now)
    signed = _statement(bundle, predicate_type, about, facts)
    if predicate_type not in _PROVENANCE:
        raise not_checkable(f"It is of the unknown kind {shown(predicate_type)}.")
    stated = statement.stated_source(signed, publisher)
    facts.proven["stated_source"] = stated
    difference = statement.require_agreement(stated, publisher, strict=True)
    if difference:
        raise Refused(difference, finding=FindingKind.SOURCE_DIFFERS)
    if publisher.forge is Forge.OTHER:
        raise not_checkable(f"The certificate's identity was vouched for by {shown(publisher.issuer)}, unknown to us.")
    return f"Signed by {shown(publisher.identity, 300)} on {when:%Y-%m-%d %H:%M:%S} UTC."


def _statement(bundle: Bundle, predicate_type: str, about: Callable[[Statement], None], facts: Facts) -> Statement:
    if bundle.envelope.payload_type != statement.PAYLOAD_TYPE:
        raise not_checkable(f"The signed payload is of the unknown type {shown(bundle.envelope.payload_type)}.")
    signed = statement.read(bundle.envelope.payload, types=_TYPES)
    if signed.predicate_type != predicate_type:
        raise Refused(f"The registry lists it as {shown(predicate_type)}, signed is {shown(signed.predicate_type)}.")
    facts.proven["predicate_type"] = shown(signed.predicate_type, 500)
    facts.unknown += signed.unknown
    about(signed)
    return signed


def check_signature(
    signature: RegistrySignature,
    facts: Facts,
    *,
    target: AttestedRelease,
    trust: TrustRoot,
    signed_time: datetime | None,
    stated_time: datetime | None,
) -> str:
    """Check one signature over ``name@version:sha512-BASE64``, the digest being the one of the tarball at hand.

    Args:
        signature: As the packument gives it.
        facts: Filled in.
        target: The tarball.
        trust: The pinned trust root.
        signed_time: Log time of a verified publish attestation of the same release.
        stated_time: What the packument says; believed with a finding.

    Returns:
        The sentence for "verified".

    Raises:
        Refused: a check_signature failed.
    """
    raw = base64_bytes(signature.signature, "The registry signature")
    when = signed_time or stated_time
    if when is None:
        raise not_checkable("When this was published is not known, so the registry's key cannot be judged.")
    key = npm_keys(trust).find(signature.key_id, SIGNATURES, when)
    digest = base64.b64encode(bytes.fromhex(target.sha512)).decode()
    key.verify(raw, f"{target.name}@{target.version}:sha512-{digest}".encode())
    facts.proven["key_id"] = key.key_id
    if signed_time is None:
        facts.note(
            FindingKind.UNSIGNED_TIME,
            f"That the registry key {shown(key.key_id)} was valid rests on a publication time nobody signed.",
        )
    return f"The registry signed name, version and digest with its key {key.key_id}."


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


def _read(value: Any) -> Bundle:
    """Read a bundle (protobuf-specs, ``Bundle`` 0.1 to 0.3) with a DSSE envelope."""
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


def _require_known_version(value: Any) -> None:
    """The bundle is of a version whose members are known."""
    what = "The bundle"
    media_type = mapping(value, what).get("mediaType")
    if media_type is None:
        raise lacking(f"{what} lacks “mediaType”.")
    if text(media_type, f"{what}'s media type") not in {_V01, _V02, _V03, _V03_ALT}:
        raise not_checkable(f"{what} is of the unknown type {shown(media_type)}.")


def _parts(bundle: Any) -> tuple[Certificate | None, Envelope | None, LogEntry | None]:
    """What is there of certificate, signed statement and log entry, whatever else the bundle lacks."""
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


def _verify_keyed(bundle: Bundle, key: NpmKey) -> None:
    """Verify a signature by a bare key and that exactly it is in the log; the log entry itself was verified."""
    if bundle.timestamps:
        raise not_checkable("It has timestamps of a timestamp authority, which are not expected beside a bare key.")
    if bundle.envelope.key_id != key.key_id:
        raise Refused("The signature names another key than the bundle.")
    key.verify(bundle.envelope.signature, bundle.envelope.signed)
    log_entry.bind(bundle.entry, bundle.envelope, key.der)


def _verify_certified(bundle: Bundle, authorities: Authorities) -> datetime:
    """Verify a signature by a certificate; give the signed time.

    What sigstore-python takes is left to it. It refuses ``intoto`` log entries, and bundles without inclusion
    proof: for those the same steps are taken here, see docs/adr/0009-upstream-attestations.md.
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
