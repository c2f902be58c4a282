"""Build environments: read-only root file systems by name and by digest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from rebuilder.errors import BuildEnvironmentError
from rebuilder.model.definition import EnvironmentRef
from rebuilder.model.environment import Manifest, Package, Release, Specification
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, Value


class BuildEnvironment(Value):
    """A verified build environment, ready for use."""

    name: str
    sha256: Sha256
    root: Path
    layers: tuple[Path, ...] = ()
    """Directories that a sandbox lays over ``root``, the uppermost first; none for most."""
    provides: dict[str, str] = {}
    """What an ecosystem looks for, such as ``{"python": "3.13"}``."""
    specification: Specification | None = None
    """What it was made from, to the digest of each package."""
    summary: EnvironmentSummary

    @property
    def ref(self) -> EnvironmentRef:
        """What a build definition says of it."""
        made = self.specification
        return EnvironmentRef(
            name=self.name, sha256=self.sha256, unauthenticated=made.unauthenticated if made is not None else ()
        )


class LayerPackage(NamedTuple):
    """A package to install over a build environment."""

    package: Package
    file: Path
    """The ``.deb``; its digest is looked at."""


Wanted = str | Manifest | Specification
"""A name, what an environment is asked to be, or to the digest of each package what it is made from."""


class Environments(Protocol):
    """Read-only root file systems by name."""

    def get(self, wanted: Wanted) -> BuildEnvironment:
        """Make the build environment if needed and make sure that it is unmodified.

        Raises:
            BuildEnvironmentError: it cannot be made, or was modified; the sentence says which file.
        """
        ...

    def by_digest(self, sha256: str) -> BuildEnvironment:
        """A build environment that a name stood for once, and make sure that it is unmodified.

        Raises:
            BuildEnvironmentError: this machine has none with that digest, or it was modified.
        """
        ...

    def remake(self, name: str) -> BuildEnvironment:
        """Make the build environment afresh; the one before stays available by its digest.

        Raises:
            BuildEnvironmentError: it cannot be made.
        """
        ...

    def layered(
        self,
        base: BuildEnvironment,
        packages: Sequence[LayerPackage],  # noqa: ARG002 - of those that install
        releases: Sequence[Release],  # noqa: ARG002
    ) -> BuildEnvironment:
        """A configured build environment with more packages installed, made once for each set of them.

        Args:
            base: A configured one, without layers.
            packages: What is installed over it, in any order; one that the base has too takes its place.
            releases: The signed indexes that promised them.

        Returns:
            What has the digest of all of it; ``root`` is that of the base.

        Raises:
            BuildEnvironmentError: they cannot be installed, a file is another one, or the base was modified.
            SandboxUnavailableError: this machine cannot give the isolation.
        """
        raise BuildEnvironmentError(f"Nothing is installed over {base.name} here.")
