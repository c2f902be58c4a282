"""How an ecosystem says that a rebuild cannot go on."""

from __future__ import annotations

from rebuilder.model.diagnosis import Cause
from rebuilder.model.evidence import Obstacle
from rebuilder.model.verdict import Verdict


class NotRebuildable(Exception):  # noqa: N818 - not an error of ours: it says something about the release
    """Ends the search for a build definition; becomes an :class:`Obstacle` before it leaves the ecosystem."""

    def __init__(self, verdict: Verdict, sentence: str, cause: Cause | None = None) -> None:
        super().__init__(sentence)
        self.obstacle = Obstacle(verdict=verdict, sentence=sentence, cause=cause)


def quoted(text: str, *, longest: int = 120) -> str:
    """Published text for a sentence: cut, in quotes, with control characters escaped."""
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")
