"""Build a source archive from a source tree with the project's own backend (PEP 517)."""

from __future__ import annotations

from typing import List

from rebuilder.guest import frontend
from rebuilder.guest.frontend import HOOK_FAILED, NO_BACKEND, USAGE
from rebuilder.guest.frontend import NO_OUTPUT as NO_SDIST

__all__ = ["HOOK_FAILED", "NO_BACKEND", "NO_SDIST", "USAGE", "main"]


def main(argv: List[str]) -> int:
    """Run the program: 0, or 69 (no such backend), 70 (a hook failed), 73 (no source archive came out)."""
    return frontend.run(frontend.SDIST, argv)
