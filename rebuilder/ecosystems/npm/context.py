"""What the npm ecosystem works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rebuilder.ecosystems.notebook import Notebook
from rebuilder.ecosystems.npm.packument import Packument
from rebuilder.ecosystems.npm.registry import NpmRegistry
from rebuilder.environments.protocol import Environments
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence
from rebuilder.sandbox.protocol import Programs, Runner
from rebuilder.store.protocol import Blobs, Memo

ENVIRONMENT = "trixie-node"
"""It has git, and the libraries that Nodes are linked with. The C library runs what was linked with older ones."""


@dataclass(frozen=True)
class PlanningContext:
    """The parts a rebuild of a tarball is prepared with."""

    registry: NpmRegistry
    blobs: Blobs
    programs: Programs
    run: Runner
    environments: Environments
    memo: Memo
    """Where what was worked out is kept between runs."""
    limits: Limits = field(default_factory=Limits)
    """What one build may use; those of the verification at hand replace them."""
    sandbox: str = "bubblewrap"
    notebook: Notebook = field(default_factory=Notebook)

    def packument(self, evidence: Evidence) -> Packument:
        """The registry's document that the evidence rests on; hostile.

        Raises:
            StoreError, UnavailableError: the document is not stored any more, or is none.
        """
        content = self.blobs.read(evidence.index_sha256)
        return Packument.stored(content, evidence.index_sha256, evidence.artifact.name)

    def entry(self, evidence: Evidence) -> dict[str, Any]:
        """What that document says of the version; see :meth:`packument`."""
        return self.packument(evidence).entry(evidence.artifact.version)
