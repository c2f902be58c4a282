"""What upstream signed about an artifact, and what the index says beside it without a signature."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rebuilder.model.provenance import (
    AttestationResult,
    ClaimedPublisher,
    FindingKind,
    Forge,
    Provenance,
    ProvenanceFinding,
    ProvenanceStatus,
    Publisher,
)
from rebuilder.site.display import LONG, SHORT, secure_link, visible
from rebuilder.site.marks import Mark
from rebuilder.site.sections.build import Fact

MOST_RESULTS = 50
MOST_FINDINGS = 50
_MOST_CLAIMS = 5
_MOST_FIELDS = 20

_STATUS = {
    ProvenanceStatus.VERIFIED: Mark(
        "verified", "✓", "Verified", "good", "Upstream signed where this file comes from, and every check holds."
    ),
    ProvenanceStatus.ABSENT: Mark(
        "absent", "○", "Absent", "mute", "No signed statement about this file is named where it is published."
    ),
    ProvenanceStatus.INVALID: Mark(
        "invalid", "✗", "Invalid", "bad", "Something signed was published for this file, and it does not hold."
    ),
    ProvenanceStatus.NOT_CHECKABLE: Mark(
        "not-checkable", "?", "Not checkable", "warn", "Something signed was published that we cannot judge."
    ),
}
_NAMED_ONLY = Mark(
    "absent", "○", "Absent", "warn", "This index names a signed statement for this file, and does not have it."
)


_CLAIMS = {
    "repository": "Repository",
    "vcs_origin": "Repository",
    "workflow": "Workflow",
    "workflow_filepath": "Workflow",
    "pipeline_definition_id": "Workflow",
    "environment": "Environment",
    "vcs_ref": "Ref",
    "email": "Identity",
}
"""Fields of a publisher object (PEP 740, "publisher") and the row of the certificate they belong beside."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REPOSITORY = re.compile(r"https://[^?#\s]+[^?#\s/]")
_PATHS = {Forge.GITHUB: "commit", Forge.GITLAB: "-/commit"}


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """One trait of the publisher: what the certificate vouches for, and what the index merely says."""

    label: str
    signed: str
    href: str | None
    claimed: str


@dataclass(frozen=True, slots=True)
class ProvenanceSection:
    """Everything a page shows of what upstream signed."""

    mark: Mark
    sentence: str
    loud: bool
    findings: Sequence[ProvenanceFinding]
    """Grave ones first."""
    heading: str
    """Above the publisher: it says whether the signature was accepted."""
    identity: tuple[IdentityRow, ...]
    claims: bool
    """Whether the index says anything beside the certificate."""
    results: Sequence[AttestationResult]
    hidden: int
    """Attestations that are not listed for want of room."""
    documents: tuple[Fact, ...]


def provenance_section(provenance: Provenance | None) -> ProvenanceSection | None:
    """Compute it; None when nothing was checked."""
    if provenance is None:
        return None
    accepted = provenance.publisher
    publisher = accepted or next((each.publisher for each in provenance.results if each.publisher), None)
    return ProvenanceSection(
        mark=_mark(provenance),
        sentence=visible(provenance.sentence, LONG),
        loud=provenance.status is ProvenanceStatus.INVALID,
        findings=sorted(provenance.findings, key=lambda each: not each.kind.loud)[:MOST_FINDINGS],
        heading=_heading(accepted, publisher),
        identity=_identity(provenance, publisher, linked=accepted is not None),
        claims=bool(provenance.claimed),
        results=provenance.results[:MOST_RESULTS],
        hidden=max(0, len(provenance.results) - MOST_RESULTS),
        documents=_documents(provenance),
    )


def _mark(provenance: Provenance) -> Mark:
    missing = any(each.kind is FindingKind.ATTESTATION_MISSING for each in provenance.findings)
    return _NAMED_ONLY if missing and provenance.status is ProvenanceStatus.ABSENT else _STATUS[provenance.status]


def _heading(accepted: Publisher | None, publisher: Publisher | None) -> str:
    if accepted is not None:
        return "Publisher"
    return "Who signed, without being accepted" if publisher is not None else "Publisher, as the index names it"


def _identity(provenance: Provenance, publisher: Publisher | None, *, linked: bool) -> tuple[IdentityRow, ...]:
    claims, others = _claims(provenance.claimed)
    rows = []
    for label, value, href in _signed(provenance, publisher):
        claimed = claims.pop(label, "")
        if value or claimed:
            shown = visible(value) if value else ("–" if publisher is None else "not stated")
            rows.append(IdentityRow(label, shown, href if linked else None, claimed))
    rows += [IdentityRow(label, "–", None, value) for label, value in (*claims.items(), *others.items())]
    return tuple(rows)


def _signed(provenance: Provenance, publisher: Publisher | None) -> Sequence[tuple[str, str | None, str | None]]:
    """Label, value and address of each trait the certificate can vouch for."""
    if publisher is None:
        return [(label, None, None) for label in ("Forge", *dict.fromkeys(_CLAIMS.values()))]
    stated = next((each.stated_source for each in provenance.results if each.publisher == publisher), None)
    repository = publisher.repository or (stated.repository if stated else None)
    commit = publisher.commit or (stated.commit if stated else None)
    return (
        ("Forge", publisher.forge.words.replace("another", "Another"), None),
        ("Repository", repository, secure_link(repository)),
        ("Workflow", publisher.workflow, None),
        ("Environment", publisher.environment, None),
        ("Commit", commit, _commit_link(publisher, commit)),
        ("Ref", publisher.ref, None),
        ("Run", publisher.run_url, secure_link(publisher.run_url)),
        ("Identity", publisher.identity, None),
        ("Vouched for by", publisher.issuer, None),
        ("Build instructions", publisher.build_config, None),
    )


def _commit_link(publisher: Publisher, commit: str | None) -> str | None:
    path, repository = _PATHS.get(publisher.forge), secure_link(publisher.repository)
    if not (path and repository and commit and _COMMIT.fullmatch(commit) and _REPOSITORY.fullmatch(repository)):
        return None
    return secure_link(f"{repository}/{path}/{commit}")


def _claims(claimed: Sequence[ClaimedPublisher]) -> tuple[dict[str, str], dict[str, str]]:
    """What the index says by row of the certificate, and what no row of it belongs to."""
    known: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for each in list(dict.fromkeys((one.kind, tuple(one.fields.items())) for one in claimed))[:_MOST_CLAIMS]:
        kind, fields = each
        known.setdefault("Forge", []).append(visible(kind, SHORT))
        for name, value in fields[:_MOST_FIELDS]:
            label, into = (_CLAIMS[name], known) if name in _CLAIMS else (visible(name, SHORT), others)
            into.setdefault(label, []).append(visible(value, SHORT * 2))
    return _joined(known), _joined(others)


def _joined(values: dict[str, list[str]]) -> dict[str, str]:
    return {label: "; ".join(dict.fromkeys(each)) for label, each in values.items()}


def status_mark(status: ProvenanceStatus) -> Mark:
    """Icon, word, tone and sentence of what checking something came to."""
    return _STATUS[status]


def _documents(provenance: Provenance) -> tuple[Fact, ...]:
    facts = []
    if provenance.document_sha256:
        facts.append(Fact("Document of the index, SHA-256", provenance.document_sha256, code=True))
    if provenance.trust_sha256:
        facts.append(Fact("Judged by the trust root, SHA-256", provenance.trust_sha256, code=True))
    return tuple(facts)
