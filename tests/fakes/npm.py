"""What an npm ecosystem plans with, without a sandbox and a registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rebuilder.ecosystems.npm.context import PlanningContext
from rebuilder.ecosystems.npm.registry import NpmRegistry
from rebuilder.environments.protocol import BuildEnvironment, Environments
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, sha256_hex
from tests.fakes.blobs import MemoryBlobs
from tests.fakes.command import Installation
from tests.fakes.memo import MemoryMemo
from tests.fakes.programs import InProcessPrograms


@dataclass(frozen=True)
class NpmInstallation(Installation):
    """An installation whose npm settings name one registry."""

    registry: str = ""
    settings: Path = Path("/nonexistent")

    @property
    def environment(self) -> dict[str, str]:
        """See :class:`Installation`."""
        own = {"REBUILDER_CONFIG": str(self.settings)}
        return super().environment | ({"NPM_CONFIG_REGISTRY": self.registry} if self.registry else {}) | own


class NamedEnvironments(Environments):
    """Environments of any name, whose digest is that of the name."""

    def get(self, wanted: Any) -> BuildEnvironment:
        """See :class:`rebuilder.environments.protocol.Environments`."""
        return self._of(wanted, sha256_hex(wanted.encode()))

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """See :class:`rebuilder.environments.protocol.Environments`."""
        return self._of("named", Sha256(sha256))

    def remake(self, name: str) -> BuildEnvironment:
        """See :class:`rebuilder.environments.protocol.Environments`."""
        return self.get(name)

    def _of(self, name: str, digest: Sha256) -> BuildEnvironment:
        summary = EnvironmentSummary(name=name, sha256=digest, packages=())
        return BuildEnvironment(name=name, sha256=digest, root=Path("/nowhere"), summary=summary)


def npm_context(registry: NpmRegistry, blobs: MemoryBlobs) -> PlanningContext:
    """A context whose programs run here; nothing that it plans is ever run."""

    def run(definition: BuildDefinition) -> Any:
        raise AssertionError(definition.purl)

    return PlanningContext(
        registry=registry,
        blobs=blobs,
        programs=InProcessPrograms(blobs),
        run=run,
        environments=NamedEnvironments(),
        memo=MemoryMemo(),
    )
