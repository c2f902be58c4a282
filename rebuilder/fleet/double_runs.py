"""Making some runs twice, by two runners: one that lies now and then is found.

Two runners that do not agree are both quarantined at once: nothing they say counts until it is known who is right.
A third runner then runs the same definition twice; where there is no third, this machine does. If it agrees with
itself, those that gave the same are released, and who gave something else stays out, with an alarm. If it does not,
the build itself comes out differently each time, nobody lied, and both are released.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.errors import RebuilderError
from rebuilder.fleet.ordering import Answered, FleetRunner, cause_of
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.attempt import Run
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import RunnerState, same_result
from rebuilder.sandbox.protocol import Runner

log = logging.getLogger("rebuilder.fleet")


@dataclass(frozen=True)
class DoubleRuns:
    """Callable as :class:`rebuilder.sandbox.protocol.Runner`.

    Args:
        fleet: Runs definitions somewhere else.
        here: Runs them on this machine, where no third runner is to be had.
        share: Share of runs that are made twice, 0 to 1.
        chance: Gives a number from 0 to 1 that a runner cannot foresee.
    """

    fleet: FleetRunner
    here: Runner
    share: float
    chance: Callable[[], float] = random.SystemRandom().random

    def __call__(self, definition: BuildDefinition) -> Run:
        """Run a definition; see :class:`rebuilder.fleet.ordering.FleetRunner`."""
        first = self.fleet.answered(definition)
        other = self.fleet.another({first.runner_id}) if self.chance() < self.share else None
        if other is None:
            return first.run
        try:
            second = self.fleet.answered(definition, of=other)
        except RebuilderError as error:
            log.warning("A run could not be made a second time: %s", error)
            return first.run
        return first.run if same_result(first.run, second.run) else self._settled(definition, first, second)

    def _settled(self, definition: BuildDefinition, *answered: Answered) -> Run:
        fleet, names = self.fleet, [self.fleet.name(each.runner_id) for each in answered]
        what = f"the definition {definition.digest} ({', '.join(definition.targets)})"
        for each in answered:
            self._bring(each, RunnerState.QUARANTINED, f"Its result for {what} is not that of another runner.")
        sentence = f"The runners {' and '.join(names)} gave different results for {what}; both are quarantined."
        cause = f"definition:{definition.digest[:16]}"
        fleet.alarm(AlarmKind.RUNNERS_DISAGREE, cause, sentence)
        third, again = self._third(definition, answered), self._third(definition, answered)
        stable = same_result(third, again)
        for each in answered:
            if not stable or same_result(each.run, third):
                self._bring(each, RunnerState.ACTIVE, None)
                continue
            name = fleet.name(each.runner_id)
            sentence = (
                f"The runner {name} gave another result for {what} than two later runs elsewhere. "
                f"It stays quarantined; `rebuilder incident runner {name}` lists what it did."
            )
            fleet.alarm(AlarmKind.RUNNERS_DISAGREE, cause_of(each.runner_id), sentence)
        fleet.ledger.alarm_book.clear(AlarmKind.RUNNERS_DISAGREE, cause, fleet.clock.now())
        return third

    def _third(self, definition: BuildDefinition, answered: tuple[Answered, ...]) -> Run:
        referee = self.fleet.another({each.runner_id for each in answered})
        return self.here(definition) if referee is None else self.fleet.answered(definition, of=referee).run

    def _bring(self, answered: Answered, state: RunnerState, reason: str | None) -> None:
        fleet = self.fleet
        fleet.ledger.runners.change(answered.runner_id, state, fleet.clock.now(), reason=reason)
