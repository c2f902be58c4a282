"""What is tried besides a verdict never costs it: what failed is a remark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from typing import Any, Self

import pytest

from rebuilder.errors import CorruptStoreError, NoGuestError, RebuilderError, SandboxFaultError, StoreError
from rebuilder.model.attempt import CannotBeTriedError, History, Hypothesis, NotTried, Run, plan
from rebuilder.model.comparison import Comparison, Diffoscope, Level
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.evidence import Obstacle
from rebuilder.model.value import Sha256
from rebuilder.model.verdict import Verdict
from rebuilder.stopwatch import Stopwatch
from rebuilder.verification.attempts import AttemptRunner, Experiments, wait_until_apart
from tests.fakes.progress import NoDisplay
from tests.fakes.verifications import artifact, attempt, definition

Plan = Callable[[History], Hypothesis | Obstacle | None]
PUBLISHED = artifact()
CLOCK = datetime(2026, 1, 2, tzinfo=UTC)
NO_GUEST = NoGuestError("its kernel is too old")


class Parts:
    """Runs, compares and explains as a test wants it; what is an error is raised."""

    def __init__(self, *ends: Run | Exception, level: Level = Level.EQUIVALENT) -> None:
        self.ends = list(ends)
        self.level = level
        self.explanation: Diffoscope | Exception = Diffoscope(problem="none")

    def run(self, _: BuildDefinition) -> Run:
        """The next end."""
        end = self.ends.pop(0)
        if isinstance(end, Exception):
            raise end
        return end

    def compare(self, published: Sha256, rebuilt: Sha256, *_: str) -> Comparison:
        """Always of one level."""
        return Comparison(level=self.level, published_sha256=published, rebuilt_sha256=rebuilt)

    def with_functions(self, comparison: Comparison, *_: str) -> Comparison:
        """Nothing compiled is in it."""
        return comparison

    def report(self, *_: Any) -> Diffoscope:
        """The explanation."""
        if isinstance(self.explanation, Exception):
            raise self.explanation
        return self.explanation

    def trial(self) -> AttemptRunner:
        """A trial with these parts."""
        return AttemptRunner(
            {PUBLISHED.filename: PUBLISHED.sha256},
            run=self.run,
            comparer=self,  # type: ignore[arg-type]
            diffoscope=self,  # type: ignore[arg-type]
            stopwatch=Stopwatch(NoDisplay()),
            record=lambda *_: None,
        )


def built() -> Run:
    """A run that left a wheel."""
    return attempt(PUBLISHED, Level.EQUIVALENT).run


def hypothesis(name: str, **changes: object) -> Hypothesis:
    """One of several."""
    return Hypothesis(name=name, sentence="A guess.", definition=definition(PUBLISHED, **changes))


def plain_then_clock(seen: list[str]) -> Plan:
    """Without a clock first, then with one."""

    def planner(history: History) -> None:
        history.of(hypothesis("plain"))
        history.of(hypothesis("wall-clock", sandbox="uml", clock=CLOCK))
        seen.append("more")

    return partial(plan, planner)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (NO_GUEST, "its kernel is too old"),
        (SandboxFaultError("The launcher in /usr/lib/x ended."), "The launcher in … ended"),
    ],
)
def test_without_a_clock_the_rest_stands(error: RebuilderError, reason: str) -> None:
    """The attempt before is kept, the clock is remarked as not tried, and no place on this machine is told."""
    trial, seen = Parts(built(), error).trial(), list[str]()
    assert trial.follow(plain_then_clock(seen)) is None
    assert (["plain"], []) == ([each.hypothesis.name for each in trial.attempts], seen)
    (remark,) = trial.experiments.remarks
    assert remark.startswith("The recorded clock was not tried")
    assert remark.endswith(f": {reason}.")


def test_whoever_knows_another_way_goes_on() -> None:
    """Whoever plans is told that there is no clock, and may know others."""

    def with_another_way(history: History) -> Obstacle:
        history.of(hypothesis("plain"))
        try:
            history.of(hypothesis("wall-clock", sandbox="uml", clock=CLOCK))
        except CannotBeTriedError:
            history.of(hypothesis("other", umask="0002"))
        return Obstacle(verdict=Verdict.UNSUPPORTED, sentence="That is all.")

    trial = Parts(built(), NO_GUEST, built()).trial()
    obstacle = trial.follow(partial(plan, with_another_way))
    assert obstacle is not None
    assert ["plain", "other"] == [each.hypothesis.name for each in trial.attempts]


def test_nothing_reached_is_our_trouble() -> None:
    """Without any attempt there is nothing that could stand."""
    with pytest.raises(NoGuestError):
        Parts(NO_GUEST).trial().follow(plain_then_clock([]))


def test_a_fault_of_an_ordinary_build_is_ours() -> None:
    """Only the clock is an extra; a sandbox that fails a build like any other is retried."""

    def two(history: History) -> None:
        history.of(hypothesis("plain"))
        history.of(hypothesis("other", umask="0002"))

    with pytest.raises(SandboxFaultError):
        Parts(built(), SandboxFaultError("It ended.")).trial().follow(partial(plan, two))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SandboxFaultError("The machine ran out of memory."), "The machine ran out of memory."),
        (NO_GUEST, str(NO_GUEST)),
        (StoreError("/srv/store/blobs cannot be written (full)."), "… cannot be written (full)."),
        (ValueError("hostile"), "a defect of the rebuilder (ValueError)."),
    ],
)
def test_a_repeat_that_fails(error: Exception, reason: str) -> None:
    """The difference stands, though nobody can say whether it is stable; diffoscope is asked all the same."""
    parts = Parts(built(), error, level=Level.DIFFERENT)
    trial = parts.trial()
    trial.make(hypothesis("plain"))
    trial.look_closer(0)
    (remark,) = trial.experiments.remarks
    assert remark.endswith(f"could not be made once more: {reason}")
    [kept] = trial.attempts
    assert kept.comparison is not None
    assert kept.comparison.diffoscope == parts.explanation


def test_diffoscope_that_fails() -> None:
    """The difference stands without the explanation."""
    parts = Parts(built(), built(), level=Level.DIFFERENT)
    parts.explanation = RecursionError()
    trial = parts.trial()
    trial.make(hypothesis("plain"))
    trial.look_closer(0)
    remark = "diffoscope could not explain the difference: a defect of the rebuilder (RecursionError)."
    assert (remark,) == trial.experiments.remarks
    assert 2 == len(trial.attempts)


def test_what_was_modified_is_an_incident() -> None:
    """That something of ours was changed is never only a remark."""
    experiments = Experiments()
    with pytest.raises(CorruptStoreError), experiments.trying("It failed"):
        raise CorruptStoreError("A blob was modified.")
    assert () == experiments.remarks


def test_each_remark_once() -> None:
    """The same is said once, whatever was tried how often."""
    experiments = Experiments()
    for _ in range(3):
        experiments.no_clock(NotTried(hypothesis=hypothesis("clock"), reason="none"))
    assert 1 == len(experiments.remarks)


@pytest.mark.parametrize(("since", "waited"), [(0.5, 2.0), (2.5, 0.0), (3600.0, 0.0), (-5.0, 0.0)])
def test_a_repeat_is_of_another_moment(monkeypatch: pytest.MonkeyPatch, since: float, waited: float) -> None:
    """Content that has the second in it is not the same twice because both builds fell into one."""
    slept, now = [0.0], datetime(2026, 11, 1, 12, tzinfo=UTC)

    class StandingTime(datetime):
        """What the module takes for the time."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            """The same each time."""
            return cls.fromtimestamp(now.timestamp(), tz)

    monkeypatch.setattr("rebuilder.verification.attempts.datetime", StandingTime)
    monkeypatch.setattr("rebuilder.verification.attempts.time.sleep", slept.append)
    made = attempt(artifact(), Level.DIFFERENT).run
    wait_until_apart(made.replace(started=now - timedelta(seconds=since)))
    assert slept[-1] == pytest.approx(waited)
