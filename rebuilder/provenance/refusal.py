"""How one check inside this part says no: caught at its edge and turned into a value."""

from __future__ import annotations

from typing import Any

from rebuilder.model.provenance import FindingKind, ProvenanceFinding, ProvenanceStatus
from rebuilder.model.text import clipped


class Refused(Exception):  # noqa: N818 - it is an answer, not an error
    """An attestation is not accepted; ``str()`` is the sentence."""

    def __init__(
        self,
        sentence: str,
        *,
        status: ProvenanceStatus = ProvenanceStatus.INVALID,
        finding: FindingKind | None = None,
        lacking: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.lacking = lacking
        """Nothing is wrong, something is missing: a member this program does not know may stand in its place."""
        self.finding = ProvenanceFinding(kind=finding, sentence=sentence) if finding else None


def not_checkable(sentence: str) -> Refused:
    """A refusal that blames nobody: this program cannot judge what it sees."""
    return Refused(sentence, status=ProvenanceStatus.NOT_CHECKABLE)


def lacking(sentence: str) -> Refused:
    """A refusal because something that must be there is not."""
    return Refused(sentence, lacking=True)


def shown(foreign: Any, limit: int = 120) -> str:
    """Foreign text for a sentence: one line, printable, cut at ``limit`` characters."""
    text = foreign if isinstance(foreign, str) else repr(foreign)
    return clipped(text, limit)
