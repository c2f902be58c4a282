"""What working through a list came to: figures from the reports and what the machine spent (pure)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from statistics import median

from rebuilder.model.diagnosis import Cause
from rebuilder.model.report import Report, Stage
from rebuilder.model.value import Value
from rebuilder.model.verdict import Verdict

_WRITTEN = {Cause.ARCHIVE_TIMES, Cause.ARCHIVE_ORDER, Cause.MODES_UMASK}


class Spent(Value):
    """What one round took of the machine."""

    wall_seconds: float
    cpu_seconds: float
    """Of the workers and all that they started."""
    peak_memory_bytes: int
    """Highest sum over the workers and all that they started; shared pages are divided among their users."""
    load: float
    """Processes that wanted a CPU at the end, ours and others' (mean of a minute)."""


class StageFigures(Value):
    """Seconds one stage takes; an artifact that never gets to it counts with none."""

    median: float
    p95: float
    total: float


class RoundFigures(Value):
    """One list, once through."""

    name: str
    """Of the list."""
    warm: bool
    workers: int
    listed: int
    """Artifacts in the list."""
    asked: int
    """Artifacts that were queued."""
    done: int
    """Those with a verdict."""
    spent: Spent
    verdicts: dict[Verdict, int]
    written: int = 0
    """Of the reproduced ones, those with recorded values written into the finished archive."""
    rest: dict[Cause, int] | None = None
    """What is not reproduced, by the cause that explains most of it; None in figures from before this was counted."""
    unexplained: int = 0
    """Not reproduced, and no cause is known."""
    clock: str = "archive"
    """The setting of that name."""
    attempts_median: float
    attempts_p95: float
    seconds_median: float
    """From the first look at an artifact to its verdict."""
    seconds_p95: float
    stages: dict[Stage, StageFigures]
    build_cpu_seconds: float
    """What the builds themselves used, of all that was spent."""

    @property
    def per_hour(self) -> float:
        """Artifacts with a verdict in an hour of wall time."""
        return self.done * 3600 / self.spent.wall_seconds

    @property
    def cpu_per_artifact(self) -> float:
        """Seconds of CPU time."""
        return self.spent.cpu_seconds / self.done if self.done else 0.0

    @property
    def busy(self) -> float:
        """CPUs in use on average."""
        return self.spent.cpu_seconds / self.spent.wall_seconds


def figures(
    name: str,
    reports: Sequence[Report],
    spent: Spent,
    *,
    warm: bool,
    workers: int,
    listed: int,
    asked: int,
    clock: str = "archive",
) -> RoundFigures:
    """Figures of one round; a file that was looked at twice counts with its last report."""
    last = list({(each.artifact.purl, each.artifact.filename): each for each in reports}.values())
    causes = Counter(_cause(each) for each in last if each.decision.verdict is not Verdict.REPRODUCED)
    unexplained = causes.pop(None, 0)
    counts = [len(each.attempts) for each in last]
    took = [(each.finished - each.started).total_seconds() for each in last]
    return RoundFigures(
        name=name,
        warm=warm,
        workers=workers,
        listed=listed,
        asked=asked,
        done=len(last),
        spent=spent,
        verdicts=_verdicts(last),
        written=sum(each.written for each in last),
        rest={cause: causes[cause] for cause in Cause if causes[cause]},
        unexplained=unexplained,
        clock=clock,
        attempts_median=median(counts) if counts else 0,
        attempts_p95=percentile(counts, 0.95),
        seconds_median=median(took) if took else 0,
        seconds_p95=percentile(took, 0.95),
        stages={stage: _stage(last, stage) for stage in Stage if any(stage in each.seconds for each in last)},
        build_cpu_seconds=sum(attempt.run.cpu_seconds for each in last for attempt in each.attempts),
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of all values do not exceed (nearest rank); 0 of nothing."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0.0


def _verdicts(reports: Sequence[Report]) -> dict[Verdict, int]:
    counted = Counter(each.decision.verdict for each in reports)
    return {verdict: counted[verdict] for verdict in Verdict if counted[verdict]}


def _cause(report: Report) -> Cause | None:
    causes = [each.cause for each in report.diagnosis.findings] if report.diagnosis is not None else []
    if report.decision.verdict is Verdict.EQUIVALENT:  # what could be written is not what it failed for
        causes = [each for each in causes if each not in _WRITTEN] or causes
    return causes[0] if causes else None


def _stage(reports: Sequence[Report], stage: Stage) -> StageFigures:
    seconds = [each.seconds.get(stage, 0.0) for each in reports]
    return StageFigures(
        median=round(median(seconds), 3), p95=round(percentile(seconds, 0.95), 3), total=round(math.fsum(seconds), 3)
    )
