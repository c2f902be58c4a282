"""Build environments: read-only root file systems by name and by digest."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rebuilder.model.environment import Manifest, Specification
from rebuilder.model.report import ToolchainSummary
from rebuilder.model.value import Sha256, Value


class Toolchain(Value):
    """A verified toolchain, ready for use."""

    name: str
    sha256: Sha256
    root: Path
    provides: dict[str, str] = {}
    """What an ecosystem looks for, such as ``{"python": "3.13"}``."""
    specification: Specification | None = None
    """What it was made from, to the digest of each package."""
    summary: ToolchainSummary


Wanted = str | Manifest | Specification
"""A name, what an environment is asked to be, or to the digest of each package what it is made from."""


class Toolchains(Protocol):
    """Read-only root file systems by name."""

    def get(self, wanted: Wanted) -> Toolchain:
        """Make the toolchain if needed and make sure that it is unmodified.

        Raises:
            ToolchainError: it cannot be made, or was modified; the sentence says which file.
        """
        ...

    def by_digest(self, sha256: str) -> Toolchain:
        """A toolchain that a name stood for once, and make sure that it is unmodified.

        Raises:
            ToolchainError: this machine has none with that digest, or it was modified.
        """
        ...

    def remake(self, name: str) -> Toolchain:
        """Make the toolchain afresh; the one before stays available by its digest.

        Raises:
            ToolchainError: it cannot be made.
        """
        ...
