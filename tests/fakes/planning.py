"""Asking an ecosystem what it would try, one hypothesis after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rebuilder.ecosystems.protocol import Ecosystem, StepTask
from rebuilder.model.attempt import Attempt, History, Hypothesis
from rebuilder.model.definition import Limits
from rebuilder.model.evidence import Evidence, Obstacle
from rebuilder.model.git import SourceTree
from rebuilder.model.graph import Origin, SourceCommit
from tests.fakes.projects import SOME_TIME, Distribution, make_sdist, make_wheel
from tests.fakes.pypi import Surroundings

EARLIER = datetime(2023, 5, 6, 7, 8, 10, tzinfo=UTC)
"""Before ``SOME_TIME``."""


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
    return Planning(partial(ecosystem.next, StepTask(step, evidence, Limits())))


def from_commit(ecosystem: Ecosystem, evidence: Evidence, origin: Origin, tree: SourceTree) -> Planning:
    """The plans for all steps from the commit, one after the other; the first obstacle is told in the end."""
    commit = SourceCommit(origin=origin, tree=tree)

    def ask(history: History) -> Hypothesis | Obstacle | None:
        obstacle = None
        graph = ecosystem.steps(evidence, origin)
        for step in graph.steps:
            if graph.from_commit(step):
                found = ecosystem.next(StepTask(step, evidence, Limits(), commit), history)
                if isinstance(found, Hypothesis):
                    return found
                obstacle = obstacle or found
        return obstacle

    return Planning(ask)


def begin(surroundings: Surroundings, *distributions: Distribution, **fields: Any) -> Planning:
    """The hypotheses about the wheel of a release."""
    surroundings.publish(*distributions, **fields)
    pypi = surroundings.pypi
    [evidence] = pypi.evidence(pypi.parse("idna"))
    return from_published(pypi, evidence)


def uniform() -> tuple[Distribution, Distribution]:
    """A release whose wheel has one time everywhere."""
    return make_sdist("idna", "3.10", time=EARLIER), make_wheel("idna", "3.10")


def mixed() -> tuple[Distribution, Distribution]:
    """A release whose wheel has the times of a working tree."""
    return make_sdist("idna", "3.10"), make_wheel("idna", "3.10", time=EARLIER, metadata_time=SOME_TIME)


def commands(hypothesis: Hypothesis) -> list[str]:
    """All words of its commands."""
    return [word for command in hypothesis.definition.commands for word in command]
