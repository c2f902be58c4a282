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
from rebuilder.provenance.claims import Refused, shown
from rebuilder.provenance.format.strict_json import Shape, Unknown, canonical, known, named
from rebuilder.provenance.trust.files import TrustRoot


@dataclass
class Facts:
    """What one check has proven so far; a refusal later leaves it standing."""

    form: Form
    proven: dict[str, Any] = field(default_factory=dict)
    findings: list[ProvenanceFinding] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    """Members that were set aside because nothing here knows them."""

    def take(self, value: Any, shape: Shape) -> Any:
        """The value without members its shape does not have; those are kept in mind."""
        taken, unknown = known(value, shape)
        self.unknown += unknown
        return taken

    @property
    def telling(self) -> tuple[Unknown, ...]:
        """Unknown members that say something."""
        return tuple(each for each in self.unknown if not each.empty)

    def undecided(self, refusal: Refused) -> bool:
        """Whether a refusal blames nobody: something is not known, or an unknown member may be what is lacking."""
        return refusal.status is ProvenanceStatus.NOT_CHECKABLE or (refusal.lacking and bool(self.telling))

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
        sentence = check(facts)
        unknown = unknown_in(facts, "The attestation")
        status = ProvenanceStatus.NOT_CHECKABLE if unknown else ProvenanceStatus.VERIFIED
        return _result(facts, status, unknown or sentence, digest)
    except Refused as refusal:
        if refusal.finding:
            facts.findings.append(refusal.finding)
        sentence = str(refusal)
        if facts.undecided(refusal):
            if facts.telling and named(facts.telling) not in sentence:
                sentence += f" It has {named(facts.telling)}."
            return _result(facts, ProvenanceStatus.NOT_CHECKABLE, sentence, digest)
        return _result(facts, refusal.status, sentence, digest)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - hostile input meets three parsers; whatever they raise is a refusal
        sentence = f"It could not be read to its end ({type(error).__name__}: {shown(str(error), 200)})."
        return _result(facts, ProvenanceStatus.INVALID, sentence, digest)


def unknown_in(facts: Facts, what: str) -> str | None:
    """Why something all of whose known parts hold is not verified: members that say something unknown.

    Empty ones are noted, and are no reason.
    """
    if facts.telling:
        return f"{what} has {named(facts.telling)}. Everything known of it holds."
    if facts.unknown:
        facts.note(FindingKind.UNKNOWN_FIELD, f"{what} has {named(facts.unknown)}, with nothing in it: it was ignored.")
    return None


def _result(facts: Facts, status: ProvenanceStatus, sentence: str, digest: Sha256) -> AttestationResult:
    return AttestationResult(form=facts.form, status=status, sentence=sentence, sha256=digest, **facts.proven)


def absent(sentence: str, **more: Any) -> Provenance:
    """Nothing was published."""
    return Provenance(status=ProvenanceStatus.ABSENT, sentence=sentence, **more)


def missing(provenance: Provenance) -> Provenance:
    """What was said of a file whose attestation the index names, but does not have."""
    sentence = "The index names an attestation of this file, but has none at the address it gives."
    finding = ProvenanceFinding(kind=FindingKind.ATTESTATION_MISSING, sentence=sentence)
    said = sentence if provenance.status is ProvenanceStatus.ABSENT else provenance.sentence
    return provenance.replace(sentence=said, findings=(*provenance.findings, finding))


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
    unknown: str | None = None,
) -> Provenance:
    """One status for all: anything invalid makes the whole invalid, anything unchecked keeps it from "verified".

    A registry signature alone is no attestation: it can spoil the whole, but not make it "verified". ``unknown`` says
    what of the document around the attestations is not known, if anything.
    """
    attestations = [r for r in results if r.form is not Form.REGISTRY_SIGNATURE]
    status = ProvenanceStatus.ABSENT
    sentence = "The registry names no attestation."
    invalid = [r for r in results if r.status is ProvenanceStatus.INVALID]
    unchecked = [r for r in attestations if r.status is ProvenanceStatus.NOT_CHECKABLE]
    if invalid:
        status, sentence = ProvenanceStatus.INVALID, invalid[0].sentence
    elif unchecked or unknown:
        status, sentence = ProvenanceStatus.NOT_CHECKABLE, unchecked[0].sentence if unchecked else str(unknown)
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
