"""From a commit to build definitions of the source archive, then of the wheel, likeliest first."""

from __future__ import annotations

from collections.abc import Generator

from rebuilder.ecosystems.pypi.workshop import Workshop
from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.git import SourceTree
from rebuilder.model.trail import Origin


def infer_from_commit(
    workshop: Workshop, evidence: Evidence, origin: Origin, tree: SourceTree
) -> Generator[Hypothesis, Attempt, Obstacle | None]:
    """Yield build definitions to try; see :meth:`rebuilder.ports.Ecosystem.from_commit`."""
    del workshop, evidence, origin, tree
    yield from ()
    return None
