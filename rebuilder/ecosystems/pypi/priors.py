"""Which guess came out how often, by what packed the wheel: the order of guesses is learned from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rebuilder.ecosystems.pypi.search import Candidate
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from rebuilder.store.protocol import Memo

_ENOUGH = 8
"""Results before experience counts for more than what the wheel itself suggests."""


class Priors:
    """What came out before, for wheels of one packer whose times suggest the same first guess.

    Args:
        facts: Where it is kept; results of several processes may overtake each other, which does no harm.
        packer: What packed the wheel; None when it does not say.
    """

    def __init__(self, facts: Memo, packer: Generator | None) -> None:
        self._facts = facts
        self._packer = f"{packer.name} {packer.version.partition('.')[0]}" if packer else "an unnamed tool"

    def ordered(self, guesses: Sequence[Candidate], tried: Sequence[str] = ()) -> list[Candidate]:
        """The guesses, the one that came out most often first; as they are while little is known.

        Args:
            guesses: In the order the wheel suggests.
            tried: Names of those that were tried for this wheel: they stay first, whatever came out meanwhile.
        """
        likeliest = self._likeliest(guesses)
        return sorted(likeliest, key=lambda guess: tried.index(guess.name) if guess.name in tried else len(tried))

    def _likeliest(self, guesses: Sequence[Candidate]) -> list[Candidate]:
        wins = self._wins(guesses)
        total = sum(wins.values())
        if total < _ENOUGH:
            return list(guesses)
        ordered = sorted(guesses, key=lambda guess: -wins.get(guess.name, 0))
        if ordered[0] is not guesses[0]:
            first = ordered[0]
            sentence = f"This came out for {wins[first.name]} of {total} wheels of {self._packer} with such times."
            ordered[0] = replace(first, sentence=f"{first.sentence} {sentence}")
        return ordered

    def came_out(self, guesses: Sequence[Candidate], name: str) -> None:
        """Remember which of the guesses confirmed a wheel.

        Args:
            guesses: All of them, in the order the wheel suggests.
            name: Of the one.
        """
        if len(guesses) > 1:
            wins = self._wins(guesses)
            self._facts.put(self._key(guesses), wins | {name: wins.get(name, 0) + 1})

    def _wins(self, guesses: Sequence[Candidate]) -> dict[str, int]:
        kept = self._facts.get(self._key(guesses)) if len(guesses) > 1 else None
        return {name: number for name, number in kept.items() if isinstance(number, int)} if kept else {}

    def _key(self, guesses: Sequence[Candidate]) -> str:
        return f"experience {self._packer}: {guesses[0].name}"
