"""Asking an ecosystem what it would try, one hypothesis after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from rebuilder.ecosystems.protocol import Ecosystem
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.git import SourceTree
from rebuilder.model.graph import Origin, SourceCommit


@dataclass
class Planning:
    """A plan that goes on from the attempts a test hands it."""

    ask: Callable[[History], Hypothesis | Obstacle | None]
    attempts: list[Attempt] = field(default_factory=list)

    def first(self) -> Hypothesis:
        """What is tried first."""
        found = self._asked()
        assert isinstance(found, Hypothesis), found
        return found

    def after(self, attempt: Attempt) -> Hypothesis:
        """What is tried after this attempt."""
        self.attempts.append(attempt)
        return self.first()

    def following(self, attempt: Attempt) -> Hypothesis | None:
        """What is tried after this attempt; None when nothing is."""
        self.attempts.append(attempt)
        found = self._asked()
        return found if isinstance(found, Hypothesis) else None

    def end(self, attempt: Attempt | None = None) -> Obstacle | None:
        """What is said in the end, after this attempt if there is one."""
        if attempt is not None:
            self.attempts.append(attempt)
        found = self._asked()
        assert not isinstance(found, Hypothesis), found.name
        return found

    def _asked(self) -> Hypothesis | Obstacle | None:
        return self.ask(History(tuple(self.attempts)))


def from_published(ecosystem: Ecosystem, evidence: Evidence) -> Planning:
    """The plan for the step from the source archive."""
    graph = ecosystem.steps(evidence)
    [step] = [each for each in graph.steps if not graph.from_commit(each)]
    return Planning(partial(ecosystem.next, step, evidence, limits=Limits()))


def from_commit(ecosystem: Ecosystem, evidence: Evidence, origin: Origin, tree: SourceTree) -> Planning:
    """The plans for all steps from the commit, one after the other; the first obstacle is told in the end."""
    commit = SourceCommit(origin=origin, tree=tree)

    def ask(history: History) -> Hypothesis | Obstacle | None:
        obstacle = None
        graph = ecosystem.steps(evidence, origin)
        for step in graph.steps:
            if graph.from_commit(step):
                found = ecosystem.next(step, evidence, history, limits=Limits(), commit=commit)
                if isinstance(found, Hypothesis):
                    return found
                obstacle = obstacle or found
        return obstacle

    return Planning(ask)
