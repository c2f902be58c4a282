"""Publishers in words, for sentences that strangers read."""

from __future__ import annotations

from rebuilder.model.provenance import Forge, ProvenanceStatus, Publisher, RememberedPublisher, account
from rebuilder.provenance.refusal import shown

FORGES = {
    Forge.GITHUB: "GitHub",
    Forge.GITLAB: "GitLab",
    Forge.GOOGLE: "Google",
    Forge.CIRCLECI: "CircleCI",
    Forge.OTHER: "another forge",
}
WITHOUT_PUBLISHER = {
    ProvenanceStatus.ABSENT: "has no attestation",
    ProvenanceStatus.INVALID: "has an attestation that does not hold",
    ProvenanceStatus.NOT_CHECKABLE: "has an attestation that cannot be checked",
    ProvenanceStatus.VERIFIED: "has an attestation that names no publisher",
}
"""What is said of a file without a verified publisher."""


def described(publisher: Publisher | RememberedPublisher) -> str:
    """A publisher in a few words."""
    who = publisher.account if isinstance(publisher, RememberedPublisher) else account(publisher)
    parts = [text(each) for each in (publisher.repository, who) if each]
    return f"{' by '.join(parts) or 'an unnamed publisher'} ({FORGES[publisher.forge]})"


def text(foreign: str | None) -> str:
    """Foreign text, or that there is none."""
    return shown(foreign, 200) if foreign else "none"
