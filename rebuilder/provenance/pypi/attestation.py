"""Checking one PEP 740 attestation with ``pypi_attestations`` and ``sigstore``."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cryptography.x509 import Certificate
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from packaging.version import InvalidVersion
from pydantic import TypeAdapter, ValidationError
from pypi_attestations import Attestation, AttestationError, AttestationType, Publisher
from sigstore.errors import Error as SigstoreError

from rebuilder.model.provenance import FindingKind
from rebuilder.provenance import claims
from rebuilder.provenance.claims import Refused, lacking, not_checkable, shown
from rebuilder.provenance.format import known_parts, log_entry, statement
from rebuilder.provenance.format.log_entry import Envelope, LogEntry
from rebuilder.provenance.format.statement import Statement
from rebuilder.provenance.format.strict_json import ATTESTATION, array, base64_bytes, fields, mapping
from rebuilder.provenance.outcome import Facts
from rebuilder.provenance.trust.authorities import Authorities, authorities
from rebuilder.provenance.trust.files import TrustRoot

_PUBLISHER: TypeAdapter[Any] = TypeAdapter(Publisher)
_KINDS = frozenset({"GitHub", "GitLab", "Google", "CircleCI"})


class _Anyone:
    """Identity is compared afterwards, so that a wrong signature and a wrong publisher are told apart."""

    def verify(self, cert: Certificate) -> None:
        """Accept every identity."""


def check(
    attestation: Any,
    facts: Facts,
    *,
    claimed: dict[str, Any],
    filename: str,
    sha256: str,
    trust: TrustRoot,
    now: datetime,
) -> str:
    """Check one attestation; fill in ``facts`` as they are proven.

    In this order: shape, cryptography (certificate, log, signature), times, signed statement, identity. Where that
    cannot be done to its end because something is not known, what can be checked of the rest is.

    Returns:
        The sentence for "verified".

    Raises:
        Refused: a check failed.
    """
    what = "The attestation"
    version = mapping(attestation, what).get("version")
    if version != 1 or isinstance(version, bool):
        raise not_checkable(f"{what} has the unknown version {shown(version, 40)}.")
    known = facts.take(attestation, ATTESTATION)

    def about(signed: Statement) -> None:
        _require_name(signed.subject_name, filename)
        statement.require_digest(signed, "sha256", sha256)
        facts.proven["subject_holds"] = True

    try:
        return _checked(known, facts, about, claimed=claimed, authorities=authorities(trust), now=now)
    except Refused as refusal:
        if facts.undecided(refusal) and "subject_holds" not in facts.proven:
            certificate, envelope, entry = _parts(known)
            known_parts.require(
                facts, authorities(trust), envelope=envelope, certificate=certificate, entry=entry, subject=about
            )
        raise


def _checked(
    attestation: dict[str, Any],
    facts: Facts,
    about: Callable[[Statement], None],
    *,
    claimed: dict[str, Any],
    authorities: Authorities,
    now: datetime,
) -> str:
    entry = _shape(attestation)
    if (entry.kind, entry.version) != log_entry.DSSE:
        raise not_checkable(f"The log entry is of the unknown kind {shown(entry.kind)} {shown(entry.version)}.")
    if entry.time is None or entry.promise is None:
        raise lacking("The log entry has no signed time: it lacks the time, or the log's inclusion promise.")
    if not entry.has_proof:
        raise lacking("The log entry has no inclusion proof.")
    authorities.check_log(entry.log_id, entry.time)
    certificate, payload = _cryptography(attestation, authorities)
    authorities.check_certificate(certificate, entry.time)
    publisher = claims.publisher(certificate)
    facts.proven |= {
        "publisher": publisher,
        "log_time": entry.time,
        "log_index": entry.index,
        "not_before": certificate.not_valid_before_utc,
        "not_after": certificate.not_valid_after_utc,
    }
    log_entry.require_past(entry.time, now)
    signed = statement.read(payload, types=frozenset({statement.STATEMENT_V1}))
    facts.proven["predicate_type"] = shown(signed.predicate_type, 500)
    facts.unknown += signed.unknown
    about(signed)
    if signed.predicate_type not in {kind.value for kind in AttestationType}:
        raise not_checkable(f"The signed statement is of the unknown kind {shown(signed.predicate_type)}.")
    stated = statement.stated_source(signed, publisher)
    facts.proven["stated_source"] = stated
    difference = statement.require_agreement(stated, publisher, strict=False)
    if difference:
        raise Refused(difference, finding=FindingKind.SOURCE_DIFFERS)
    _identity(claimed, certificate, facts)
    return f"Signed by {shown(publisher.identity, 300)} on {entry.time:%Y-%m-%d %H:%M:%S} UTC."


def _shape(attestation: Any) -> LogEntry:
    what = "The attestation"
    found = fields(attestation, what, required=["version", "verification_material", "envelope"])
    material = fields(
        found["verification_material"], "The verification material", required=["certificate", "transparency_entries"]
    )
    base64_bytes(material["certificate"], "The certificate")
    envelope = fields(found["envelope"], "The envelope", required=["statement", "signature"])
    base64_bytes(envelope["statement"], "The statement")
    base64_bytes(envelope["signature"], "The signature")
    entries = array(material["transparency_entries"], "The list of log entries")
    if len(entries) > 1:
        raise not_checkable(f"{what} has {len(entries)} log entries; one can be checked.")
    if not entries:
        raise lacking(f"{what} has no log entry.")
    return log_entry.read(entries[0])


def _parts(attestation: dict[str, Any]) -> tuple[Certificate | None, Envelope | None, LogEntry | None]:
    """What is there of certificate, signed statement and log entry.

    Raises:
        Refused: a part that is there is malformed.
    """
    material = mapping(attestation.get("verification_material") or {}, "The verification material")
    certificate = material.get("certificate")
    envelope = mapping(attestation.get("envelope") or {}, "The envelope")
    signed = [envelope.get("statement"), envelope.get("signature")]
    entries = array(material.get("transparency_entries") or [], "The list of log entries")
    return (
        known_parts.certificate(base64_bytes(certificate, "The certificate")) if certificate is not None else None,
        Envelope(
            payload=base64_bytes(signed[0], "The statement"),
            payload_type=statement.PAYLOAD_TYPE,
            signature=base64_bytes(signed[1], "The signature"),
            key_id="",
        )
        if None not in signed
        else None,
        known_parts.entry(entries),
    )


def _cryptography(attestation: Any, known: Authorities) -> tuple[Certificate, bytes]:
    try:
        bundle = Attestation.model_validate(attestation).to_bundle()
        kind, payload = known.verifier.verify_dsse(bundle, _Anyone())
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise Refused(f"The attestation is malformed: {shown(str(first['msg']))}.") from None
    except (AttestationError, SigstoreError) as error:
        raise Refused(f"The signature does not hold: {shown(str(error), 300)}.") from None
    if kind != statement.PAYLOAD_TYPE:
        raise not_checkable(f"The signed payload is of the unknown type {shown(kind)}.")
    return bundle.signing_certificate, payload


def _require_name(signed: str, filename: str) -> None:
    """The same distribution file name, as ``pypi_attestations`` compares them: parsed, not letter by letter."""
    if signed == filename:
        return
    parsed = _parsed(signed)
    if parsed is None or parsed != _parsed(filename):
        raise Refused(f"It is about another file: {shown(signed)}, not {shown(filename)}.")


def _parsed(filename: str) -> Any:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)
        return parse_sdist_filename(filename), filename.endswith(".zip")
    except (ValueError, InvalidVersion):
        return None


def _identity(claimed: dict[str, Any], certificate: Certificate, facts: Facts) -> None:
    """Compare the certificate with the publisher object of the index."""
    kind = claimed.get("kind")
    publisher = facts.proven["publisher"]
    if kind not in _KINDS:
        raise not_checkable(
            f"The index names a publisher of the unknown kind {shown(kind, 40)}; "
            f"the certificate was issued to {shown(publisher.identity, 300)}."
        )
    try:
        named = _PUBLISHER.validate_python(claimed)
    except ValidationError:
        raise Refused(f"The publisher object of the index is malformed for the kind {kind}.") from None
    try:
        named._as_policy().verify(certificate)  # noqa: SLF001 - the library's only door takes its trust from HOME
    except Exception as error:  # noqa: BLE001 - policies raise what extension lookups raise; all of it means "no"
        raise Refused(
            f"The certificate was issued to {shown(publisher.identity, 300)}, which is not the publisher the index "
            f"names: {_spoken(claimed)} ({shown(str(error), 160)}).",
            finding=FindingKind.PUBLISHER_DIFFERS,
        ) from None
    environment = getattr(named, "environment", None)
    if environment and publisher.environment is None:
        facts.note(
            FindingKind.ENVIRONMENT_UNCONFIRMED,
            f"The index names the environment “{shown(environment)}”; the certificate does not carry one.",
        )
    elif environment and environment != publisher.environment:
        raise Refused(
            f"The certificate was issued for the environment “{shown(publisher.environment)}”, the index names "
            f"“{shown(environment)}”.",
            finding=FindingKind.PUBLISHER_DIFFERS,
        )


def _spoken(claimed: dict[str, Any]) -> str:
    named = [f"{name} {shown(value, 80)}" for name, value in claimed.items() if isinstance(value, str) and value]
    return ", ".join(named[:8])
