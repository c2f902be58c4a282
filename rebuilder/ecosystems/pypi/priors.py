"""Which candidate came out how often, by what packed the wheel: the order of candidates is learned from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rebuilder.ecosystems.pypi.search import Candidate
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from rebuilder.store.protocol import Memo

_ENOUGH = 8
"""Results before experience counts for more than what the wheel itself suggests."""


class Priors:
    """What came out before, for wheels of one packer whose times suggest the same first candidate.

    Args:
        memo: Where it is kept; results of several processes may overtake each other, which does no harm.
        packer: What packed the wheel; None when it does not say.
    """

    def __init__(self, memo: Memo, packer: Generator | None) -> None:
        self._memo = memo
        self._packer = f"{packer.name} {packer.version.partition('.')[0]}" if packer else "an unnamed tool"

    def ordered(self, candidates: Sequence[Candidate], tried: Sequence[str] = ()) -> list[Candidate]:
        """The candidates, the one that came out most often first; as they are while little is known.

        Args:
            candidates: In the order the wheel suggests.
            tried: Names of those that were tried for this wheel: they stay first, whatever came out meanwhile.
        """
        likeliest = self._likeliest(candidates)
        return sorted(
            likeliest, key=lambda candidate: tried.index(candidate.name) if candidate.name in tried else len(tried)
        )

    def _likeliest(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        wins = self._wins(candidates)
        total = sum(wins.values())
        if total < _ENOUGH:
            return list(candidates)
        ordered = sorted(candidates, key=lambda candidate: -wins.get(candidate.name, 0))
        if ordered[0] is not candidates[0]:
            first = ordered[0]
            sentence = f"This came out for {wins[first.name]} of {total} wheels of {self._packer} with such times."
            ordered[0] = replace(first, sentence=f"{first.sentence} {sentence}")
        return ordered

    def came_out(self, candidates: Sequence[Candidate], name: str) -> None:
        """Remember which of the candidates confirmed a wheel.

        Args:
            candidates: All of them, in the order the wheel suggests.
            name: Of the one.
        """
        if len(candidates) > 1:
            wins = self._wins(candidates)
            self._memo.put(self._key(candidates), wins | {name: wins.get(name, 0) + 1})

    def _wins(self, candidates: Sequence[Candidate]) -> dict[str, int]:
        kept = self._memo.get(self._key(candidates)) if len(candidates) > 1 else None
        return {name: number for name, number in kept.items() if isinstance(number, int)} if kept else {}

    def _key(self, candidates: Sequence[Candidate]) -> str:
        return f"experience {self._packer}: {candidates[0].name}"
