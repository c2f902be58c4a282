"""Checking PEP 740 provenance of a PyPI file, offline."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rebuilder.model.provenance import ClaimedPublisher, FindingKind, Form, Provenance
from rebuilder.provenance.claims import Refused, not_checkable, shown
from rebuilder.provenance.format.strict_json import PROVENANCE, array, canonical, mapping, parse
from rebuilder.provenance.outcome import Facts, absent, combine, judge, refused, unknown_in
from rebuilder.provenance.trust.files import TrustRoot

MAX_ATTESTATIONS = 32
"""Most attestations checked for one file; PyPI accepts one for each predicate type."""
_CLAIMED_TEXT = 500
_PUBLISHER_FIELDS = frozenset(
    {"kind", "claims", "environment", "repository", "workflow", "workflow_filepath", "email", "project_id"}
    | {"pipeline_definition_id", "vcs_origin", "vcs_ref"}
)


def verify_pypi(
    document: bytes | None, filename: str, sha256: str, trust: TrustRoot, *, now: datetime | None = None
) -> Provenance:
    """Check every attestation of a PEP 740 provenance object against the file it was served for.

    Nothing is fetched and nothing outside ``trust`` is believed. What the index says about the publisher is
    unsigned: it must agree with the certificate, and is reported apart from it.

    Args:
        document: The provenance object as served; None when the index names none.
        filename: The file's name in the index.
        sha256: The file's digest, lower-case hexadecimal.
        trust: The pinned trust root.
        now: The current time, for signed times that lie ahead of it. Default: the machine's clock.

    Raises:
        StoreError: the trust root is broken. Everything else is a value.
    """
    if document is None:
        return absent("The index names no attestation for this file.")
    whole = Facts(Form.PYPI_ATTESTATION)
    try:
        bundles = _bundles(document, whole)
    except Refused as refusal:
        return refused(refusal, document, trust)
    from rebuilder.provenance.pypi.attestation import check

    results, claimed, findings = [], [], []
    unknown = unknown_in(whole, "The provenance object")
    findings += whole.findings
    moment = now or datetime.now(UTC)
    for publisher, attestations in bundles:
        facts = Facts(Form.PYPI_ATTESTATION)
        claimed.append(_claimed(publisher, facts))
        findings += facts.findings
        for attestation in attestations:
            facts = Facts(Form.PYPI_ATTESTATION)
            results.append(
                judge(
                    attestation,
                    facts,
                    lambda facts, attestation=attestation, publisher=publisher: check(  # type: ignore[misc]
                        attestation, facts, claimed=publisher, filename=filename, sha256=sha256, trust=trust, now=moment
                    ),
                )
            )
            findings += facts.findings
    return combine(results, document, trust, claimed=claimed, findings=findings, unknown=unknown)


def _bundles(document: bytes, facts: Facts) -> list[tuple[dict[str, Any], list[Any]]]:
    """Publisher object and attestations of every bundle; the shape is checked, nothing else."""
    what = "The provenance object"
    found = mapping(facts.take(parse(document, what), PROVENANCE), what)
    version = found.get("version", 1)
    if version != 1 or isinstance(version, bool):
        raise not_checkable(f"{what} has the unknown version {shown(version, 40)}.")
    bundles = []
    seen: set[bytes] = set()
    for entry in array(found.get("attestation_bundles"), "The list of bundles"):
        bundle = mapping(entry, "A bundle")
        attestations = array(bundle.get("attestations"), "The list of attestations of a bundle")
        if not attestations:
            raise Refused("A bundle has no attestations.")
        for attestation in attestations:
            form = canonical(attestation, "An attestation")
            if form in seen:
                raise Refused("The same attestation is listed twice.")
            seen.add(form)
            if len(seen) > MAX_ATTESTATIONS:
                raise Refused(f"{what} has more than {MAX_ATTESTATIONS} attestations.")
        bundles.append((mapping(bundle.get("publisher"), "The publisher object"), attestations))
    if not bundles:
        raise Refused(f"{what} has no bundles.")
    return bundles


def _claimed(publisher: dict[str, Any], facts: Facts) -> ClaimedPublisher:
    for name in sorted(set(publisher) - _PUBLISHER_FIELDS)[:5]:
        facts.note(
            FindingKind.UNKNOWN_FIELD,
            f"The publisher object of the index has the unknown field “{shown(name, 40)}”, which was ignored.",
        )
    texts = {
        name: shown(value, _CLAIMED_TEXT)
        for name, value in publisher.items()
        if name in _PUBLISHER_FIELDS - {"kind"} and isinstance(value, str) and value
    }
    return ClaimedPublisher(kind=shown(publisher.get("kind", ""), 40), fields=texts)
