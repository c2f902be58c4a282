"""Making some runs twice, by two runners: one that lies now and then is found.

Two results agree when they are the same files once archive metadata is set aside: a build that writes the time of day
gives other bytes each time. Two runners that do not agree are both quarantined at once: nothing they say counts until
it is known who is right. A third runner then runs the same definition twice; where there is no third, this machine
does. Only who is alone against two runners is accused, and only where the build comes out the same when it is repeated:
that runner stays out, with an alarm. Otherwise it is the build that depends on something, nobody lied, and both are
released; a publisher could empty a fleet if it were not so.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from rebuilder.compare.comparer import Comparer
from rebuilder.errors import RebuilderError, UnavailableError
from rebuilder.fleet.ordering import Answered, FleetRunner, cause_of, twice
from rebuilder.model.alarm import AlarmKind
from rebuilder.model.attempt import APART_SECONDS, Outcome, Run
from rebuilder.model.comparison import Level
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.fleet import RunnerState, queue_of, same_result
from rebuilder.sandbox.protocol import Runner

_MOST_ASKED = 3
"""Runners that are asked for a second run that there has to be."""


log = logging.getLogger("rebuilder.fleet")


@dataclass(frozen=True)
class DoubleRuns:
    """Callable as :class:`rebuilder.sandbox.protocol.Runner`.

    Args:
        fleet: Runs definitions somewhere else.
        here: Runs them on this machine, where no third runner is to be had.
        share: Share of runs that are made twice, 0 to 1, of those that need not be.
        comparer: Looks into results that are not the same bytes.
        chance: Gives a number from 0 to 1 that a runner cannot foresee.
    """

    fleet: FleetRunner
    here: Runner
    share: float
    comparer: Comparer
    chance: Callable[[], float] = random.SystemRandom().random

    def __call__(self, definition: BuildDefinition) -> Run:
        """Run a definition; see :class:`rebuilder.fleet.ordering.FleetRunner`.

        Raises:
            UnavailableError: it has to be made twice, and no second runner made it, too.
        """
        first = self.fleet.answered(definition)
        must = twice() and first.run.outcome is Outcome.COMPLETED
        if not must and self.chance() >= self.share:
            return first.run
        asked = {first.runner_id}
        for _ in range(_MOST_ASKED if must else 1):
            if (other := self.fleet.another(queue_of(definition), asked)) is None:
                break
            try:
                second = self.fleet.answered(definition, of=other)
            except RebuilderError as error:
                log.warning("A run could not be made a second time: %s", error)
                asked.add(other)
            else:
                return first.run if self._agree(first.run, second.run) else self._settled(definition, first, second)
        if must:
            raise UnavailableError(
                "No second runner made a build that its watch wants to be made twice.",
                hint="Two runners have to be active (`rebuilder runners list`); or take double_runs from the watch.",
            )
        return first.run

    def _agree(self, one: Run, other: Run) -> bool:
        """Whether two runs left the same, but for metadata of archives.

        Raises:
            SandboxUnavailableError, SandboxFaultError, BuildEnvironmentError, StoreError: that cannot be found out.
        """
        if same_result(one, other):
            return True
        files, others = ({each.filename: each.sha256 for each in run.outputs} for run in (one, other))
        if one.outcome is not other.outcome or files.keys() != others.keys():
            return False
        compared = (self.comparer.compare(files[name], others[name], name, name) for name in files)
        return all(each.level is not Level.DIFFERENT for each in compared)

    def _settled(self, definition: BuildDefinition, *answered: Answered) -> Run:
        """Find out who is right; gives what counts."""
        fleet, now = self.fleet, self.fleet.clock.now
        what = f"the definition {definition.digest} ({', '.join(definition.targets)})"
        reason = f"Its result for {what} is not that of another runner."
        for each in answered:
            fleet.ledger.runners.change(each.runner_id, RunnerState.QUARANTINED, now(), reason=reason)
        names = " and ".join(fleet.name(each.runner_id) for each in answered)
        cause = f"definition:{definition.digest[:16]}"
        sentence = f"The runners {names} gave different results for {what}; both are quarantined."
        fleet.alarm(AlarmKind.RUNNERS_DISAGREE, cause, sentence)
        third = self._third(definition, answered)
        fleet.pause(APART_SECONDS)
        stable = self._agree(third, self._third(definition, answered))
        right = [stable and self._agree(each.run, third) for each in answered]
        for each, confirmed in zip(answered, right, strict=True):
            runner = fleet.ledger.runners.get(each.runner_id)
            if confirmed or not any(right):
                if runner is not None and runner.reason == reason:
                    fleet.ledger.runners.change(each.runner_id, RunnerState.ACTIVE, now(), reason=None)
                continue
            name = fleet.name(each.runner_id)
            sentence = (
                f"The runner {name} gave another result for {what} than another runner and two later runs. "
                f"It stays quarantined; `rebuilder incident {name}` lists what it did."
            )
            fleet.alarm(AlarmKind.RUNNERS_DISAGREE, cause_of(each.runner_id), sentence)
        fleet.ledger.alarm_book.clear(AlarmKind.RUNNERS_DISAGREE, cause, now())
        return third

    def _third(self, definition: BuildDefinition, answered: tuple[Answered, ...]) -> Run:
        referee = self.fleet.another(queue_of(definition), {each.runner_id for each in answered})
        return self.here(definition) if referee is None else self.fleet.answered(definition, of=referee).run
