"""An entry of a transparency log: read, verified, and bound to the payload, signature and signer of its body."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from rebuilder.model.value import canonical_json, pre_authentication_encoding
from rebuilder.provenance.claims import Refused, lacking, not_checkable, shown
from rebuilder.provenance.format.strict_json import array, base64_bytes, decimal, fields, one, parse, text

if TYPE_CHECKING:
    from rebuilder.provenance.trust.authorities import Authorities

CLOCK_TOLERANCE = timedelta(hours=1)
"""How far ahead of our clock a signed time may be."""
_LAST_SECOND = 253_402_300_799
"""End of the year 9999."""
_NOTE = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n(?:[^\n]+\n)*\n((?:— [^ \n]+ [^ \n]+\n)+)")


@dataclass(frozen=True)
class LogEntry:
    """An entry (protobuf-specs, ``TransparencyLogEntry``), read strictly; nothing is verified yet."""

    index: int
    log_id: bytes
    kind: str
    version: str
    time: datetime | None
    promise: bytes | None
    """Signed entry timestamp."""
    has_proof: bool
    body: bytes
    content: dict[str, Any]
    """As it was sent, without members that are null."""


def read(value: Any) -> LogEntry:
    """Read an entry.

    Raises:
        Refused: it is malformed, or its inclusion proof does not fit its own checkpoint.
    """
    what = "The log entry"
    found = fields(
        value,
        what,
        required=["logIndex", "logId", "kindVersion", "canonicalizedBody"],
        optional=["integratedTime", "inclusionPromise", "inclusionProof"],
    )
    kind = fields(found["kindVersion"], f"{what}'s kind", required=["kind", "version"])
    log_id = fields(found["logId"], f"{what}'s log id", required=["keyId"])
    promise = None
    if "inclusionPromise" in found:
        inner = fields(found["inclusionPromise"], f"{what}'s promise", required=["signedEntryTimestamp"])
        promise = base64_bytes(inner["signedEntryTimestamp"], f"{what}'s promise")
    if "inclusionProof" in found:
        _check_proof(found["inclusionProof"])
    time = None
    if "integratedTime" in found:
        seconds = decimal(found["integratedTime"], f"{what}'s time")
        if seconds > _LAST_SECOND:
            raise Refused(f"{what}'s time is after the year 9999.")
        time = datetime.fromtimestamp(seconds, UTC) if seconds else None
    return LogEntry(
        index=decimal(found["logIndex"], f"{what}'s index"),
        log_id=base64_bytes(log_id["keyId"], f"{what}'s log id"),
        kind=text(kind["kind"], f"{what}'s kind"),
        version=text(kind["version"], f"{what}'s version"),
        time=time,
        promise=promise,
        has_proof="inclusionProof" in found,
        body=base64_bytes(found["canonicalizedBody"], f"{what}'s body"),
        content=found,
    )


def _check_proof(value: Any) -> None:
    """Check what verifying the proof and the checkpoint's signature leaves open: size, root and signer's name."""
    what = "The inclusion proof"
    found = fields(value, what, required=["logIndex", "rootHash", "treeSize", "hashes"], optional=["checkpoint"])
    decimal(found["logIndex"], f"{what}'s index")
    size = decimal(found["treeSize"], f"{what}'s tree size")
    root = base64_bytes(found["rootHash"], f"{what}'s root hash")
    for step in array(found["hashes"], f"{what}'s hashes"):
        if len(base64_bytes(step, f"{what}'s hash")) != 32:
            raise Refused(f"{what} has a hash that is not SHA-256.")
    if "checkpoint" not in found:
        raise not_checkable(f"{what} has no checkpoint, so nothing signs the tree it leads to.")
    note = text(fields(found["checkpoint"], "The checkpoint", required=["envelope"])["envelope"], "The checkpoint")
    parts = _NOTE.fullmatch(note)
    if not parts:
        raise Refused("The checkpoint is not a signed note.")
    origin = parts[1].partition(" - ")[0]
    names = [line.split(" ")[1] for line in parts[4].splitlines()]
    signatures = [line.split(" ")[2] for line in parts[4].splitlines()]
    if origin not in names:
        raise Refused("The checkpoint is not signed in the name of the log it is of.")
    for signature in signatures:
        base64_bytes(signature, "A checkpoint's signature")
    if int(parts[2]) != size or base64_bytes(parts[3], "The checkpoint's root hash") != root:
        raise Refused(f"{what} is for another tree than its checkpoint.")


def require_past(time: datetime, now: datetime) -> None:
    """The time is not ahead of our clock.

    Raises:
        Refused: it is.
    """
    if time > now + CLOCK_TOLERANCE:
        raise Refused(f"The signed time {time.isoformat()} lies in the future.")


def verify(entry: LogEntry, authorities: Authorities) -> datetime:
    """Verify the log's promise, and the inclusion proof if there is one; give the time the log signed.

    Both bind the entry's body, so that :mod:`~rebuilder.provenance.format.log_entry` can bind the rest to it.

    Raises:
        Refused: something does not hold, or there is no signed time.
    """
    from sigstore._internal.merkle import verify_merkle_inclusion
    from sigstore._internal.rekor.checkpoint import verify_checkpoint
    from sigstore._utils import KeyID
    from sigstore.errors import Error as SigstoreError
    from sigstore.models import TransparencyLogEntry
    from sigstore_models.rekor.v1 import TransparencyLogEntry as Inner

    if entry.time is None or entry.promise is None:
        raise lacking("The log entry has no signed time: it lacks the time, or the log's inclusion promise.")
    authorities.check_log(entry.log_id, entry.time)
    signed = {
        "body": entry.content["canonicalizedBody"],
        "integratedTime": int(entry.time.timestamp()),
        "logID": entry.log_id.hex(),
        "logIndex": entry.index,
    }
    try:
        authorities.rekor_keys.verify(key_id=KeyID(entry.log_id), signature=entry.promise, data=canonical_json(signed))
        if entry.has_proof:
            logged = TransparencyLogEntry(Inner.from_dict(entry.content))
            verify_merkle_inclusion(logged)
            verify_checkpoint(authorities.rekor_keys, logged)
    except SigstoreError as error:
        raise Refused(f"The log entry is not genuine: {shown(str(error))}.") from None
    return entry.time


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
