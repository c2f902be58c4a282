"""What was tried for one artifact so far, and planning from that alone.

A planner is written straight down, as if every attempt it asks for had been made already: it builds a hypothesis, asks
:meth:`History.of` for the attempt made of it, and goes on from what that says. Where there is no such attempt yet,
planning ends, and that hypothesis is the next one. So a plan starts from the beginning each time, keeps nothing, and
goes on in any process that has the same recorded attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.model.attempt import Attempt, Hypothesis
from rebuilder.model.evidence import Obstacle
from rebuilder.model.value import Value


class NotTried(Value):
    """A hypothesis that could not be tried here, which is no attempt and says nothing about the artifact."""

    hypothesis: Hypothesis
    reason: str
    """Why, as the end of a sentence, without places on this machine."""


class CannotBeTriedError(Exception):
    """A hypothesis could not be tried here; whoever plans may know another way, and otherwise its step ends."""


class _NextHypothesis(Exception):  # noqa: N818 - not an error: the end of a plan
    def __init__(self, hypothesis: Hypothesis) -> None:
        super().__init__(hypothesis.name)
        self.hypothesis = hypothesis


@dataclass(frozen=True)
class History:
    """The recorded attempts of one verification, in the order they were made."""

    attempts: tuple[Attempt, ...] = ()
    not_tried: tuple[NotTried, ...] = ()

    def of(self, hypothesis: Hypothesis) -> Attempt:
        """The attempt made of a hypothesis; two with the same definition are the same.

        Raises:
            CannotBeTriedError: it is recorded that it could not be tried.
        """
        digest = hypothesis.definition.digest
        for attempt in self.attempts:
            if not attempt.repeat and attempt.hypothesis.definition.digest == digest:
                return attempt
        if any(each.hypothesis.definition.digest == digest for each in self.not_tried):
            raise CannotBeTriedError(hypothesis.name)
        raise _NextHypothesis(hypothesis)


def plan(planner: Callable[[History], Obstacle | None], history: History) -> Hypothesis | Obstacle | None:
    """Ask a planner what comes after the recorded attempts.

    Args:
        planner: Gives what stands in the way of (more) hypotheses, if anything does, once all were tried.
        history: What is recorded.

    Returns:
        The next hypothesis; otherwise what the planner gave, or None where the last one could not be tried here.
    """
    try:
        return planner(history)
    except _NextHypothesis as found:
        return found.hypothesis
    except CannotBeTriedError:
        return None
