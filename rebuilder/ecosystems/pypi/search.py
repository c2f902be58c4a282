"""Which candidates are tried on which Python, in an order learned from the ledger, and when that is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rebuilder.ecosystems.obstacles import NotRebuildable
from rebuilder.ecosystems.pypi.build_inputs import BuildConditions, BuildInputs, build_definition, replayed
from rebuilder.ecosystems.pypi.interpreter_choice import Interpreter
from rebuilder.ecosystems.pypi.wheel_traces import Generator
from rebuilder.model.attempt import Attempt, History, Hypothesis, Outcome
from rebuilder.store.protocol import Memo


@dataclass(frozen=True)
class Candidate:
    """One explanation of the times and modes in the published file, not yet a definition."""

    name: str
    sentence: str
    conditions: BuildConditions


@dataclass(frozen=True)
class Reached:
    """An attempt with what it was made of."""

    attempt: Attempt
    candidate: Candidate
    build_inputs: BuildInputs
    about: str
    """Sentences about the build_inputs."""


Refine = Callable[[Reached], bool]
"""Goes on from there, if there is anything more to be tried; gives whether that confirmed the content."""

EXTENSIONS_OFF = "-extensions-off"
"""In the name of a hypothesis that is told to leave compiled extensions out; those after the first have a number."""


def try_candidates(
    history: History,
    candidates: Sequence[Candidate],
    *,
    interpreters: Sequence[Interpreter],
    resolve: Callable[[Interpreter], tuple[BuildInputs, str]],
    refine: Refine | None = None,
    without_extensions: Callable[[Interpreter], Iterable[tuple[BuildInputs, str]]] | None = None,
) -> None:
    """Try every candidate on the likeliest Python, until one is settled; on the next one only if nothing was built.

    Args:
        history: What was tried; see :mod:`rebuilder.model.attempt`.
        candidates: Likeliest first.
        interpreters: The same; see :func:`rebuilder.ecosystems.pypi.interpreter_choice.choose`.
        resolve: Gives all but the conditions, and sentences about it.
        refine: Asked to go on when no candidate gave every byte.
        without_extensions: Ways of the source's own to leave compiled extensions out. They are asked for only where a
            wheel for any machine is wanted and the build made none, or one for a platform; the first that makes one for
            any machine is kept.

    Raises:
        NotRebuildable: nothing was built, and ``resolve`` found something in the way.
    """
    first, built = None, False
    for number, interpreter in enumerate(interpreters):
        try:
            build_inputs, about = resolve(interpreter)
        except NotRebuildable as stopped:
            first = stopped if first is None else first
            continue  # what can be had for one Python may not be there for another
        built, differing = True, list[Reached]()
        end = "" if number == 0 else f"-python{interpreter.python}"
        for candidate in candidates:
            reached = _reach(history, candidate, build_inputs, about, end)
            if not differing and without_extensions is not None:
                reached = _leave_out(history, reached, without_extensions(interpreter), end)
                build_inputs, about = reached.build_inputs, reached.about
            if _is_settled(reached.attempt):
                if refine is not None:
                    refine(reached)
                return
            if reached.attempt.rebuilt is None:
                if refine is not None and refine(reached):
                    return
                break  # it will fail with other times too; perhaps not on another Python
            differing.append(reached)
        if differing:
            if refine is not None:
                any(map(refine, differing))
            return
    if first is not None and not built:
        raise first


def hypothesis(candidate: Candidate, build_inputs: BuildInputs, about: str, *, name: str | None = None) -> Hypothesis:
    """What is tried: a candidate with all else that its build needs."""
    return Hypothesis(
        name=name or candidate.name,
        sentence=f"{candidate.sentence} {about}",
        definition=build_definition(build_inputs, candidate.conditions),
        replayed=replayed(build_inputs, candidate.conditions),
        lacks=build_inputs.lacks,
    )


def _reach(history: History, candidate: Candidate, build_inputs: BuildInputs, about: str, end: str) -> Reached:
    attempt = history.of(hypothesis(candidate, build_inputs, about, name=f"{candidate.name}{end}"))
    return Reached(attempt, candidate, build_inputs, about)


def _asks_to_leave_out(attempt: Attempt) -> bool:
    """Whether a wheel for any machine is wanted, and the build made none: it failed, or made one for a platform."""
    wanted = attempt.hypothesis.target.endswith("-any.whl") and attempt.run.outcome is not Outcome.TIMED_OUT
    return wanted and (attempt.rebuilt is None or not attempt.rebuilt.filename.endswith("-any.whl"))


def _leave_out(history: History, reached: Reached, ways: Iterable[tuple[BuildInputs, str]], end: str) -> Reached:
    """The first way that makes a wheel for any machine, where the build made none; otherwise as it is."""
    if not _asks_to_leave_out(reached.attempt):
        return reached
    for number, (build_inputs, about) in enumerate(ways):
        name = f"{end}{EXTENSIONS_OFF}{f'-{number + 1}' if number else ''}"
        found = _reach(history, reached.candidate, build_inputs, about, name)
        if not _asks_to_leave_out(found.attempt):
            return found
    return reached


def _is_settled(attempt: Attempt) -> bool:
    """Whether another candidate could only do worse: the content is confirmed, or a limit was reached."""
    if attempt.run.outcome is Outcome.TIMED_OUT:
        return True
    return attempt.confirms


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
        """Remember which of the candidates confirmed a wheel."""
        if len(candidates) > 1:
            wins = self._wins(candidates)
            self._memo.put(self._key(candidates), wins | {name: wins.get(name, 0) + 1})

    def _wins(self, candidates: Sequence[Candidate]) -> dict[str, int]:
        kept = self._memo.get(self._key(candidates)) if len(candidates) > 1 else None
        return {name: number for name, number in kept.items() if isinstance(number, int)} if kept else {}

    def _key(self, candidates: Sequence[Candidate]) -> str:
        return f"experience {self._packer}: {candidates[0].name}"
