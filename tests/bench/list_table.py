"""Figures of rounds as a table in Markdown, which a terminal shows just as well (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from rebuilder.model.report import Report, Stage
from rebuilder.model.verdict import Verdict
from rebuilder.model.work import Order
from tests.bench.list_figures import RoundFigures, StageFigures

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
"""What stands around the tables in the document they are written into."""

_ROWS: tuple[tuple[str, Callable[[RoundFigures], str]], ...] = (
    ("artifacts in the list", lambda each: str(each.listed)),
    ("with a verdict, of those queued", lambda each: f"{each.done} of {each.asked}"),
    ("**artifacts per hour**", lambda each: f"**{each.per_hour:,.0f}**"),
    ("worker processes", lambda each: str(each.workers)),
    ("wall time, s", lambda each: f"{each.spent.wall_seconds:.0f}"),
    ("CPU time per artifact, s", lambda each: f"{each.cpu_per_artifact:.2f}"),
    ("of that in builds, s", lambda each: f"{each.build_cpu_seconds / max(each.done, 1):.2f}"),
    ("CPUs in use, mean", lambda each: f"{each.busy:.2f}"),
    ("peak memory, MiB", lambda each: f"{each.spent.peak_memory_bytes / 2**20:.0f}"),
    ("attempts per artifact, median / p95", lambda each: f"{each.attempts_median:g} / {each.attempts_p95:g}"),
    ("seconds per artifact, median / p95", lambda each: f"{each.seconds_median:.2f} / {each.seconds_p95:.2f}"),
    ("load of the machine at the end", lambda each: f"{each.spent.load:.1f}"),
)


def tables(rounds: Sequence[RoundFigures]) -> str:
    """Each clock by itself: what was reached, the verdicts, what the rest is made of, where the time went."""
    kinds = [[each for each in rounds if (each.clock == "kernel") is kernel] for kernel in (False, True)]
    return "\n".join(_tables(each) for each in kinds if each)


def _tables(rounds: Sequence[RoundFigures]) -> str:
    rest = [_rest(counted)] if (counted := [each for each in rounds if each.rest is not None]) else []
    return "\n\n".join((_overall(rounds), _verdicts(rounds), *rest, _stages(rounds))) + "\n"


def commit_table(orders: Sequence[Order], reports: Sequence[Report]) -> str:
    """What did not come out of the source archive, before and after the commit was tried; and what stopped it.

    Args:
        orders: The files.
        reports: Of both, in order.
    """
    rows = []
    for order in orders:
        found = [each for each in reports if each.artifact.filename == order.filename]
        if found:
            before, after = found[0].decision.verdict.value, found[-1].decision.verdict
            rows.append([order.filename or "", before, after.value, "" if after.confirms else _stopped(found[-1])])
    came_out = sum(row[3] == "" for row in rows)
    return f"{_table(['file', 'source archive', 'with the commit', 'why not'], rows)}\n\n{came_out} of {len(rows)}.\n"


def _stopped(report: Report) -> str:
    trail = report.trail
    if trail is None:
        return report.decision.sentence
    told = [each.decision.sentence for each in trail.steps if trail.from_commit(each) and each.decision is not None]
    return told[-1] if told else trail.origin.sentence if trail.origin is not None else "No repository is named."


def replaced(document: str, text: str) -> str:
    """A document with ``text`` between its two marks.

    Raises:
        ValueError: the marks are not there, once each and in their order.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in tail:
        raise ValueError(f"The document needs the lines {BEGIN} and {END}, once each.")
    return f"{head}{BEGIN}\n{text}{END}{tail}"


def heading(figures: RoundFigures) -> str:
    """What a round is called in tables and pictures."""
    kernel = ", clock of a kernel" if figures.clock == "kernel" else ""
    return f"{figures.name}, {'warm' if figures.warm else 'cold'}{kernel}"


def _overall(rounds: Sequence[RoundFigures]) -> str:
    return _table(["", *map(heading, rounds)], [[name, *map(value, rounds)] for name, value in _ROWS])


def _verdicts(rounds: Sequence[RoundFigures]) -> str:
    seen = [verdict for verdict in Verdict if any(verdict in each.verdicts for each in rounds)]
    rows = [[verdict.value, *(_count(each, each.verdicts.get(verdict, 0)) for each in rounds)] for verdict in seen]
    if Verdict.REPRODUCED in seen:
        alone = [_count(each, each.verdicts.get(Verdict.REPRODUCED, 0) - each.written) for each in rounds]
        written = [_count(each, each.written) for each in rounds]
        rows[1:1] = [["– by the build alone", *alone], ["– with recorded values written", *written]]
    rows.append(["no verdict", *(_count(each, each.asked - each.done) for each in rounds)])
    return _table(["verdict", *map(heading, rounds)], rows)


def _count(figures: RoundFigures, number: int) -> str:
    return f"{number} ({number / figures.asked:.1%})" if figures.asked else "0"


def _rest(rounds: Sequence[RoundFigures]) -> str:
    """Artifacts that are not reproduced, by cause: what is ours first, and in it what is most."""
    counted = sum((Counter(each.rest) for each in rounds), Counter())
    seen = sorted(counted, key=lambda cause: (not cause.ours, -counted[cause], cause.value))
    rows = [
        [
            cause.value,
            "ours" if cause.ours else "publisher's",
            *(_count(each, (each.rest or {}).get(cause, 0)) for each in rounds),
        ]
        for cause in seen
    ]
    rows.append(["no known cause", "not known", *(_count(each, each.unexplained) for each in rounds)])
    return _table(["not reproduced, by first cause", "whose", *map(heading, rounds)], rows)


def _stages(rounds: Sequence[RoundFigures]) -> str:
    """Seconds of wall time: median, 95th percentile and share of the sum."""
    seen = [stage for stage in Stage if any(stage in each.stages for each in rounds)]
    rows = [[stage.value, *(_stage(each, each.stages.get(stage)) for each in rounds)] for stage in seen]
    return _table(["stage: median / p95 s, share", *map(heading, rounds)], rows)


def _stage(figures: RoundFigures, stage: StageFigures | None) -> str:
    total = sum(each.total for each in figures.stages.values())
    if stage is None or not total:
        return "–"
    return f"{stage.median:.2f} / {stage.p95:.2f}, {stage.total / total:.1%}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    lines = [_line(head, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join((*lines, *(_line(row, widths) for row in rows)))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"
