"""One attempt: a build definition run, how it ended, what the published file told it, and planning from what was tried.

A planner is written straight down, as if every attempt it asks for had been made already: it builds a hypothesis, asks
:meth:`History.of` for the attempt made of it, and goes on from what that says. Where there is no such attempt yet,
planning ends, and that hypothesis is the next one. So a plan starts from the beginning each time, keeps nothing, and
goes on in any process that has the same recorded attempts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import model_validator

from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.environment import Package
from rebuilder.model.evidence import Obstacle
from rebuilder.model.replayed import Replayed, When
from rebuilder.model.value import Sha256Field, Value

APART_SECONDS = 2.5
"""Between two runs that are to tell whether a build depends on the clock: times in a ZIP have steps of two."""
MOST_DESCRIPTION_BYTES = 4 << 20
"""Of what a build says about itself, where that is published."""
MOST_HYPOTHESES = 16
"""Definitions that may be tried for one file: which of them comes out says something, too."""


class Outcome(StrEnum):
    """How a run in the sandbox ended. A difference is not an outcome: it is a comparison."""

    COMPLETED = "completed"
    BUILD_FAILED = "build-failed"
    """A command of the definition exited with an error, or the build ended the sandbox it ran in."""
    TIMED_OUT = "timed-out"
    """A limit was reached; ``limit`` says which."""


class Limit(StrEnum):
    """Which of :class:`rebuilder.model.definition.Limits` ended a run."""

    WALL_TIME = "wall time"
    CPU_TIME = "CPU time"
    MEMORY = "memory"
    PROCESSES = "processes"
    FILE_SIZE = "file size"
    DISK = "disk"
    OUTPUT = "output size"
    LOG = "log size"


class Output(Value):
    """A file a run left in ``/out``; its bytes are a blob."""

    filename: str
    sha256: Sha256Field
    size: int


class Run(Value):
    """What a sandbox reports of one run. Plain data, unsigned."""

    outcome: Outcome
    exit_code: int | None = None
    """Of the command that failed, or 0; None when a limit ended the run, or the build its own sandbox."""
    limit: Limit | None = None
    outputs: tuple[Output, ...] = ()
    log_sha256: Sha256Field
    """Blob with standard output and standard error, in the order they were written."""
    wall_seconds: float
    cpu_seconds: float
    peak_memory_bytes: int
    """Highest resident memory seen over all processes of the run together."""
    sandbox_version: str
    """Such as ``bubblewrap 0.8.0``."""
    started: datetime

    @property
    def description(self) -> Output | None:
        """What the build itself wrote about how it was made: the ``.buildinfo`` of Debian's packages."""
        named = [each for each in self.outputs if each.filename.endswith(".buildinfo")]
        return named[0] if len(named) == 1 and named[0].size <= MOST_DESCRIPTION_BYTES else None


class Hypothesis(Value):
    """A build definition inferred from evidence, with the evidence in one sentence."""

    name: str
    """Short and stable, such as ``source-date-epoch``."""
    sentence: str
    definition: BuildDefinition
    filename: str | None = None
    """Which of several targets of the definition this is about; None: its only one."""
    replayed: tuple[Replayed, ...] = ()
    """What was read from the published file and goes into the build; empty in reports from before this was listed."""
    lacks: Obstacle | None = None
    """What the file was built with that cannot be had, so that something stands in for it here: this is the verdict,
    unless the file comes out all the same. Where what came out shows that nothing was lacking, the same definition is
    tried once more without; where it turns out afterwards that something was, once more with it. The last counts."""

    @model_validator(mode="after")
    def _about_one_target(self) -> Self:
        targets = self.definition.targets
        if self.filename not in (targets if len(targets) > 1 else (None, *targets)):
            raise ValueError("it is about none of the targets of its definition")
        return self

    @property
    def target(self) -> str:
        """File name of what it is to give."""
        return self.filename if self.filename is not None else self.definition.targets[0]

    def same(self, other: Hypothesis) -> bool:
        """Whether another one is the same definition for the same target, and neither or both lack something."""
        alike = (self.lacks is None) == (other.lacks is None)
        return alike and self.target == other.target and self.definition.digest == other.definition.digest


class Finishing(Value):
    """Recorded metadata written into the finished archive, in a run of its own where no code of the build is."""

    definition: BuildDefinition
    """Its inputs are our program, the rebuilt file and the record; the published file is not among them."""
    run: Run
    record_sha256: Sha256Field
    """Blob (canonical JSON) with what was recorded of the published file."""
    replayed: tuple[Replayed, ...]
    finished: Output | None = None
    """What came out; None when the program refused the record."""


class Attempt(Value):
    """A hypothesis, what running it gave, and how that compares with what was published."""

    hypothesis: Hypothesis
    run: Run
    rebuilt: Output | None = None
    """The output that was compared; None when nothing was built."""
    comparison: Comparison | None = None
    repeat: bool = False
    """True when this only repeats an earlier definition, to tell unstable from stable."""
    shared: bool = False
    """True when the run is that of an earlier verification of the same definition, not one of its own."""
    agreement: Level | None = None
    """Of a repeat: how its file compares with that of the attempt it repeats."""
    disagreement: Comparison | None = None
    """Of a repeat whose file is another one: what differs between the two, the first attempt's as ``published``."""
    finishing: Finishing | None = None
    """Of an attempt that is equivalent: what writing the recorded metadata into its file gave, if that was possible."""
    finishing_problem: str | None = None
    """Why that was not possible, as a sentence."""

    @property
    def confirms(self) -> bool:
        """Whether the content is the published one."""
        return self.comparison is not None and self.comparison.level is not Level.DIFFERENT

    @property
    def distance(self) -> int:
        """How many differences there are; more than any number where nothing could be compared."""
        comparison = self.comparison
        return 1 << 30 if comparison is None or comparison.problem else comparison.differences_total

    @property
    def unauthenticated(self) -> tuple[Package, ...]:
        """What it was built with and nobody signed: then it shows nothing of where the published bytes come from."""
        return self.hypothesis.definition.toolchain.unauthenticated

    @property
    def finished_identical(self) -> bool:
        """Whether the file is the published one once recorded metadata is written into it."""
        done, comparison = self.finishing, self.comparison
        return (
            done is not None
            and comparison is not None
            and comparison.level is Level.EQUIVALENT
            and done.finished is not None
            and done.finished.sha256 == comparison.published_sha256
        )

    @property
    def replayed(self) -> tuple[Replayed, ...]:
        """Everything read from the published file that was needed for these bytes."""
        after = self.finishing.replayed if self.finishing is not None and self.finished_identical else ()
        return (*self.hypothesis.replayed, *after)

    @property
    def written(self) -> tuple[str, ...]:
        """What was written into the finished archive, by name."""
        return tuple(each.name for each in self.replayed if each.when is When.FINISHED_ARCHIVE)


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
        """The attempt made of a hypothesis; two with the same definition and target are the same.

        Raises:
            CannotBeTriedError: it is recorded that it could not be tried.
        """
        for attempt in self.attempts:
            if not attempt.repeat and attempt.hypothesis.same(hypothesis):
                return attempt
        if any(each.hypothesis.same(hypothesis) for each in self.not_tried):
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
