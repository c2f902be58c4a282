"""One run of one build definition, and how it ended."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from rebuilder.model.comparison import Comparison, Level
from rebuilder.model.definition import BuildDefinition
from rebuilder.model.value import Sha256Field, Value


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


class Hypothesis(Value):
    """A build definition inferred from evidence, with the evidence in one sentence."""

    name: str
    """Short and stable, such as ``source-date-epoch``."""
    sentence: str
    definition: BuildDefinition


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
