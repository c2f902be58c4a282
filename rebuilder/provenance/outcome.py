"""Putting the results of single checks together into what is said about the artifact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rebuilder.errors import StoreError
from rebuilder.model.provenance import (
    AttestationResult,
    ClaimedPublisher,
    FindingKind,
    Form,
    Provenance,
    ProvenanceFinding,
    ProvenanceStatus,
)
from rebuilder.model.value import Sha256, sha256_hex
from rebuilder.provenance.refusal import Refused, shown
from rebuilder.provenance.strict_json import canonical
from rebuilder.provenance.trust_root import TrustRoot


@dataclass
class Facts:
    """What one check has proven so far; a refusal later leaves it standing."""

    form: Form
    proven: dict[str, Any] = field(default_factory=dict)
    findings: list[ProvenanceFinding] = field(default_factory=list)

    def note(self, kind: FindingKind, sentence: str) -> None:
        """Add something worth knowing."""
        self.findings.append(ProvenanceFinding(kind=kind, sentence=sentence))


def judge(attestation: Any, facts: Facts, check: Callable[[Facts], str]) -> AttestationResult:
    """Run one check and turn whatever happens into a result; only a broken trust root of ours comes through.

    Args:
        attestation: The parsed attestation, for its digest.
        facts: Filled by ``check``.
        check: Gives the sentence for "verified", or raises.

    Raises:
        StoreError: our own trust root is broken.
    """
    try:
        digest = sha256_hex(canonical(attestation, "The attestation"))
    except Refused as refusal:
        return _result(facts, refusal.status, str(refusal), sha256_hex(repr(attestation).encode("utf-8", "replace")))
    try:
        return _result(facts, ProvenanceStatus.VERIFIED, check(facts), digest)
    except Refused as refusal:
        if refusal.finding:
            facts.findings.append(refusal.finding)
        return _result(facts, refusal.status, str(refusal), digest)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile input meets three parsers; whatever they raise is a refusal
        sentence = f"It could not be read to its end ({type(error).__name__}: {shown(str(error), 200)})."
        return _result(facts, ProvenanceStatus.INVALID, sentence, digest)


def _result(facts: Facts, status: ProvenanceStatus, sentence: str, digest: Sha256) -> AttestationResult:
    return AttestationResult(form=facts.form, status=status, sentence=sentence, sha256=digest, **facts.proven)


def absent(sentence: str, **more: Any) -> Provenance:
    """Nothing was published."""
    return Provenance(status=ProvenanceStatus.ABSENT, sentence=sentence, **more)


def refused(refusal: Refused, document: bytes, trust: TrustRoot) -> Provenance:
    """The document as a whole is not accepted."""
    return Provenance(
        status=refusal.status,
        sentence=str(refusal),
        document_sha256=sha256_hex(document),
        trust_sha256=trust.sha256,
        findings=(refusal.finding,) if refusal.finding else (),
    )


def combine(
    results: Sequence[AttestationResult],
    document: bytes | None,
    trust: TrustRoot,
    *,
    claimed: Sequence[ClaimedPublisher] = (),
    findings: Sequence[ProvenanceFinding] = (),
) -> Provenance:
    """One status for all: anything invalid makes the whole invalid, anything unchecked keeps it from "verified".

    A registry signature alone is no attestation: it can spoil the whole, but not make it "verified".
    """
    attestations = [r for r in results if r.form is not Form.REGISTRY_SIGNATURE]
    status = ProvenanceStatus.ABSENT
    sentence = "The registry names no attestation."
    invalid = [r for r in results if r.status is ProvenanceStatus.INVALID]
    unchecked = [r for r in attestations if r.status is ProvenanceStatus.NOT_CHECKABLE]
    if invalid:
        status, sentence = ProvenanceStatus.INVALID, invalid[0].sentence
    elif unchecked:
        status, sentence = ProvenanceStatus.NOT_CHECKABLE, unchecked[0].sentence
    elif attestations:
        status, sentence = ProvenanceStatus.VERIFIED, " ".join(dict.fromkeys(r.sentence for r in attestations))
    return Provenance(
        status=status,
        sentence=sentence,
        document_sha256=sha256_hex(document) if document is not None else None,
        trust_sha256=trust.sha256,
        results=tuple(results),
        claimed=tuple(claimed),
        findings=tuple(dict.fromkeys(findings)),
    )
