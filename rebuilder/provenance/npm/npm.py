"""Checking npm attestations and registry signatures of a tarball, offline."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rebuilder.model.provenance import (
    AttestationResult,
    FindingKind,
    Form,
    Provenance,
    ProvenanceFinding,
    ProvenanceStatus,
    RegistrySignature,
)
from rebuilder.provenance.claims import Refused
from rebuilder.provenance.format.strict_json import NPM_DOCUMENT, array, canonical, fields, parse
from rebuilder.provenance.outcome import Facts, absent, combine, judge, refused, unknown_in
from rebuilder.provenance.trust.files import TrustRoot

PUBLISH = "https://github.com/npm/attestation/tree/main/specs/publish/v0.1"
"""Predicate type of the registry's own publish attestation."""
MAX_ATTESTATIONS = 16
"""Most attestations checked for one tarball; the registry publishes two."""


def verify_npm(
    document: bytes | None,
    name: str,
    version: str,
    sha512: str,
    trust: TrustRoot,
    *,
    signatures: Sequence[RegistrySignature] = (),
    published: datetime | None = None,
    now: datetime | None = None,
) -> Provenance:
    """Check an npm attestation document, and the registry's signatures, against a tarball.

    Args:
        document: The attestation document as served; None when the packument names none.
        name: Package name, scope included.
        version: Package version.
        sha512: Of the tarball, lower-case hexadecimal.
        trust: The pinned trust root, with the registry's keys.
        signatures: From the packument.
        published: Publication time the packument gives. It is unsigned, and used for registry signatures only where
            no verified publish attestation gives a signed time.
        now: The current time, for signed times that lie ahead of it. Default: the machine's clock.

    Raises:
        StoreError: the trust root is broken. Everything else is a value.
    """
    if document is None and not signatures:
        return absent("The registry names no attestation and no signature for this tarball.")
    whole = Facts(Form.NPM_ATTESTATION)
    try:
        entries = _entries(document, whole) if document is not None else []
    except Refused as refusal:
        assert document is not None  # noqa: S101 - otherwise nothing was read
        return refused(refusal, document, trust)
    from rebuilder.provenance.npm import attestation

    moment = now or datetime.now(UTC)
    target = attestation.AttestedRelease(name, version, sha512)
    results: list[AttestationResult] = []
    unknown = unknown_in(whole, "The attestation document")
    findings: list[ProvenanceFinding] = list(whole.findings)
    for entry in entries:
        facts = Facts(Form.NPM_ATTESTATION)
        results.append(
            judge(
                entry,
                facts,
                lambda facts, entry=entry: attestation.check(entry, target, trust, moment, facts),  # type: ignore[misc]
            )
        )
        findings += facts.findings
    verified = [r for r in results if r.status is ProvenanceStatus.VERIFIED]
    publish_time = next((r.log_time for r in verified if r.predicate_type == PUBLISH), None)
    if any(r.publisher for r in verified) and publish_time is None:
        findings.append(
            ProvenanceFinding(
                kind=FindingKind.NO_PUBLISH_ATTESTATION,
                sentence="No verified publish attestation of the registry stands beside the provenance.",
            )
        )
    for signature in signatures:
        facts = Facts(Form.REGISTRY_SIGNATURE)
        results.append(
            judge(
                {"keyid": signature.key_id, "sig": signature.signature},
                facts,
                lambda facts, signature=signature: attestation.check_signature(  # type: ignore[misc]
                    signature, facts, target=target, trust=trust, signed_time=publish_time, stated_time=published
                ),
            )
        )
        findings += facts.findings
    return combine(results, document, trust, findings=findings, unknown=unknown)


def _entries(document: bytes, facts: Facts) -> list[Any]:
    what = "The attestation document"
    found = fields(facts.take(parse(document, what), NPM_DOCUMENT), what, required=["attestations"])
    entries = array(found["attestations"], "The list of attestations")
    if not entries:
        raise Refused(f"{what} has no attestations.")
    if len(entries) > MAX_ATTESTATIONS:
        raise Refused(f"{what} has more than {MAX_ATTESTATIONS} attestations.")
    forms = [canonical(entry, "An attestation") for entry in entries]
    if len(set(forms)) != len(forms):
        raise Refused("The same attestation is listed twice.")
    return entries
