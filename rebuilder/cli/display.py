"""Progress and results for a person: one live line on a terminal, plain lines everywhere else."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from rebuilder.errors import RebuilderError
from rebuilder.model.artifact import Subject
from rebuilder.model.report import Report, Stage
from rebuilder.model.text import visible
from rebuilder.model.verdict import Verdict
from rebuilder.verification.coordinator import Verified

_COLOURS = {
    Verdict.REPRODUCED: "32",
    Verdict.EQUIVALENT: "36",
    Verdict.DIFFERS: "31",
    Verdict.UNAUTHENTICATED: "33",
    Verdict.ACCOUNTED: "33",
}


_FOREIGN = "not what was published"
_NOTHING = "could not be looked at"


class Display:
    """Shows stages as they pass and results as they come, on one stream (standard error).

    On a terminal the running stage is one live line; elsewhere every stage is a line of its own, so that a log
    file shows where time went.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._colour = self._terminal and "NO_COLOR" not in os.environ
        self._live: LiveLine | None = None
        self._subject = ""
        self._counts: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Start the live line on a terminal."""
        if self._terminal:
            self._live = LiveLine(self._stream)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the live line away."""
        if self._live is not None:
            self._live.stop()

    def subject(self, name: str) -> None:
        """Work on another subject begins."""
        self._subject = visible(name)
        if self._live is not None:
            self._live.begin(self._subject)

    def stage(self, stage: Stage, detail: str = "") -> None:
        """A stage begins."""
        words = f"{stage.value} {visible(detail)}".rstrip()
        if self._live is not None:
            self._live.stage(words)
        else:
            self._print(f"{self._subject}: {words}")

    def result(self, result: Verified, site: Path) -> None:
        """Print what came out for one artifact, in a few lines."""
        name = visible(result.artifact.filename)
        if result.foreign_file is not None:
            self._counts[_FOREIGN] += 1
            self._print(f"{self._paint('! ALARM', '31;1')}  {name}\n    {visible(result.foreign_file.sentence)}")
            return
        verdict = result.verdict or Verdict.INFRA_ERROR
        self._counts[verdict.value] += 1
        seconds = f"{sum(result.seconds.values()):.1f} s"
        word = self._paint(f"{verdict.icon} {verdict.value}", _COLOURS.get(verdict, "33"))
        self._print(f"{word}  {name}  ({seconds})")
        if result.fault is not None:
            self._print(f"    {visible(str(result.fault))}")
        if result.signed is not None:
            report = result.signed.report
            self._print(f"    {visible(report.decision.sentence)}")
            if report.decision.kind is not None:
                self._print(f"    {visible(report.decision.rebuilds or report.decision.kind.spoken)}")
            if report.diagnosis is not None:
                self._print(f"    why: {visible(report.diagnosis.sentence)}")
            for line in lineage_lines(report):
                self._print(f"    {line}")
            for remark in report.remarks:
                self._print(f"    {visible(remark)}")
            for alarm in report.alarms:
                self._print(f"    {self._paint('! ALARM', '31;1')} {visible(alarm.sentence)}")
        if result.page:
            self._print(f"    {site / result.page / 'index.html'}")

    def fault(self, subject: Subject, error: RebuilderError) -> None:
        """Print why a subject came to nothing."""
        self._counts[_NOTHING] += 1
        self._print(f"{self._paint('! ' + visible(subject.asked), '31;1')}\n    {visible(str(error))}")
        if error.hint:
            self._print(f"    {visible(error.hint)}")

    def totals(self) -> None:
        """Print how many came out how, if there are several."""
        if (total := self._counts.total()) > 1:
            words = ", ".join(f"{number:,} {word}" for word, number in self._counts.most_common())
            self._print(f"{total:,} in all: {words}.")

    def _print(self, text: str) -> None:
        if self._live is not None:
            self._live.above(text)
        else:
            print(text, file=self._stream, flush=True)

    def _paint(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text


def lineage_lines(report: Report) -> list[str]:
    """What upstream signed and how the steps from the commit came out, a line each, safe for a terminal."""
    lines = []
    provenance = report.provenance
    if provenance is not None:
        lines.append(f"attestation {provenance.status.value}: {visible(provenance.sentence)}")
        lines += [f"! {visible(finding.sentence)}" for finding in provenance.findings]
    trail = report.trail
    if trail is not None and trail.origin is not None:
        commit = f" at {trail.origin.commit[:12]}" if trail.origin.commit else ""
        tag = f" ({trail.origin.tag})" if trail.origin.tag else ""
        said = "" if trail.origin.sentence in report.decision.sentence else f": {visible(trail.origin.sentence)}"
        lines.append(f"from {visible(trail.origin.repository + commit + tag)}{said}")
        steps = trail.steps if trail.origin.commit else ()
        lines += [
            f"  {name.replace('-', ' ')}: {said.verdict.icon} {said.verdict.value}"
            + ("" if said.verdict is Verdict.REPRODUCED else f", {visible(said.sentence)}")
            for name, said in ((each.name, each.decision) for each in steps)
            if said is not None
        ]
    return lines


class LiveLine:
    """One line at the bottom of a terminal: the subject, the running stage and its time."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = Console(file=stream)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[subject]}", markup=False, style="bold"),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._progress.add_task("", subject="", total=None)
        self._progress.start()

    def begin(self, subject: str) -> None:
        """Show another subject."""
        self._progress.update(self._task, subject=subject, description="")

    def stage(self, words: str) -> None:
        """Show another stage, its time starting from zero."""
        self._progress.reset(self._task, description=words)

    def above(self, text: str) -> None:
        """Print above the live line; the text carries its own colours."""
        from rich.text import Text

        self._console.print(Text.from_ansi(text), soft_wrap=True)

    def stop(self) -> None:
        """Take the line away."""
        self._progress.stop()
