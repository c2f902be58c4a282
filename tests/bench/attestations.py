"""What checking one attestation costs once everything is loaded."""

from __future__ import annotations

import hashlib
import statistics
import time
from pathlib import Path

from rebuilder.model.provenance import ProvenanceStatus
from rebuilder.provenance.pypi.pypi import verify_pypi
from rebuilder.provenance.trust.files import shipped

ASSETS = Path(__file__).parents[1] / "assets" / "attestations" / "pypi"


def attestation_seconds(*, runs: int) -> float:
    """Median wall time in seconds to verify one recorded PyPI attestation, after a first one has loaded everything."""
    found = []
    for document in sorted(ASSETS.glob("*.provenance")):
        file = document.with_suffix("")
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        for _ in range(runs + 1):
            start = time.perf_counter()
            provenance = verify_pypi(document.read_bytes(), file.name, sha256, shipped())
            found.append((time.perf_counter() - start) / len(provenance.results))
            assert provenance.status is ProvenanceStatus.VERIFIED
    return statistics.median(found)
