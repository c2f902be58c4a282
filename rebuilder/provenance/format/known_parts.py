"""What must hold of an attestation that cannot be checked to its end, so that something unknown hides no forgery."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import Certificate, load_der_x509_certificate

from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.provenance import claims
from rebuilder.provenance.claims import Refused
from rebuilder.provenance.format import log_entry, statement
from rebuilder.provenance.format.log_entry import Envelope, LogEntry
from rebuilder.provenance.format.statement import Statement
from rebuilder.provenance.format.strict_json import parse
from rebuilder.provenance.outcome import Facts
from rebuilder.provenance.trust.authorities import Authorities


def require(
    facts: Facts,
    authorities: Authorities,
    *,
    envelope: Envelope | None,
    certificate: Certificate | None,
    entry: LogEntry | None,
    subject: Callable[[Statement], None],
) -> None:
    """Check whatever can be checked without a signed time.

    The statement is about this file; the certificate's key signed it; an authority of the trust root issued the
    certificate; the log entry's body is of the kind the entry says. What holds makes the publisher proven, which is
    less than verified: when it was signed is not.

    Raises:
        Refused: one of these does not hold.
    """
    if entry is not None:
        _require_kind(entry)
    if envelope is None:
        return
    try:
        subject(statement.read(envelope.payload, types=frozenset({statement.STATEMENT_V1, statement.STATEMENT_V01})))
    except Refused as refusal:
        if refusal.status is not ProvenanceStatus.NOT_CHECKABLE:
            raise
        return
    if certificate is None:
        return
    require_signature(envelope, certificate)
    authorities.check_certificate(certificate, certificate.not_valid_before_utc)
    facts.proven.setdefault("publisher", claims.publisher(certificate))


def require_signature(envelope: Envelope, certificate: Certificate) -> None:
    """The certificate's key signed the envelope; keys of a kind Sigstore does not use are left alone.

    Raises:
        Refused: it did not.
    """
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return
    try:
        key.verify(envelope.signature, envelope.signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused("The signature is not the certificate's over this statement.") from None


def certificate(der: bytes) -> Certificate:
    """Read a certificate.

    Raises:
        Refused: it is malformed.
    """
    try:
        return load_der_x509_certificate(der)
    except ValueError:
        raise Refused("The certificate is malformed.") from None


def entry(entries: Sequence[Any]) -> LogEntry | None:
    """The log entry, if there is one that has every member that entries have.

    Raises:
        Refused: it is malformed.
    """
    if len(entries) != 1:
        return None
    try:
        return log_entry.read(entries[0])
    except Refused as refusal:
        if refusal.lacking or refusal.status is ProvenanceStatus.NOT_CHECKABLE:
            return None
        raise


def _require_kind(entry: LogEntry) -> None:
    """The body, which the log signs, is of the kind that the entry around it says."""
    body = parse(entry.body, "The log entry's body")
    if not isinstance(body, dict):
        return
    said = (body.get("kind"), body.get("apiVersion"))
    if None not in said and said != (entry.kind, entry.version):
        raise Refused("The log entry's body is of another kind than the entry says.")
