"""Which commit a release comes from, and who says so."""

from __future__ import annotations

from rebuilder.model.evidence import Evidence
from rebuilder.model.provenance import Provenance
from rebuilder.model.trail import Origin
from rebuilder.ports import Sources


def find_origin(
    evidence: Evidence, provenance: Provenance | None, source_provenance: Provenance | None, sources: Sources
) -> Origin | None:
    """See :meth:`rebuilder.ports.Ecosystem.origin`."""
    del evidence, sources
    for each in (provenance, source_provenance):
        if each is not None and each.repository and each.commit:
            return Origin(
                repository=each.repository,
                commit=each.commit,
                attested=True,
                sentence="A verified attestation names this commit.",
            )
    return None
