"""Whose trouble it is that something cannot be had; only here is that decided (docs/adr/0075-what-was-answered.md)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rebuilder.clock import Clock
from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.errors import UnavailableError
from rebuilder.model.artifact import Artifact
from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Obstacle
from rebuilder.model.verdict import Verdict
from rebuilder.store.protocol import Memo

PATIENCE = timedelta(hours=12)
"""What is asked for in vain for so long is missing, whoever says so: before the last try of the service."""


def unavailable(sentence: str, *, for_everybody: bool) -> NotRebuildable:
    """What it means that something was asked for in vain.

    Args:
        sentence: What was asked, and what it answered.
        for_everybody: Whether others get the same answer: whoever has it says that it is not there, or not for
            everybody, and nobody signed today that it is. Otherwise the network, a mirror or a server's dislike of us
            may be behind it, and :class:`UnavailableInputs` decides.
    """
    verdict = Verdict.INPUTS_MISSING if for_everybody else Verdict.INFRA_ERROR
    return NotRebuildable(verdict, sentence, Cause.SOURCE_UNAVAILABLE)


@dataclass(frozen=True)
class UnavailableInputs:
    """Since when something was asked for in vain for an artifact, and got an answer that may not be so for everybody.

    It is our trouble until it was so for :data:`PATIENCE` without a report in between: nobody hides by refusing us.
    """

    memo: Memo
    clock: Clock

    def settled(self, artifact: Artifact, obstacle: Obstacle) -> Obstacle:
        """The obstacle as it may be published.

        Raises:
            UnavailableError: it is our trouble yet.
        """
        now, known = self.clock.now(), self.memo.get(artifact.sha256)
        since = now if known is None else datetime.fromisoformat(known)
        if known is None:
            self.memo.put(artifact.sha256, now.isoformat())
        if now - since < PATIENCE:
            hours = PATIENCE.total_seconds() / 3600
            later = f"If it stays so for {hours:g} hours, the verdict is {Verdict.INPUTS_MISSING}."
            raise UnavailableError(f"{obstacle.sentence} {later}")
        sentence = f"{obstacle.sentence} It has been so since {since:%Y-%m-%d %H:%M} UTC."
        return obstacle.replace(verdict=Verdict.INPUTS_MISSING, sentence=sentence)

    def forget(self, artifact: Artifact) -> None:
        """Nothing was asked for in vain for a report on the artifact."""
        if self.memo.get(artifact.sha256) is not None:
            self.memo.put(artifact.sha256, None)
