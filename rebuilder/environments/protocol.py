"""Build environments: read-only root file systems by name and by digest."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rebuilder.model.environment import Manifest, Specification
from rebuilder.model.report import EnvironmentSummary
from rebuilder.model.value import Sha256, Value


class BuildEnvironment(Value):
    """A verified build environment, ready for use."""

    name: str
    sha256: Sha256
    root: Path
    provides: dict[str, str] = {}
    """What an ecosystem looks for, such as ``{"python": "3.13"}``."""
    specification: Specification | None = None
    """What it was made from, to the digest of each package."""
    summary: EnvironmentSummary


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
