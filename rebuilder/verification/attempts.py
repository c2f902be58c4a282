"""Running hypotheses against published files, and keeping everything that came of it.

What is tried besides and after a verdict never costs the verdict: a failure of it is a remark in the report.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from rebuilder.compare.comparer import Comparer
from rebuilder.compare.diffoscope import DiffoscopeRunner
from rebuilder.errors import CorruptError, NoGuestError, RebuilderError, SandboxFaultError
from rebuilder.model.attempt import (
    APART_SECONDS,
    MOST_HYPOTHESES,
    Attempt,
    History,
    Hypothesis,
    NotTried,
    Outcome,
    Output,
    Run,
)
from rebuilder.model.comparison import Level
from rebuilder.model.decision import towards
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import Obstacle
from rebuilder.model.replayed import too_much
from rebuilder.model.report import CLOCK_NOT_TRIED, Stage
from rebuilder.model.text import without_places
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.sandbox.protocol import Runner
from rebuilder.stopwatch import Stopwatch

_RETIRED = {
    "/inputs/file-times.json": "the member times",
    "/inputs/file-modes.json": "the member modes",
    "/inputs/order.json": "the member order",
    "/inputs/pace.json": "a plan of times",
}
"""Documents that builds were given until docs/adr/0018."""


_NOTHING_TRIED = History()


class AttemptRunner:
    """All attempts of one verification, in order.

    Args:
        targets: File name to published digest, of every file that hypotheses may be about.
        run: Runs definitions.
        comparer: Compares what they leave.
        diffoscope: Explains differences.
        stopwatch: Told which stage it is.
        record: Called with what was tried, and its number among its like, as soon as it is over: a kill loses nothing.
        history: What was recorded of this verification before, by a process that is no more; it goes on from there.
        earlier: Gives the run of a definition that was run before and need not be run again, if there is one;
            never asked when a build is repeated.
        finish: Writes recorded metadata into the archive of an attempt that is equivalent.
    """

    def __init__(
        self,
        targets: Mapping[str, Sha256],
        *,
        run: Runner,
        comparer: Comparer,
        diffoscope: DiffoscopeRunner,
        stopwatch: Stopwatch,
        record: Callable[[int, Attempt | NotTried], None],
        history: History = _NOTHING_TRIED,
        earlier: Callable[[BuildDefinition], Run | None] = lambda _: None,
        finish: Callable[[Attempt], Attempt] = lambda attempt: attempt,
    ) -> None:
        self._targets = targets
        self._run = run
        self._comparer = comparer
        self._diffoscope = diffoscope
        self._stopwatch = stopwatch
        self._record = record
        self._earlier = earlier
        self._finish = finish
        self._attempts = list(history.attempts)
        self._not_tried = list(history.not_tried)
        self.experiments = Experiments()
        for each in history.not_tried:
            self.experiments.no_clock(each)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What was made so far."""
        return tuple(self._attempts)

    @property
    def history(self) -> History:
        """What was tried so far, for planning."""
        return History(tuple(self._attempts), tuple(self._not_tried))

    def follow(
        self, plan: Callable[[History], Hypothesis | Obstacle | None], *, most: int | None = None
    ) -> Obstacle | None:
        """Make an attempt of what is planned next, until nothing is, or ``most`` attempts were made in all.

        A hypothesis that no guest can be had for is recorded as not tried; what was reached without one stands.

        Args:
            plan: Gives what comes after what was tried; see :meth:`rebuilder.ecosystems.protocol.Ecosystem.next`.
            most: Attempts after which no more are made.

        Returns:
            What kept the plan from going on, if something did.

        Raises:
            NoGuestError: not even a first attempt could be made.
        """
        while True:
            self._stopwatch.stage(Stage.RESOLVE)
            following = plan(self.history)
            if not isinstance(following, Hypothesis):
                return following
            if most is not None and len(self._attempts) >= most:
                return None
            refusal = self.refusal(following)
            if refusal is not None:
                return Obstacle(verdict=Verdict.UNSUPPORTED, sentence=refusal)
            self._try(following)

    def _try(self, hypothesis: Hypothesis) -> None:
        try:
            self.make(hypothesis)
        except (NoGuestError, SandboxFaultError) as error:
            extra = isinstance(error, NoGuestError) or hypothesis.definition.clock is not None
            if not self._attempts or not extra:
                raise
            missing = not_tried(hypothesis, error)
            self.experiments.no_clock(missing)
            self._record(len(self._not_tried), missing)
            self._not_tried.append(missing)

    def refusal(self, hypothesis: Hypothesis) -> str | None:
        """Why a definition is not run, as a sentence: it would let the published file say what is built."""
        definition = hypothesis.definition
        if any(each.sha256 == self._targets[hypothesis.target] for each in definition.inputs):
            return f"The build of {hypothesis.target} would need that very file: what sees it can copy it."
        retired = retired_input(definition)
        if retired is not None:
            return f"The definition gives the build {retired} of the published file, which can say what to build."
        if len(towards(self._attempts, hypothesis.target)) >= MOST_HYPOTHESES:
            return f"{MOST_HYPOTHESES} definitions were tried, and more may not be: which of them fits says something."
        return too_much(hypothesis.replayed)

    def make(self, hypothesis: Hypothesis) -> Attempt:
        """Make one attempt and keep it."""
        attempt = self._made(hypothesis)
        self._keep(attempt)
        return attempt

    def look_closer(self, index: int) -> None:
        """Run the definition of an attempt that differs once more, and have diffoscope explain the difference."""
        first = self._attempts[index]
        if first.rebuilt is None or first.comparison is None:
            return
        if not any(each.repeat and each.hypothesis.same(first.hypothesis) for each in self._attempts):
            second = None
            with self.experiments.trying("The build that differs could not be made once more"):
                second = self._repeated(first.hypothesis, first.run, first.rebuilt)
            if second is not None:
                self._keep(second)
        self._stopwatch.stage(Stage.DIFFOSCOPE)
        target = first.hypothesis.target
        with self.experiments.trying("diffoscope could not explain the difference"):
            found = self._diffoscope.report(self._targets[target], first.rebuilt.sha256, target)
            comparison = first.comparison.replace(diffoscope=found)
            self._attempts[index] = first.replace(comparison=comparison)
        with self.experiments.trying("Functions of compiled files could not be compared"):
            first = self._attempts[index]
            if first.comparison is not None:
                comparison = self._comparer.with_functions(first.comparison, target)
                self._attempts[index] = first.replace(comparison=comparison)

    def _repeated(self, hypothesis: Hypothesis, run: Run, first: Output) -> Attempt:
        """Make an attempt once more, and say how the two rebuilds agree."""
        wait_until_apart(run)
        second = self._made(hypothesis, repeat=True)
        if second.rebuilt is None:
            return second
        self._stopwatch.stage(Stage.COMPARE)
        agreement = self._comparer.compare(first.sha256, second.rebuilt.sha256, first.filename, second.rebuilt.filename)
        disagreement = agreement if agreement.level is not Level.IDENTICAL else None
        return second.replace(agreement=agreement.level, disagreement=disagreement)

    def _keep(self, attempt: Attempt) -> None:
        self._record(len(self._attempts), attempt)
        self._attempts.append(attempt)

    def _made(self, hypothesis: Hypothesis, *, repeat: bool = False) -> Attempt:
        self._stopwatch.stage(Stage.BUILD, hypothesis.name + (", once more" if repeat else ""))
        target = hypothesis.target
        run = None if repeat else self._earlier(hypothesis.definition)
        shared = run is not None
        if run is None:
            run = self._run(hypothesis.definition)
        rebuilt = product(run, hypothesis)
        if rebuilt is None:
            return Attempt(hypothesis=hypothesis, run=run, repeat=repeat, shared=shared)
        self._stopwatch.stage(Stage.COMPARE)
        comparison = self._comparer.compare(self._targets[target], rebuilt.sha256, target, rebuilt.filename)
        attempt = Attempt(
            hypothesis=hypothesis, run=run, rebuilt=rebuilt, comparison=comparison, repeat=repeat, shared=shared
        )
        return attempt if repeat else self._finish(attempt)


def wait_until_apart(run: Run) -> None:
    """Wait until a build that is made once more does not fall into the same moment as ``run``.

    Content that depends on the clock would come out the same.
    """
    passed = (datetime.now(UTC) - run.started).total_seconds()
    if 0 <= passed < APART_SECONDS:
        time.sleep(APART_SECONDS - passed)


def retired_input(definition: BuildDefinition) -> str | None:
    """What a definition from before 0018 gives the build that none may have any more; None when there is nothing."""
    return next((words for each in definition.inputs if (words := _RETIRED.get(each.path))), None)


def product(run: Run, hypothesis: Hypothesis) -> Output | None:
    """The output to compare: the one of the published name, else the only one of that type that is no other target."""
    filename = hypothesis.target
    if run.outcome is not Outcome.COMPLETED:
        return None
    others = set(hypothesis.definition.targets) - {filename}
    same_name = [each for each in run.outputs if each.filename == filename]
    suffix = filename.rsplit(".", 1)[-1]
    same_type = [each for each in run.outputs if each.filename.endswith("." + suffix) and each.filename not in others]
    if same_name:
        return same_name[0]
    return same_type[0] if len(same_type) == 1 else None


log = logging.getLogger(__name__)


class Experiments:
    """Keeps the remarks of one verification."""

    def __init__(self) -> None:
        self._remarks: list[str] = []

    @property
    def remarks(self) -> tuple[str, ...]:
        """One sentence for everything that could not be tried, in order."""
        return tuple(dict.fromkeys(self._remarks))

    def no_clock(self, missing: NotTried) -> None:
        """Remark that a build could not see the recorded clock here."""
        self._remarks.append(f"{CLOCK_NOT_TRIED}{missing.reason}.")

    @contextmanager
    def trying(self, failed: str) -> Iterator[None]:
        """Go on after whatever goes wrong inside; what was reached before stands.

        Args:
            failed: Says that it went wrong, for a stranger; the reason is added.

        Raises:
            CorruptError: something of ours was modified, which is an incident whatever it was needed for.
        """
        try:
            yield
        except CorruptError:
            raise
        except RebuilderError as error:
            self._remarks.append(f"{failed}: {without_places(str(error))}")
        except Exception as error:  # what was published must not be able to keep its verdict from being told
            log.exception("%s, by a defect of the rebuilder.", failed)
            self._remarks.append(f"{failed}: a defect of the rebuilder ({type(error).__name__}).")


def not_tried(hypothesis: Hypothesis, error: NoGuestError | SandboxFaultError) -> NotTried:
    """What is recorded of a hypothesis that no guest could be had for."""
    reason = error.reason if isinstance(error, NoGuestError) else str(error).rstrip(".")
    return NotTried(hypothesis=hypothesis, reason=without_places(reason))
